"""Matrix products on register tiles: out = activation(A·B + bias), any strides of A and B.

Each element of the product is one chain of fused multiply-adds over a block of DEPTH terms (the bias is added to the
first block's), and the sum of the blocks in order; the chain does not know the tile, the lanes or the threads, so
neither do the bits.

How B is read: a small row-major B at least as wide as a tile is read where it lies; any other is first packed, in a
level of its own, into panels [k][PANEL] padded with zeros. A needs no packing: its scalars are broadcast from where
they lie. Edges: the last rows and columns are done by a tile shifted back inside the matrix, whose store leaves out
what another tile does; fewer rows than a tile has are done by tiles of a single row.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.array import Array
from numbanet.kernels.cpu import target
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack
from numbanet.kernels.cpu.kernel import Kernel, kernel
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.tile import LANES, add_bias_columns, outer, store_tile, zeros
from numbanet.kernels.cpu.simd.vector import transpose_block

FLOAT32 = np.dtype(np.float32)
DEPTH = 512
"""Terms of a chain before it is added to the output: a constant, because the bits depend on it."""
ROWS, COLUMNS = (8, 3) if target.registers() == 32 else (6, 2)
PANEL = COLUMNS * LANES
MOST_TILES = 12
"""Tiles below each other in a task, at most: its part of A stays in the second-level cache while panels of B pass."""
PACK_DEPTH = 64
"""Rows of B that a packing task copies."""
ACTIVATIONS = {None: 0, "relu": 1}
SMALL = 1 << 16
"""Multiply-adds below which waking a thread costs more than it saves."""
TASKS_A_THREAD = 4
"""Tasks that a large product is cut into, for each thread: a busy core then does fewer of them."""


LARGE, LARGE_ROWS = 1 << 16, 64
"""Elements of a row-major B, and rows that share the cost, from which on packing it pays: its rows lie far apart, and
panels of them miss the caches (n = 512 and 1024, 1.1 and 2 times faster packed)."""


class Pack(NamedTuple):
    """Arguments of pack_panels."""

    out: F32
    b: F32
    b_batch: I64_FIELD
    b_row: I64_FIELD
    b_col: I64_FIELD
    depth: I64_FIELD
    columns: I64_FIELD


class Product(NamedTuple):
    """Arguments of the product kernels: out (rows, columns) of each of a batch of matrices."""

    out: F32
    a: F32
    b: F32
    bias: F32
    rows: I64_FIELD
    columns: I64_FIELD
    depth: I64_FIELD
    out_batch: I64_FIELD
    out_row: I64_FIELD
    a_batch: I64_FIELD
    a_row: I64_FIELD
    a_col: I64_FIELD
    b_batch: I64_FIELD
    b_row: I64_FIELD
    packed: I64_FIELD
    row_block: I64_FIELD
    row_blocks: I64_FIELD
    column_blocks: I64_FIELD
    panels: I64_FIELD
    add: I64_FIELD
    activation: I64_FIELD


@kernel(Pack)
def pack_panels(start, stop, row, scratch):
    """out[matrix][panel][k][j] = b[k, panel · PANEL + j], 0 beyond the last column; a task is PACK_DEPTH rows of it."""
    p = unpack(row, Pack)
    blocks = (p.depth + PACK_DEPTH - 1) // PACK_DEPTH
    panels = (p.columns + PANEL - 1) // PANEL
    for task in range(start, stop):
        number = task // blocks  # of the panel, counted over all matrices
        matrix = number // panels
        left = (number - matrix * panels) * PANEL
        first = (task - number * blocks) * PACK_DEPTH
        last = min(first + PACK_DEPTH, p.depth)
        out = p.out + number * p.depth * PANEL
        b = p.b + (matrix * p.b_batch + left * p.b_col)
        width = min(PANEL, p.columns - left)
        blocked = first
        if p.b_row == 1:
            for j in range(0, width - 15, 16):
                for k in range(first, last - 15, 16):
                    transpose_block(out + (k * PANEL + j), PANEL, b + (k + j * p.b_col), p.b_col, 16)
            blocked = first + (last - first) // 16 * 16
        for k in range(first, last):
            for j in range(width // 16 * 16 if k < blocked else 0, width):
                out[k * PANEL + j] = b[k * p.b_row + j * p.b_col]
            for j in range(width, PANEL):
                out[k * PANEL + j] = np.float32(0)
    return 0


def make_product(rows: int) -> Kernel:
    """The product kernel whose tiles have this number of rows."""

    def product(start, stop, row, scratch):
        """out = activation(a · b + bias); a task is a block of rows by a block of panels of one matrix."""
        p = unpack(row, Product)
        for task in range(start, stop):
            block = task // p.row_blocks
            matrix = block // p.column_blocks
            top = (task - block * p.row_blocks) * p.row_block
            bottom = min(top + p.row_block, p.rows)
            left = (block - matrix * p.column_blocks) * p.panels * PANEL
            right = min(left + p.panels * PANEL, p.columns)
            for k in range(0, p.depth, DEPTH):
                steps = min(DEPTH, p.depth - k)
                activation = p.activation if k + steps == p.depth else 0
                add = 1 if k > 0 else p.add
                for column in range(left, right, PANEL):
                    if p.packed:
                        begin = column
                        b = p.b + (matrix * p.b_batch + column * p.depth + k * PANEL)
                    else:
                        begin = min(column, p.columns - PANEL)
                        b = p.b + (matrix * p.b_batch + begin + k * p.b_row)
                    skip, end = column - begin, min(right - begin, PANEL)
                    for line in range(top, bottom, rows):
                        first = min(line, p.rows - rows)
                        a = p.a + (matrix * p.a_batch + first * p.a_row + k * p.a_col)
                        acc = zeros(rows, COLUMNS)
                        for step in range(steps):
                            acc = outer(acc, a + step * p.a_col, p.a_row, b + step * p.b_row, LANES)
                        if k == 0 and not is_null(p.bias):
                            acc = add_bias_columns(acc, p.bias + begin, skip, end)
                        out = p.out + (matrix * p.out_batch + first * p.out_row + begin)
                        store_tile(
                            acc, out, p.out_row, line - first, min(rows, bottom - first), skip, end, add, activation
                        )
        return 0

    return kernel(Product, f"product_{rows}x{COLUMNS}")(product)


product_tiles = make_product(ROWS)
product_rows = make_product(1)


def matmul(program, out, a, b, bias=None, activation=None, accumulate=False):
    if not (out.dtype is FLOAT32 and a.dtype is FLOAT32 and b.dtype is FLOAT32):
        return f"dtypes {a.dtype}, {b.dtype}"
    columns, depth = out.shape[-1], a.shape[-1]
    if columns > 1 and out.strides[-1] != 1:
        return "the output's columns are not adjacent"
    if out.size == 0:
        return None
    if depth == 0:
        return "an empty sum"
    batch = _batch_strides(out, a, b)
    if batch is None:
        return "the leading axes cannot be walked as one"
    matrices, out_batch, a_batch, b_batch = batch
    rows = out.shape[-2]
    b_row, b_col = b.strides[-2:]
    worthwhile = depth * columns >= LARGE and rows >= LARGE_ROWS
    packed = columns < PANEL or b_col != 1 or worthwhile
    if packed:
        panels = -(-columns // PANEL)
        copies = 1 if b_batch == 0 else matrices
        workspace = program.workspace((copies, panels, depth, PANEL))
        tasks = copies * panels * -(-depth // PACK_DEPTH)
        program.append(pack_panels, tasks, Pack(workspace, b, b_batch, b_row, b_col, depth, columns), chunk=2)
        b, b_row, b_batch = workspace, PANEL, 0 if b_batch == 0 else panels * depth * PANEL
    row_block, column_blocks, panels_a_task = _cut(matrices, rows, columns)
    row_blocks = -(-rows // row_block)
    tasks = matrices * row_blocks * column_blocks
    chunk = tasks if matrices * rows * columns * depth < SMALL else 1
    args = Product(
        out, a, b, bias, rows, columns, depth, out_batch, out.strides[-2], a_batch, *a.strides[-2:], b_batch, b_row,
        int(packed), row_block, row_blocks, column_blocks, panels_a_task, int(accumulate), ACTIVATIONS[activation],
    )  # fmt: skip
    program.append(product_tiles if rows >= ROWS else product_rows, tasks, args, chunk=chunk)
    return None


def _cut(matrices: int, rows: int, columns: int) -> tuple[int, int, int]:
    """Rows of a task, blocks of columns, panels of such a block: enough tasks for all threads, as large as may be."""
    panels, wanted = -(-columns // PANEL), TASKS_A_THREAD * threads.get_num_threads()
    tiles = -(-rows // ROWS)
    tiles_a_task = max(1, min(MOST_TILES, tiles, tiles * panels * matrices // wanted))
    blocks = -(-tiles // tiles_a_task)
    tiles_a_task = -(-tiles // blocks)
    panels_a_task = max(1, min(panels, panels * blocks * matrices // wanted))
    return tiles_a_task * ROWS, -(-panels // panels_a_task), panels_a_task


def _batch_strides(out: Array, a: Array, b: Array) -> tuple[int, int, int, int] | None:
    """Number of matrices and the three strides between them; None if the leading axes do not collapse into one."""
    leading = out.shape[:-2]
    matrices = math.prod(leading)
    if matrices == 1:
        return 1, 0, 0, 0
    strides = []
    for array in (out, a, b):
        axes = [(n, s) for n, s in zip(leading, array.strides[:-2], strict=True) if n > 1]
        if any(s != n_next * s_next for (_, s), (n_next, s_next) in pairwise(axes)):
            return None
        strides.append(axes[-1][1])
    return matrices, *strides


FUNCTIONS = (matmul,)
