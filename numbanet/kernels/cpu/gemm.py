"""Matrix products on register tiles: out = activation(A·B + bias + residual), any strides of A and B.

Each element of the product is one chain of fused multiply-adds over a block of DEPTH terms (the bias is added to the
first block's), and the sum of the blocks in order; the chain does not know the tile, the lanes or the threads, so
neither do the bits.

How B is read: a small row-major B at least as wide as a tile is read where it lies; any other is packed into panels
[k][PANEL] padded with zeros: by the task that multiplies them where one task has all rows, else in a level of its own.
The scalars of A are broadcast from where they lie, or, if many panels pass, from tiles [k][ROWS] that the task packs.
While a panel that was packed in a level before is multiplied, the next one is fetched, part by part before each tile.
Edges: the last rows and columns are done by a tile shifted back inside the matrix, whose store leaves out what another
tile does (of one vector, where the columns left are no more); fewer rows than a tile has are done by tiles of two rows
or of one. A residual and activations other than ReLU are the work of kernels of their own, which go over each panel of
a task again while it lies in the first cache: the same functions as those of a pass of their own, so the same bits.
Products that read a matrix but once have ``gemm_vector.py``.
"""

from __future__ import annotations

import functools
import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.array import Array
from numbanet.kernels.cpu import gemm_transposed, gemm_vector
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.caches import cache_bytes
from numbanet.kernels.cpu.elementwise import named_after
from numbanet.kernels.cpu.gemm_pack import (
    COLUMNS,
    DEPTH,
    GROUP,
    PACK_DEPTH,
    PANEL,
    ROWS,
    SIZE,
    SMALL,
    TILE_SLACK,
    Pack,
    make_pack_tile,
    pack_group,
    pack_panels,
    place,
)
from numbanet.kernels.cpu.gemm_panel import make_panel
from numbanet.kernels.cpu.gemm_transposed import make_transposed_product
from numbanet.kernels.cpu.kernel import Kernel, device_function, kernel
from numbanet.kernels.cpu.simd import activation as functions
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.tails import load_upto
from numbanet.kernels.cpu.simd.tile import LANES, multiples_upto
from numbanet.kernels.cpu.simd.vector import store_first

