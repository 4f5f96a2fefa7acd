"""Products with so few rows that a matrix is read once and used no more: nothing is packed, memory decides.

A matrix whose columns are contiguous (a linear layer's weight, transposed) gives dot products in 16 virtual lanes; one
whose rows are gives, for a single row, the chains of ``gemm.py`` over vectors of columns as wide as registers allow.
Which of the two is a matter of strides and shape, so of no machine.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.cpu import target
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack
from numbanet.kernels.cpu.gemm_pack import DEPTH, place
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.prefetch import prefetch
from numbanet.kernels.cpu.simd.tile import (
    LANES,
    RELU,
    add_bias_columns,
    add_sums,
    inner,
    outer,
    store_tile,
    zero_sums,
    zeros,
)

MOST_ROWS = 4
"""Rows of A up to which dot products are taken: each passes over the matrix again, in the cache."""
DOTS = 4
"""Dot products at a time."""
WIDE = 8 if target.registers() == 32 else 6
"""Vectors of columns of a chain."""
SMALL = 1 << 14
"""Multiply-adds below which one thread does it all."""


class VectorProduct(NamedTuple):
    """Arguments of both kernels: out (rows, columns) of each of a batch of matrices."""

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
    blocks: I64_FIELD
    add: I64_FIELD
    activation: I64_FIELD


@device_function
def finish(out, bias, activation):
    """activation(out + bias) of one number."""
    value = out + bias
    return np.float32(0) if activation == RELU and value < 0 else value


@kernel(VectorProduct)
def dot_products(start, stop, row, scratch):
    """out[i, j] = activation(Σ_k a[i, k] · b[k, j] + bias[j]) for a and b contiguous in k; a task is DOTS columns."""
    p = unpack(row, VectorProduct)
    for task in range(start, stop):
        matrix = task // p.blocks
        first = (task - matrix * p.blocks) * DOTS
        count = min(DOTS, p.columns - first)
        a_place = place(matrix, p.inner, p.a_outer, p.a_batch)
        out_place = place(matrix, p.inner, p.out_outer, p.out_batch)
        b = p.b + (place(matrix, p.inner, p.b_outer, p.b_batch) + first * p.b_col)
        for i in range(p.rows):
            a = p.a + (a_place + i * p.a_row)
            out = p.out + (out_place + i * p.out_row + first * p.out_col)
            if count == DOTS:
                acc = zero_sums(DOTS, 1)
                for k in range(0, p.depth - 15, 16):
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
                    bias = np.float32(0) if is_null(p.bias) else p.bias[first + j]
                    out[j * p.out_col] = finish(out[j * p.out_col], bias, p.activation)
    return 0


@kernel(VectorProduct)
def row_times_matrix(start, stop, row, scratch):
    """out[0, j] = activation(Σ_k a[0, k] · b[k, j] + bias[j]) for b contiguous in j; a task is WIDE vectors."""
    p = unpack(row, VectorProduct)
    for task in range(start, stop):
        matrix = task // p.blocks
        left = (task - matrix * p.blocks) * WIDE * LANES
        begin = min(left, p.columns - WIDE * LANES)  # the last block is shifted back inside
        a = p.a + place(matrix, p.inner, p.a_outer, p.a_batch)
        b = p.b + (place(matrix, p.inner, p.b_outer, p.b_batch) + begin)
        out = p.out + (place(matrix, p.inner, p.out_outer, p.out_batch) + begin)
        for block in range(0, p.depth, DEPTH):
            end = min(block + DEPTH, p.depth)
            acc = zeros(1, WIDE)
            for k in range(block, end):
                acc = outer(acc, a + k * p.a_col, 0, b + k * p.b_row, LANES)
            if block == 0 and not is_null(p.bias):
                acc = add_bias_columns(acc, p.bias + begin, left - begin, WIDE * LANES)
            add, activation = p.add if block == 0 else 1, p.activation if end == p.depth else 0
            store_tile(acc, out, 0, 0, 1, left - begin, WIDE * LANES, add, activation)
    return 0


def append(program, out, a, b, bias, batch, add, activation) -> bool:
    """Append a row for the product if it is one of those above; ``batch``: how many matrices, how many of them lie by
    one stride, and the strides of out, a and b between runs of them and within."""
    rows, columns, depth = out.shape[-2], out.shape[-1], a.shape[-1]
    (out_row, out_col), (a_row, a_col), (b_row, b_col) = out.strides[-2:], a.strides[-2:], b.strides[-2:]
    matrices, inner, (out_outer, out_batch), (a_outer, a_batch), (b_outer, b_batch) = batch
    if columns == 1 and rows > 1 and bias is None and a_col == 1 and b_row == 1:
        which, width = dot_products, DOTS  # the columns of a matrix times a vector are the rows of its transpose
        rows, columns, out_row, out_col = columns, rows, out_col, out_row
        (a, a_row), (b, b_row, b_col) = (b, 0), (a, 1, a_row)
        a_outer, a_batch, b_outer, b_batch = b_outer, b_batch, a_outer, a_batch
    elif rows <= MOST_ROWS and a_col == 1 and b_row == 1:
        which, width = dot_products, DOTS
    elif rows == 1 and b_col == 1 and out_col == 1 and columns >= WIDE * LANES:
        which, width = row_times_matrix, WIDE * LANES
    else:
        return False
    blocks = -(-columns // width)
    args = VectorProduct(
        out, a, b, bias, rows, columns, depth, inner, out_outer, out_batch, out_row, out_col, a_outer, a_batch, a_row,
        a_col, b_outer, b_batch, b_row, b_col, blocks, add, activation,
    )  # fmt: skip
    tasks, wanted = matrices * blocks, 8 * threads.get_num_threads()
    chunk = tasks if rows * columns * depth * matrices < SMALL else max(1, tasks // wanted)
    program.append(which, tasks, args, chunk=chunk)
    return True
