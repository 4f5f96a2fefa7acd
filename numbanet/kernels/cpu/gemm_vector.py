"""Products with so few rows that a matrix is read once and used no more: nothing is packed, memory decides.

A matrix whose columns are contiguous (a linear layer's weight, transposed) gives dot products in 16 virtual lanes, or,
if they are short, one chain each; one whose rows are contiguous gives, for a single row, the chains of ``gemm.py`` over
vectors of columns as wide as registers allow, or, if there are few columns, four chains for each. Few columns are the
few rows of the transpose. Which sums are taken is a matter of strides and shape, so of no machine.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.cpu import target
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.caches import cache_bytes
from numbanet.kernels.cpu.gemm_pack import DEPTH, SMALL, place
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.activation import relu
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.prefetch import prefetch
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.tile import (
    LANES,
    RELU,
    add_bias_columns,
    add_bias_rows,
    add_sums,
    inner,
    outer,
    store_tile,
    zero_sums,
    zeros,
)
from numbanet.kernels.cpu.simd.tile_load import load_tile, store_whole
from numbanet.kernels.cpu.simd.transpose import transpose_corner
from numbanet.kernels.cpu.simd.vector import fma, load, load_first, splat, store, store_first

MOST_ROWS = 4
"""Rows of A up to which dot products are taken: each passes over the matrix again, in the cache."""
LEAST_DEPTH = 24
"""Terms from which on dot products are taken: the sum over lanes wants to be worth it."""
NARROW = 160
"""Columns below which a single row has four chains for each."""
CHAINS = 4
FEW, SOME = 8, 64
"""Rows of a wide matrix and of a narrow one that are read side by side."""
CACHED = cache_bytes(2) // (2 * 4)
"""Elements of a narrow matrix that is read in one go: it lies in the second-level cache."""
DOTS = 8 if LANES == target.VIRTUAL_LANES and target.registers() == 32 else 4
"""Dot products at a time, whose lanes fill registers: rows of the matrix that are read side by side. Eight of them are
enough for the processor to fetch ahead what comes; of four, the next ones are asked for."""
SHORT_COLUMNS = 256
"""Columns of a task that has short sums."""
TASKS_A_THREAD = 2
WIDE = 8 if target.registers() == 32 else 6
"""Vectors of columns of a chain."""


class VectorProduct(NamedTuple):
    """Arguments of the kernels: out (rows, columns) of each of a batch of matrices."""

    out: F32
    a: F32
    b: F32
    bias: F32
    rows: I64_FIELD
    columns: I64_FIELD
    depth: I64_FIELD
    inner: I64_FIELD
    out_outer: I64_FIELD
    out_batch: I64_FIELD
    out_row: I64_FIELD
    out_col: I64_FIELD
    a_outer: I64_FIELD
    a_batch: I64_FIELD
    a_row: I64_FIELD
    a_col: I64_FIELD
    b_outer: I64_FIELD
    b_batch: I64_FIELD
    b_row: I64_FIELD
    b_col: I64_FIELD
    bias_row: I64_FIELD
    bias_col: I64_FIELD
    blocks: I64_FIELD
    width: I64_FIELD
    at_once: I64_FIELD
    add: I64_FIELD
    activation: I64_FIELD


@device_function
def finish(out, bias, activation):
    """activation(out + bias) of one number."""
    value = out + bias
    return np.float32(0) if activation == RELU and value < 0 else value


@device_function
def task_places(p, task):
    """The first column of a task of ``p.width`` columns and the one behind its last, and where its matrices of a, b and
    out begin."""
    matrix = task // p.blocks
    left = (task - matrix * p.blocks) * p.width
    return (
        left, min(left + p.width, p.columns), place(matrix, p.inner, p.a_outer, p.a_batch),
        place(matrix, p.inner, p.b_outer, p.b_batch), place(matrix, p.inner, p.out_outer, p.out_batch),
    )  # fmt: skip


@kernel(VectorProduct)
def dot_products(start, stop, row, scratch):
    """out[i, j] = activation(Σ_k a[i, k] · b[k, j] + bias) for a and b contiguous in k; a task is DOTS columns."""
    p = unpack(row, VectorProduct)
    for task in range(start, stop):
        first, end, a_place, b_place, out_place = task_places(p, task)
        b, count = p.b + (b_place + first * p.b_col), end - first
        for i in range(p.rows):
            a = p.a + (a_place + i * p.a_row)
            out = p.out + (out_place + i * p.out_row + first * p.out_col)
            if count == DOTS:
                acc = zero_sums(DOTS, 1)
                for k in range(0, p.depth - 15, 16):
                    if DOTS == 4:
                        for line in range(DOTS):  # of the next task, whose rows mostly lie behind these
                            prefetch(b, DOTS * (p.b_col + k) + 16 * line)
                    acc = inner(acc, b + k, p.b_col, a + k, 0, 16)
                k = p.depth // 16 * 16
                if k < p.depth:
                    acc = inner(acc, b + k, p.b_col, a + k, 0, p.depth - k)
                add_sums(acc, out, p.out_col, 0, DOTS, 1, p.add)
            else:
                for j in range(count):
                    one = zero_sums(1, 1)
                    for k in range(0, p.depth, 16):
                        one = inner(one, b + (j * p.b_col + k), 0, a + k, 0, p.depth - k)
                    add_sums(one, out + j * p.out_col, 0, 0, 1, 1, p.add)
            if p.activation or not is_null(p.bias):
                for j in range(count):
                    bias = np.float32(0) if is_null(p.bias) else p.bias[i * p.bias_row + (first + j) * p.bias_col]
                    out[j * p.out_col] = finish(out[j * p.out_col], bias, p.activation)
    return 0


@kernel(VectorProduct)
def short_dot_products(start, stop, row, scratch):
    """out[i, j] = activation(Σ_k a[i, k] · b[k, j] + bias) for b contiguous in k and a small depth; a task is so many
    columns. Sixteen at a time are turned into rows, of which each sum is one chain."""
    p = unpack(row, VectorProduct)
    turned = workspace(row, scratch)
    for task in range(start, stop):
        left, right, a_place, b_place, out_place = task_places(p, task)
        for first in range(left, right, 16):
            width = min(16, right - first)
            for k in range(0, p.depth, 16):
                b = p.b + (b_place + first * p.b_col + k)
                transpose_corner(turned + 16 * k, 16, b, p.b_col, width, min(16, p.depth - k))
            for i in range(p.rows):
                a, out = p.a + (a_place + i * p.a_row), p.out + (out_place + i * p.out_row + first * p.out_col)
                total = splat(np.float32(0))
                for k in range(p.depth):
                    total = fma(splat(a[k * p.a_col]), load(turned, 16 * k), total)
                if not is_null(p.bias):
                    total = total + (load_upto(p.bias, first, width) if p.bias_col else splat(p.bias[i * p.bias_row]))
                if p.out_col == 1:
                    if p.add:
                        total = load_upto(out, 0, width) + total
                    store_upto(out, 0, relu(total) if p.activation == RELU else total, width)
                else:
                    store(turned, 16 * LEAST_DEPTH, total)
                    for j in range(width):
                        value = turned[16 * LEAST_DEPTH + j] + (out[j * p.out_col] if p.add else np.float32(0))
                        out[j * p.out_col] = finish(value, np.float32(0), p.activation)
    return 0


@kernel(VectorProduct)
def row_times_matrix(start, stop, row, scratch):
    """out[0, j] = activation(Σ_k a[0, k] · b[k, j] + bias) for b contiguous in j; a task is WIDE vectors, some times.

    A few rows of b at a time are read along, as far as the task goes; the chains wait in scratch memory."""
    p = unpack(row, VectorProduct)
    sums, across = workspace(row, scratch), WIDE * LANES
    for task in range(start, stop):
        left, right, a_place, b_place, out_place = task_places(p, task)
        a = p.a + a_place
        for block in range(0, p.depth, DEPTH):
            end = min(block + DEPTH, p.depth)
            for few in range(block, end, FEW):
                for column in range(left, right, across):
                    begin = min(column, p.columns - across)  # the last of them is shifted back inside
                    acc = load_tile(sums + (column - left), 0, 1, WIDE) if few > block else zeros(1, WIDE)
                    b = p.b + (b_place + begin)
                    for k in range(few, min(few + FEW, end)):
                        acc = outer(acc, a + k * p.a_col, 0, b + k * p.b_row, LANES)
                    if few + FEW < end:
                        store_whole(acc, sums + (column - left), 0)
                    else:
                        if block == 0 and not is_null(p.bias):
                            if p.bias_col:
                                acc = add_bias_columns(acc, p.bias + begin, column - begin, across)
                            else:
                                acc = add_bias_rows(acc, p.bias, 0, 1)
                        add, activation = p.add if block == 0 else 1, p.activation if end == p.depth else 0
                        out = p.out + (out_place + begin)
                        store_tile(acc, out, 0, 0, 1, column - begin, across, add, activation)
    return 0


@kernel(VectorProduct)
def row_times_narrow_matrix(start, stop, row, scratch):
    """out[0, j] = activation(Σ_k a[0, k] · b[k, j] + bias) for b contiguous in j; a task is so many columns.

    The terms k, k + 4, k + 8, … of a block are one chain: a chain alone would wait for itself. Some rows of b at a time
    are gone through, sixteen columns after the other, while the next rows are fetched."""
    p = unpack(row, VectorProduct)
    chains = workspace(row, scratch)
    for task in range(start, stop):
        left, right, a_place, b_place, out_place = task_places(p, task)
        a = p.a + a_place
        for block in range(0, p.depth, CHAINS * DEPTH):
            end = min(block + CHAINS * DEPTH, p.depth)
            for some in range(block, end, p.at_once):
                last = min(some + p.at_once, end)
                for column in range(left, right, 16):
                    first = second = third = fourth = splat(np.float32(0))
                    waiting, width, b = chains + CHAINS * (column - left), right - column, p.b + (b_place + column)
                    if some > block:
                        first, second, third, fourth = (
                            load(waiting, 0), load(waiting, 16), load(waiting, 32), load(waiting, 48)
                        )  # fmt: skip
                    if last < end:
                        for k in range(some, last):
                            prefetch(b, (k + p.at_once) * p.b_row)
                    whole = last - (last - some) % CHAINS
                    for k in range(some, whole, CHAINS):
                        first = fma(splat(a[k * p.a_col]), load_first(b, k * p.b_row, width), first)
                        second = fma(splat(a[(k + 1) * p.a_col]), load_first(b, (k + 1) * p.b_row, width), second)
                        third = fma(splat(a[(k + 2) * p.a_col]), load_first(b, (k + 2) * p.b_row, width), third)
                        fourth = fma(splat(a[(k + 3) * p.a_col]), load_first(b, (k + 3) * p.b_row, width), fourth)
                    for k in range(whole, last):
                        first = fma(splat(a[k * p.a_col]), load_first(b, k * p.b_row, width), first)
                    if last < end:
                        store(waiting, 0, first)
                        store(waiting, 16, second)
                        store(waiting, 32, third)
                        store(waiting, 48, fourth)
                    else:
                        total = (first + second) + (third + fourth)
                        out = p.out + (out_place + column)
                        if block > 0 or p.add:
                            total = load_first(out, 0, width) + total
                        if block == 0 and not is_null(p.bias):
                            total = total + (load_first(p.bias, column, width) if p.bias_col else splat(p.bias[0]))
                        if end == p.depth and p.activation == RELU:
                            total = relu(total)
                        store_first(out, 0, total, width)
    return 0


def append(program, out, a, b, bias, batch, add, activation) -> bool:
    """Append a row for the product if it is one of those above; ``batch``: how many matrices, how many of them lie by
    one stride, and the strides of out, a and b between runs of them and within."""
    rows, columns, depth = out.shape[-2], out.shape[-1], a.shape[-1]
    (out_row, out_col), (a_row, a_col), (b_row, b_col) = out.strides[-2:], a.strides[-2:], b.strides[-2:]
    matrices, inner, (out_outer, out_batch), (a_outer, a_batch), (b_outer, b_batch) = batch
    bias_row, bias_col = 0, 1
    if columns < rows:  # the transpose
        rows, columns, out_row, out_col, bias_row, bias_col = columns, rows, out_col, out_row, bias_col, bias_row
        (a, a_row, a_col), (b, b_row, b_col) = (b, b_col, b_row), (a, a_col, a_row)
        a_outer, a_batch, b_outer, b_batch = b_outer, b_batch, a_outer, a_batch
    if columns == 1:  # of one column the stride to the next is no matter of the sums
        b_col, out_col = 1 if b_row != 1 else depth, 1
    scratch, at_once = 0, depth
    if rows <= MOST_ROWS and depth >= LEAST_DEPTH and a_col == 1 and b_row == 1:
        which, width = dot_products, DOTS
    elif rows <= MOST_ROWS and depth < LEAST_DEPTH and b_row == 1 and b_col != 1:
        which, width, scratch = short_dot_products, SHORT_COLUMNS, 16 * LEAST_DEPTH + 16
    elif rows > 1 or b_col != 1 or out_col != 1:
        return False
    elif columns < NARROW:
        which, width = row_times_narrow_matrix, 16 * -(-columns // (16 * threads.get_num_threads()))
        if depth * columns > CACHED:
            at_once, scratch = SOME, CHAINS * width
    elif columns >= WIDE * LANES:
        across, parts = WIDE * LANES, threads.get_num_threads() * TASKS_A_THREAD
        which = row_times_matrix
        width = scratch = across * -(-columns // (across * parts))
    else:
        return False
    blocks = -(-columns // width)
    args = VectorProduct(
        out, a, b, bias, rows, columns, depth, inner, out_outer, out_batch, out_row, out_col, a_outer, a_batch, a_row,
        a_col, b_outer, b_batch, b_row, b_col, bias_row, bias_col, blocks, width, at_once, add, activation,
    )  # fmt: skip
    tasks, wanted = matrices * blocks, 8 * threads.get_num_threads()
    # Each multiply-add takes a load here, so half as many are worth another thread.
    chunk = tasks if 2 * rows * columns * depth * matrices < SMALL else max(1, tasks // wanted)
    program.append(which, tasks, args, chunk=chunk, scratch=scratch)
    return True