FLOAT32 = np.dtype(np.float32)
MOST_TILES = max(4, cache_bytes(2) // (4 * ROWS * DEPTH * 4))
FEW_TILES = MOST_TILES * 6 // 5
"""Tiles below each other in a task, at most, or if these are all that there are: its part of A, DEPTH wide, takes a
quarter of the second-level cache and stays there while panels of B pass."""
ACTIVATIONS = {None: 0, "relu": 1}
"""What the store of a tile does along."""
FUNCTIONS_AFTER = {
    None: functions.identity, "relu": functions.relu, "gelu": functions.gelu, "gelu_tanh": functions.gelu_tanh,
    "sigmoid": functions.sigmoid, "tanh": functions.tanh,
}  # fmt: skip
"""What is done behind a residual, or alone where it is not one of ACTIVATIONS."""
TASKS_A_THREAD = (1, 2, 3, 4, 6, 8, 12)
"""Tasks that a product may be cut into, for each thread."""
AS_IT_LIES, AHEAD, BY_TASK = range(3)
"""How B is read: where it lies, packed in a level before, or packed by the task that multiplies it."""
MANY_PANELS = 4
"""Panels of a task from which on it packs its tiles of A."""
PACK_A, STRIDED_A, PACK_B, LOAD_B, CLAIM, LEVEL = 0.3, 0.05, 0.5, 0.25, 0.2, 3.0
"""What is not multiplying, in tiles of DEPTH terms: packing a tile of A, or reading it where it lies for each panel;
packing a panel of B, or having it brought to the first cache; claiming a task; a level that comes before."""
NOISE = 0.25
"""Share of a task by which a disturbed thread is late."""
LARGE, LARGE_ROWS = 1 << 15, 24
"""Elements of a row-major B, and rows that share the cost, from which on packing it pays: its rows lie far apart, and
panels of them miss the caches."""


class Product(NamedTuple):
    """Arguments of the product kernels: out (rows, columns) of each of a batch of matrices."""

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
    packed: I64_FIELD
    row_block: I64_FIELD
    row_blocks: I64_FIELD
    column_blocks: I64_FIELD
    panels: I64_FIELD
    packs_a: I64_FIELD
    add: I64_FIELD
    activation: I64_FIELD


def _after(function):
    """The device function that does ``function`` of a product and its residual, as they lie in memory."""

    def finish(out, residual, begin, row, rows, columns):
        """out = function(out + residual), rows by columns from ``begin`` on; the residual may be a null pointer."""
        for line in range(begin, begin + rows * row, row):
            for j in range(0, columns, 16):
                x = load_upto(out, line + j, columns - j)
                if not is_null(residual):
                    x = x + load_upto(residual, line + j, columns - j)
                store_first(out, line + j, function(x), columns - j)

    return device_function(named_after(function, finish))


@device_function
def nothing_after(out, residual, begin, row, rows, columns):
    """The product is finished by the stores of its tiles."""


def make_product(rows: int, finish, name: str) -> Kernel:
    """The product kernel whose tiles have this number of rows, and whose panels this device function finishes."""

    pack_tile, is_finished_by_store = make_pack_tile(rows), finish is nothing_after
    multiply_panel, multiply_narrow_panel = make_panel(rows, COLUMNS), make_panel(rows, 1)

    def product(start, stop, row, scratch):
        """out = activation(a · b + bias + residual); a task is a block of rows by a block of panels of one matrix."""
        p = unpack(row, Product)
        group, where = workspace(row, scratch), multiples_upto(p.a_row, rows, p.rows)
        tiles = group + GROUP * SIZE
        for task in range(start, stop):
            block = task // p.row_blocks
            matrix = block // p.column_blocks
            a_place = place(matrix, p.inner, p.a_outer, p.a_batch)
            b_place = place(matrix, p.inner, p.b_outer, p.b_batch)
            out_place = place(matrix, p.inner, p.out_outer, p.out_batch)
            top = (task - block * p.row_blocks) * p.row_block
            bottom = min(top + p.row_block, p.rows)
            left = (block - matrix * p.column_blocks) * p.panels * PANEL
            right = min(left + p.panels * PANEL, p.columns)
            for k in range(0, p.depth, DEPTH):
                steps = min(DEPTH, p.depth - k)
                add = 1 if k > 0 else p.add
                if p.packs_a:
                    for line in range(top, bottom, rows):
                        a = p.a + (a_place + min(line, p.rows - rows) * p.a_row + k * p.a_col)
                        pack_tile(tiles + (line - top) * steps, a, p.a_row, p.a_col, steps)
                for column in range(left, right, PANEL):
                    is_narrow = COLUMNS > 1 and right - column <= LANES
                    width = LANES if is_narrow else PANEL
                    begin, b_row, part = column, PANEL, 0
                    if p.packed == AHEAD:
                        b = p.b + (b_place + column * p.depth + k * PANEL)
                        if column + PANEL < right:
                            part = steps * PANEL // ((bottom - top + rows - 1) // rows) + 16
                    elif p.packed == BY_TASK:
                        number = (column - left) // PANEL % GROUP
                        if number == 0:
                            b = p.b + (b_place + column * p.b_col + k * p.b_row)
                            pack_group(group, SIZE, b, p.b_row, p.b_col, steps, min(GROUP * PANEL, right - column))
                        b = group + number * SIZE
                    else:
                        begin, b_row = min(column, p.columns - width), p.b_row
                        b = p.b + (b_place + begin + k * p.b_row)
                    again = is_finished_by_store and not add  # what another tile of the task stored is the same
                    skip, end = 0 if again and begin >= left else column - begin, min(right - begin, width)
                    if is_narrow:
                        multiply_narrow_panel(
                            p, a_place, out_place, tiles, where, top, bottom, b, b_row, part, begin, k, skip, end, add,
                            again,
                        )  # fmt: skip
                    else:
                        multiply_panel(
                            p, a_place, out_place, tiles, where, top, bottom, b, b_row, part, begin, k, skip, end, add,
                            again,
                        )  # fmt: skip
                    if k + steps == p.depth:
                        here = out_place + top * p.out_row + column
                        finish(p.out, p.residual, here, p.out_row, bottom - top, min(PANEL, right - column))
        return 0

    return kernel(Product, name)(product)


PRODUCTS = {rows: make_product(rows, nothing_after, f"product_{rows}x{COLUMNS}") for rows in sorted({ROWS, 2})}
FINISHERS = {name: _after(function) for name, function in FUNCTIONS_AFTER.items()}
FINISHED = {
    name: make_product(ROWS, finish, f"product_{ROWS}x{COLUMNS}_{name or 'residual'}")
    for name, finish in FINISHERS.items()
}
TRANSPOSED = make_transposed_product(nothing_after, "transposed_product")
TRANSPOSED_FINISHED = {
    name: make_transposed_product(finish, f"transposed_product_{name or 'residual'}")
    for name, finish in FINISHERS.items()
}


def matmul(program, out, a, b, bias=None, residual=None, activation=None, accumulate=False):
    if not (out.dtype is FLOAT32 and a.dtype is FLOAT32 and b.dtype is FLOAT32):
        return f"dtypes {a.dtype}, {b.dtype}"
    if out.size == 0:
        return None
    if a.shape[-1] == 0:
        return "an empty sum"
    batch = _batch_strides(out, a, b)
    if batch is None or (out.shape[-1] > 1 and out.strides[-1] != 1):
        _by_copies(program, out, a, b, bias, residual, activation, accumulate)
        return None
    is_late = residual is not None or activation not in ACTIVATIONS
    early, add = 0 if is_late else ACTIVATIONS[activation], int(accumulate)
    is_apart = residual is not None and residual.strides != out.strides
    matrices = batch[0]
    is_few = min(out.shape[-2:]) <= gemm_vector.MOST_ROWS
    if is_few and gemm_vector.append(program, out, a, b, bias, batch, add, early):
        if is_late:
            _finish(program, out, residual, activation)
    elif not (accumulate or is_apart) and gemm_transposed.suits(out, a, b, matrices):
        which = TRANSPOSED_FINISHED[activation] if is_late else TRANSPOSED
        gemm_transposed.append(program, which, out, a, b, bias, residual, batch, early)
    elif is_late and out.shape[-2] > 2 and not is_apart:
        _append(program, FINISHED[activation], out, a, b, bias, residual, batch, add, early)
    else:
        rows = out.shape[-2]
        which = PRODUCTS[ROWS if rows > 2 else 2]
        _append(program, which, out, a, b, bias, None, batch, add, early)
        if is_late:
            _finish(program, out, residual, activation)
    return None


def _finish(program, out, residual, activation) -> None:
    """Passes of their own over a product that is small, or does not lie as its residual does."""
    if residual is not None:
        program.binary(out, out, residual, "add")
    if activation is not None:
        program.unary(out, out, activation)


def _by_copies(program, out, a, b, bias, residual, activation, accumulate) -> None:
    """The product of copies whose leading axes are one, and whose columns are adjacent in the result."""
    if len(out.shape) > 3:
        a, b = (array if _runs(array) <= 1 else _copied(program, array) for array in (a, b))
    result = program.workspace(out.shape)
    program.matmul(result, a, b, bias, residual, activation)
    if accumulate:
        program.binary(out, out, result, "add")
    else:
        program.copy(out, result)


def _copied(program, array: Array) -> Array:
    copy = program.workspace(array.shape)
    program.copy(copy, array)
    return copy


def _append(program, which, out, a, b, bias, residual, batch, add, activation) -> None:
    """Append the rows of a product by tiles, by the kernel ``which``; ``batch`` is what _batch_strides found."""
    matrices, inner, (out_outer, out_batch), (a_outer, a_batch), (b_outer, b_batch) = batch
    rows, columns, depth = *out.shape[-2:], a.shape[-1]
    b_row, b_col = b.strides[-2:]
    worthwhile = depth * columns >= LARGE and rows >= LARGE_ROWS
    packs_b = columns < PANEL or b_col != 1 or worthwhile
    row_block, column_blocks, panels_a_task = _cut(
        matrices, rows, columns, depth, packs_b, threads.get_num_threads()
    )  # fmt: skip
    row_blocks = -(-rows // row_block)
    packed = AS_IT_LIES
    if packs_b:
        packed = BY_TASK if row_blocks == 1 else AHEAD
    if packed == AHEAD:
        panels = -(-columns // PANEL)
        copies = 1 if b_batch == 0 and b_outer == 0 else matrices
        workspace = program.workspace((copies, panels, depth, PANEL))
        tasks = copies * -(-panels // GROUP) * -(-depth // PACK_DEPTH)
        args = Pack(workspace, b, inner, b_outer, b_batch, b_row, b_col, depth, columns)
        program.append(pack_panels, tasks, args)
        size = 0 if copies == 1 else panels * depth * PANEL
        b, b_outer, b_batch = workspace, inner * size, size
    tasks = matrices * row_blocks * column_blocks
    chunk = tasks if matrices * rows * columns * depth < SMALL else 1
    packs_a = int(panels_a_task >= MANY_PANELS and rows >= ROWS)
    args = Product(
        out, a, b, bias, residual, rows, columns, depth, inner, out_outer, out_batch, out.strides[-2], a_outer, a_batch,
        *a.strides[-2:], b_outer, b_batch, b_row, b_col, packed, row_block, row_blocks, column_blocks, panels_a_task,
        packs_a, add, activation,
    )  # fmt: skip
    scratch = GROUP * SIZE + row_block * min(depth, DEPTH) + TILE_SLACK if packs_a or packed == BY_TASK else 0
    program.append(which, tasks, args, chunk=chunk, scratch=scratch)


@functools.lru_cache(maxsize=1024)
def _cut(matrices: int, rows: int, columns: int, depth: int, packs_b: bool, thread_count: int) -> tuple[int, int, int]:
    """Rows of a task, blocks of columns, panels of such a block: the cut that is done first, were all threads alike.

    A task has at most so many rows that its part of A stays in the cache."""
    tiles, panels = -(-rows // ROWS), -(-columns // PANEL)
    most = tiles if tiles <= FEW_TILES else MOST_TILES
    least = -(-tiles // most)
    cuts = set()
    for blocks in range(least, max(least, min(tiles, least + 2 * thread_count)) + 1):
        tiles_a_task = -(-tiles // blocks)
        for tasks in TASKS_A_THREAD:
            count = -(-tasks * thread_count // (matrices * blocks))
            cuts.add((tiles_a_task, -(-panels // min(panels, count))))
    best = min(sorted(cuts), key=lambda cut: _duration(*cut, matrices, tiles, panels, depth, packs_b, thread_count))
    return best[0] * ROWS, -(-panels // best[1]), best[1]


def _duration(
    tiles_a_task: int, panels_a_task: int, matrices: int, tiles: int, panels: int, depth: int, packs_b: bool,
    thread_count: int,
) -> float:  # fmt: skip
    """When the last thread is done, in tiles of ``depth`` terms, if each claims the next task when it is free."""
    row_blocks, column_blocks = -(-tiles // tiles_a_task), -(-panels // panels_a_task)
    by_task, tasks = row_blocks == 1, matrices * row_blocks * column_blocks
    step = DEPTH / depth  # what does not grow with the depth is counted in tiles of DEPTH terms
    a_tile = PACK_A / panels_a_task if panels_a_task >= MANY_PANELS else STRIDED_A
    b_tile = (PACK_B if packs_b and by_task else LOAD_B) / tiles_a_task
    largest = tiles_a_task * panels_a_task * (1 + a_tile + b_tile) + CLAIM * step
    total = matrices * tiles * panels * (1 + a_tile + b_tile) + tasks * CLAIM * step
    in_step = -(-tasks // thread_count) * largest
    last = min(in_step, total / thread_count + largest * (1 - 1 / thread_count))
    if packs_b and not by_task:
        last += PACK_B * panels / thread_count + LEVEL * step
    return last + (NOISE * largest if thread_count > 1 else 0.0)


Strides = tuple[int, int]
"""Between the matrices that lie by one stride, and between runs of them."""


def _batch_strides(out: Array, a: Array, b: Array) -> tuple[int, int, Strides, Strides, Strides] | None:
    """Matrices, how many of them lie by one stride, and the strides of the three arrays; None if their leading axes do
    not collapse into two."""
    leading = [n for n in out.shape[:-2] if n > 1]
    if not leading:
        return 1, 1, (0, 0), (0, 0), (0, 0)
    strides = [[s for n, s in zip(out.shape[:-2], array.strides[:-2], strict=True) if n > 1] for array in (out, a, b)]
    axes, inner = len(leading), leading[-1]
    first = axes - 1
    while first > 0 and all(one[first - 1] == leading[first] * one[first] for one in strides):
        first -= 1
        inner *= leading[first]
    if first > 1 and any(one[i] != leading[i + 1] * one[i + 1] for one in strides for i in range(first - 1)):
        return None
    outer = [one[first - 1] if first else 0 for one in strides]
    batch = [one[-1] for one in strides]
    return math.prod(leading), inner, *zip(outer, batch, strict=True)


def _runs(array: Array) -> int:
    """Into how many axes the leading axes of an array collapse."""
    axes = [(n, s) for n, s in zip(array.shape[:-2], array.strides[:-2], strict=True) if n > 1]
    return 1 + sum(s != n_next * s_next for (_, s), (n_next, s_next) in pairwise(axes)) if axes else 0


FUNCTIONS = (matmul,)
