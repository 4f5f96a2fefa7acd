"""Products of few rows with a matrix that lies column by column (a linear layer's x·Wᵀ), by way of the transpose.

Of out = A·B it computes outᵀ = Bᵀ·Aᵀ: the rows of Bᵀ are broadcast from where they lie, each element once for all rows
of A, and what is packed is A, the smaller of the two. A task holds its rows of outᵀ in scratch memory, and turns them
into columns of out at the end. The chains are those of ``gemm.py``, and so are the bits.
"""

from __future__ import annotations

from typing import NamedTuple

from numbanet.kernels import threads
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.caches import cache_bytes
from numbanet.kernels.cpu.gemm_pack import COLUMNS, DEPTH, GROUP, PACK_DEPTH, PANEL, ROWS, Pack, pack_panels
from numbanet.kernels.cpu.kernel import Kernel, kernel
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.tile import LANES, add_bias_rows, multiples, outer, store_tile, zeros
from numbanet.kernels.cpu.simd.transpose import transpose_block
from numbanet.kernels.cpu.simd.vector import load, store_first

MOST_ROWS = cache_bytes(2) // (2 * 4 * DEPTH)
"""Rows of A, at most: its panels, DEPTH wide, take half of the second-level cache and stay there."""
TASKS_A_THREAD = 4
BLOCK = 16
"""Rows and columns that are turned at a time."""


class TransposedProduct(NamedTuple):
    """Arguments of the kernels: out (rows, columns), A in panels, B with its columns ``b_col`` apart."""

    out: F32
    a: F32
    b: F32
    bias: F32
    residual: F32
    rows: I64_FIELD
    columns: I64_FIELD
    depth: I64_FIELD
    out_row: I64_FIELD
    b_col: I64_FIELD
    width: I64_FIELD
    column_block: I64_FIELD
    activation: I64_FIELD


def make_transposed_product(finish, name: str) -> Kernel:
    """The kernel whose columns of out are finished by this device function."""

    def product(start, stop, row, scratch):
        """out = activation(a · b + bias + residual); a task is a block of columns."""
        p = unpack(row, TransposedProduct)
        turned, where = workspace(row, scratch), multiples(p.b_col, ROWS)
        block = turned + (p.column_block + BLOCK) * p.width
        for task in range(start, stop):
            left = task * p.column_block
            right = min(left + p.column_block, p.columns)
            for k in range(0, p.depth, DEPTH):
                steps = min(DEPTH, p.depth - k)
                activation = p.activation if k + steps == p.depth else 0
                for panel in range(0, p.width, PANEL):
                    a = p.a + (panel * p.depth + k * PANEL)
                    for line in range(left, right, ROWS):
                        first = min(line, p.columns - ROWS)
                        b = p.b + (first * p.b_col + k)
                        acc = zeros(ROWS, COLUMNS)
                        for step in range(steps):
                            acc = outer(acc, b + step, where, a + step * PANEL, LANES)
                        if k == 0 and not is_null(p.bias):
                            acc = add_bias_rows(acc, p.bias + first, line - first, ROWS)
                        out = turned + ((first - left) * p.width + panel)
                        store_tile(acc, out, p.width, line - first, ROWS, 0, PANEL, k, activation)
            for i in range(0, p.rows, BLOCK):
                lines = min(BLOCK, p.rows - i)
                for j in range(left, right, BLOCK):
                    part, here = turned + ((j - left) * p.width + i), p.out + (i * p.out_row + j)
                    if lines == BLOCK and j + BLOCK <= right:
                        transpose_block(here, p.out_row, part, p.width, BLOCK)
                    else:
                        transpose_block(block, BLOCK, part, p.width, BLOCK)
                        for line in range(lines):
                            store_first(here, line * p.out_row, load(block, line * BLOCK), right - j)
                finish(p.out, p.residual, i * p.out_row + left, p.out_row, lines, right - left)
        return 0

    return kernel(TransposedProduct, name)(product)


def suits(rows: int, columns: int, depth: int, b_strides: tuple[int, ...]) -> bool:
    """Whether a product is one of these: B would have to be packed, A is much smaller, and its rows fill panels."""
    width = -(-rows // PANEL) * PANEL
    return (
        b_strides[-2] == 1 and columns >= max(2 * rows, ROWS) and depth > 1 and rows <= MOST_ROWS
        and 8 * width <= 9 * rows
    )  # fmt: skip


def append(program, which: Kernel, out, a, b, bias, residual, activation: int) -> None:
    """Append the rows of a product of two matrices by the kernel ``which``."""
    rows, columns, depth = *out.shape[-2:], a.shape[-1]
    panels = -(-rows // PANEL)
    packed = program.workspace((panels, depth, PANEL))
    (a_row, a_col), (_, b_col) = a.strides[-2:], b.strides[-2:]
    tasks = -(-panels // GROUP) * -(-depth // PACK_DEPTH)
    program.append(pack_panels, tasks, Pack(packed, a, 1, 0, 0, a_col, a_row, depth, rows))
    tiles = -(-columns // ROWS)
    column_block = ROWS * -(-tiles // min(tiles, TASKS_A_THREAD * threads.get_num_threads()))
    width = panels * PANEL
    args = TransposedProduct(
        out, packed, b, bias, residual, rows, columns, depth, out.strides[-2], b_col, width, column_block, activation
    )
    scratch = (column_block + BLOCK) * width + BLOCK * BLOCK
    program.append(which, -(-columns // column_block), args, scratch=scratch)
