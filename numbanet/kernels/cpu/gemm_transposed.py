"""Products whose transpose is less work: few rows with a matrix that lies column by column (a linear layer's x·Wᵀ), and
many rows with few columns.

Of out = A·B it computes outᵀ = Bᵀ·Aᵀ: the rows of Bᵀ are broadcast from where they lie, each element once for all rows
of A, and what is packed is A. So W is not packed where x is smaller, and vectors go along the rows of A where those of
B would be filled in part. A task holds its rows of outᵀ in scratch memory, and turns them into columns of out at the
end. The chains are those of ``gemm.py``, and so are the bits.
"""

from __future__ import annotations

from typing import NamedTuple

from numbanet.kernels import threads
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.caches import cache_bytes
from numbanet.kernels.cpu.gemm_pack import (
    COLUMNS,
    DEPTH,
    GROUP,
    PACK_DEPTH,
    PANEL,
    ROWS,
    SIZE,
    SMALL,
    Pack,
    pack_group,
    pack_panels,
    place,
)
from numbanet.kernels.cpu.kernel import Kernel, device_function, kernel
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.tile import LANES, add_bias_rows, multiples_upto, outer, store_tile, zeros
from numbanet.kernels.cpu.simd.transpose import transpose_block
from numbanet.kernels.cpu.simd.vector import load, store_first

MOST = cache_bytes(2) // (2 * 4 * DEPTH)
"""Rows of A or columns of B, at most: DEPTH terms of them take half of the second-level cache and stay there."""
TASKS_A_THREAD = 4
BLOCK = 16
"""Rows and columns that are turned at a time."""
ONE_BY_ONE = 8
"""Columns up to which they are turned number by number."""
LEAST_DEPTH = 16
"""Terms of a sum from which on turning more columns than that is worth it."""
PACK_ROWS, PACK_COLUMNS, STRIDED, LYING = 0.6, 0.8, 0.2, 0.05
"""In tiles: packing a panel of A whose columns are contiguous, or whose rows are; what it costs a tile of ``gemm.py``
to read such an A where it lies."""


class TransposedProduct(NamedTuple):
    """Arguments of the kernels: out (rows, columns) of each of a batch; A in panels where it is packed ahead.

    A task has at most ``row_block`` rows."""

    out: F32
    a: F32
    b: F32
    bias: F32
    residual: F32
    rows: I64_FIELD
    columns: I64_FIELD
    depth: I64_FIELD
    inner: I64_FIELD
    out_outer: I64_FIELD
    out_batch: I64_FIELD
    out_row: I64_FIELD
    a_outer: I64_FIELD
    a_batch: I64_FIELD
    a_row: I64_FIELD
    a_col: I64_FIELD
    b_outer: I64_FIELD
    b_batch: I64_FIELD
    b_row: I64_FIELD
    b_col: I64_FIELD
    is_packed: I64_FIELD
    row_block: I64_FIELD
    row_blocks: I64_FIELD
    column_blocks: I64_FIELD
    activation: I64_FIELD


@device_function
def part_of(number, parts, size, unit):
    """The first and the one behind the last element of a part of so many, which have as many units as each other, or
    one more."""
    units = (size + unit - 1) // unit
    return number * units // parts * unit, min((number + 1) * units // parts * unit, size)


@device_function
def turn(out, out_row, turned, width, block, lines, columns):
    """out[i, j] = turned[j, i] for i < lines (16 at most) and j < columns; ``block`` is memory for one block."""
    if columns <= ONE_BY_ONE:
        for i in range(lines):
            for j in range(columns):
                out[i * out_row + j] = turned[j * width + i]
    else:
        for j in range(0, columns, BLOCK):
            if lines == BLOCK and j + BLOCK <= columns:
                transpose_block(out + j, out_row, turned + j * width, width, BLOCK)
            else:
                transpose_block(block, BLOCK, turned + j * width, width, BLOCK)
                for i in range(lines):
                    store_first(out, i * out_row + j, load(block, i * BLOCK), columns - j)


def make_transposed_product(finish, name: str) -> Kernel:
    """The kernel whose columns of out are finished by this device function."""

    def product(start, stop, row, scratch):
        """out = activation(a · b + bias + residual); a task is a block of rows by a block of columns
        of one matrix."""
        p = unpack(row, TransposedProduct)
        group = workspace(row, scratch)
        block = group + (0 if p.is_packed else GROUP * SIZE)
        turned = block + BLOCK * BLOCK
        for task in range(start, stop):
            band = task // p.column_blocks
            matrix = band // p.row_blocks
            a_place = place(matrix, p.inner, p.a_outer, p.a_batch)
            b_place = place(matrix, p.inner, p.b_outer, p.b_batch)
            out_place = place(matrix, p.inner, p.out_outer, p.out_batch)
            top, bottom = part_of(band - matrix * p.row_blocks, p.row_blocks, p.rows, PANEL)
            left, right = part_of(task - band * p.column_blocks, p.column_blocks, p.columns, ROWS)
            for k in range(0, p.depth, DEPTH):
                steps = min(DEPTH, p.depth - k)
                activation = p.activation if k + steps == p.depth else 0
                for panel in range(top, bottom, PANEL):
                    number = (panel - top) // PANEL % GROUP
                    if p.is_packed:
                        a = p.a + (panel * p.depth + k * PANEL)
                    else:
                        if number == 0:
                            a = p.a + (a_place + panel * p.a_row + k * p.a_col)
                            pack_group(group, SIZE, a, p.a_col, p.a_row, steps, min(GROUP * PANEL, bottom - panel))
                        a = group + number * SIZE
                    for line in range(left, right, ROWS):
                        where = multiples_upto(p.b_col, ROWS, p.columns - line)
                        b = p.b + (b_place + line * p.b_col + k * p.b_row)
                        acc = zeros(ROWS, COLUMNS)
                        for step in range(steps):
                            acc = outer(acc, b + step * p.b_row, where, a + step * PANEL, LANES)
                        if k == 0 and not is_null(p.bias):
                            acc = add_bias_rows(acc, p.bias + line, 0, p.columns - line)
                        here = turned + ((line - left) * p.row_block + panel - top)
                        store_tile(acc, here, p.row_block, 0, ROWS, 0, PANEL, k, activation)
            for i in range(top, bottom, BLOCK):
                lines, here = min(BLOCK, bottom - i), out_place + i * p.out_row + left
                turn(p.out + here, p.out_row, turned + (i - top), p.row_block, block, lines, right - left)
                finish(p.out, p.residual, here, p.out_row, lines, right - left)
        return 0

    return kernel(TransposedProduct, name)(product)


def suits(out, a, b, matrices: int) -> bool:
    """Whether a product is one of these: A is much smaller, B would have to be packed, and the rows of A fill panels;
    or the columns are few, fill panels less than the rows do, and the sums are longer than it takes to turn them."""
    (rows, columns), depth = out.shape[-2:], a.shape[-1]
    if depth == 1:
        return False
    if is_packed_ahead(rows, columns):
        fills_panels = 8 * -(-rows // PANEL) * PANEL <= 9 * rows
        return matrices == 1 and rows <= MOST and columns >= max(2 * rows, ROWS) and b.strides[-2] == 1 and fills_panels
    if columns > MOST or (depth < LEAST_DEPTH and columns > ONE_BY_ONE):
        return False
    panels, is_strided = -(-rows // PANEL), a.strides[-1] != 1
    mine = panels * (-(-columns // ROWS) + (PACK_ROWS if is_strided else PACK_COLUMNS))
    return mine < -(-rows // ROWS) * -(-columns // PANEL) * (1 + (STRIDED if is_strided else LYING))


def is_packed_ahead(rows: int, columns: int) -> bool:
    """Whether the tasks are blocks of columns, which share A; else a task packs its own rows."""
    return rows <= columns


def append(program, which: Kernel, out, a, b, bias, residual, batch, activation: int) -> None:
    """Append the rows of a product by the kernel ``which``; ``batch``: how many matrices, how many of them lie by one
    stride, and the strides of out, a and b between runs of them and within."""
    rows, columns, depth = *out.shape[-2:], a.shape[-1]
    (a_row, a_col), (b_row, b_col) = a.strides[-2:], b.strides[-2:]
    matrices, inner, (out_outer, out_batch), (a_outer, a_batch), (b_outer, b_batch) = batch
    panels, tiles, parts = -(-rows // PANEL), -(-columns // ROWS), TASKS_A_THREAD * threads.get_num_threads()
    is_packed = is_packed_ahead(rows, columns)
    if is_packed:
        packed = program.workspace((panels, depth, PANEL))
        tasks = -(-panels // GROUP) * -(-depth // PACK_DEPTH)
        program.append(pack_panels, tasks, Pack(packed, a, 1, 0, 0, a_col, a_row, depth, rows))
        a, row_blocks, column_blocks = packed, 1, min(tiles, parts)
    else:
        row_blocks, column_blocks = -(-panels // min(GROUP, -(-panels * matrices // parts))), 1
    row_block, column_block = -(-panels // row_blocks) * PANEL, -(-tiles // column_blocks) * ROWS
    args = TransposedProduct(
        out, a, b, bias, residual, rows, columns, depth, inner, out_outer, out_batch, out.strides[-2], a_outer, a_batch,
        a_row, a_col, b_outer, b_batch, b_row, b_col, int(is_packed), row_block, row_blocks, column_blocks,
        activation,
    )  # fmt: skip
    scratch = (column_block + BLOCK) * row_block + BLOCK * BLOCK + (0 if is_packed else GROUP * SIZE)
    tasks = matrices * row_blocks * column_blocks
    chunk = tasks if matrices * rows * columns * depth < SMALL else 1
    program.append(which, tasks, args, chunk=chunk, scratch=scratch)
