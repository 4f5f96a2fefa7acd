"""Rows of a matrix by number: the lookup of an embedding, its gradient, and indexing along the first axis.

Rows are added in the order of their numbers' positions, on any number of threads: a task owns BLOCK columns of a range
of rows of the result, and goes through all numbers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.simd.pointers import F32, INT64
from numbanet.kernels.cpu.simd.vector import load, load_first, store, store_first

OUT_OF_RANGE = 1
ELEMENTS_A_CHUNK = 1 << 13
BLOCK = 128
"""Columns of a task that adds rows."""
RANGES = 8
"""Ranges of rows that share a narrow result out among tasks; each goes through all numbers."""
NOTHING = -(1 << 62)
"""A row that no number names."""
INTEGER = np.dtype(np.int64)


class Lookup(NamedTuple):
    """out (count, columns) = x[indices], x (rows, columns); ``wraps``: −1 is the last row."""

    out: F32
    x: F32
    indices: INT64
    rows: I64_FIELD
    columns: I64_FIELD
    wraps: I64_FIELD


class Scatter(NamedTuple):
    """out[indices] = x or += x, x (count, columns), out (rows, columns), but for the row ``skipped``; ``x_row`` and
    ``out_row`` are from one row to the next."""

    out: F32
    x: F32
    indices: INT64
    count: I64_FIELD
    rows: I64_FIELD
    columns: I64_FIELD
    x_row: I64_FIELD
    out_row: I64_FIELD
    ranges: I64_FIELD
    wraps: I64_FIELD
    skipped: I64_FIELD
    accumulate: I64_FIELD


@device_function
def row_number(indices, i, rows, wraps):
    """The row that indices[i] names; −1 where there is no such row."""
    number = indices[i]
    if wraps and number < 0:
        number += rows
    return number if 0 <= number < rows else -1


@kernel(Lookup)
def take_rows(start, stop, row, scratch):
    """out[i] = x[indices[i]]; a task is a row of out."""
    p = unpack(row, Lookup)
    whole = p.columns // 16 * 16
    for i in range(start, stop):
        number = row_number(p.indices, i, p.rows, p.wraps)
        if number < 0:
            return OUT_OF_RANGE | i << 8
        x, out = p.x + number * p.columns, p.out + i * p.columns
        for j in range(0, whole, 16):
            store(out, j, load(x, j))
        if whole < p.columns:
            store_first(out, whole, load_first(x, whole, p.columns - whole), p.columns - whole)
    return 0


@kernel(Scatter)
def put_rows(start, stop, row, scratch):
    """out[indices[i]] = x[i] or += x[i], in the order of i; a task is BLOCK columns of a range of rows."""
    p = unpack(row, Scatter)
    for task in range(start, stop):
        begin, part = task // p.ranges * BLOCK, task % p.ranges
        low, high = part * p.rows // p.ranges, (part + 1) * p.rows // p.ranges
        width = min(BLOCK, p.columns - begin)
        whole = width // 16 * 16
        left = width - whole
        for i in range(p.count):
            number = row_number(p.indices, i, p.rows, p.wraps)
            if number < 0:
                return OUT_OF_RANGE | i << 8
            if number < low or number >= high or number == p.skipped:
                continue
            x, out = p.x + (i * p.x_row + begin), p.out + (number * p.out_row + begin)
            for j in range(0, whole, 16):
                store(out, j, load(out, j) + load(x, j) if p.accumulate else load(x, j))
            if left > 0:
                value = load_first(x, whole, left)
                store_first(out, whole, load_first(out, whole, left) + value if p.accumulate else value, left)
    return 0


@kernel(Scatter)
def put_named_rows(start, stop, row, scratch):
    """out[n] = x[n] for each n among the indices, when it comes for the first time; one task."""
    p = unpack(row, Scatter)
    seen = workspace(row, scratch)
    for number in range(p.rows):
        seen[number] = np.float32(0)
    for i in range(p.count):
        number = row_number(p.indices, i, p.rows, p.wraps)
        if number >= 0 and seen[number] == 0:
            seen[number] = np.float32(1)
            x, out = p.x + number * p.x_row, p.out + number * p.out_row
            for j in range(0, p.columns, 16):
                store_first(out, j, load_first(x, j, p.columns - j), p.columns - j)
    return 0


def _first_wrong(indices, rows: int, lowest: int) -> tuple[int, tuple[int, ...]]:
    """The first number outside lowest … rows − 1, whichever thread met one, and its position."""
    values = indices.numpy()
    at = int(np.argmax(((values < lowest) | (values >= rows)).reshape(-1)))
    return int(values.reshape(-1)[at]), tuple(int(i) for i in np.unravel_index(at, values.shape))


def embedding_error(indices, rows: int):
    """What a number out of range says to the user."""

    def error(code, position):
        value, place = _first_wrong(indices, rows, 0)
        return IndexError(
            f"index {value} at position {place} is out of range: the embedding has {rows} rows, 0 to {rows - 1}"
        )

    return error


def _indexing_error(indices, rows: int):
    def error(code, position):
        value, _ = _first_wrong(indices, rows, -rows)
        return IndexError(f"index {value} is out of bounds for axis 0 with size {rows}")

    return error


def _append_take(program, out, x, indices, rows, columns, wraps, on_error) -> None:
    chunk = max(1, min(indices.size, ELEMENTS_A_CHUNK // max(columns, 1)))
    args = Lookup(out, x, indices, rows, columns, wraps)
    program.append(take_rows, indices.size, args, chunk=chunk, on_error=on_error)


def _append_put(program, out, x, indices, rows, columns, wraps, skipped, accumulate, on_error, places) -> None:
    """``places``: from one row of x to the next, and of out."""
    blocks = -(-columns // BLOCK)
    ranges = 1 if blocks >= RANGES or indices.size * columns < ELEMENTS_A_CHUNK else min(rows, RANGES)
    args = Scatter(
        out, x, indices, indices.size, rows, columns, *places, ranges, wraps, skipped, int(accumulate)
    )  # fmt: skip
    tasks = blocks * ranges
    chunk = tasks if indices.size * columns < ELEMENTS_A_CHUNK else 1
    program.append(put_rows, tasks, args, chunk=chunk, on_error=on_error)


def embedding(program, out, weight, indices):
    reason = float32_contiguous(out, weight)
    if reason is not None or not indices.is_contiguous:
        return reason or "strided"
    rows, columns = weight.shape
    _append_take(program, out, weight, indices, rows, columns, 0, embedding_error(indices, rows))
    return None


def embedding_backward(program, out, grad, indices, padding_idx):
    reason = float32_contiguous(out, grad)
    if reason is not None or not indices.is_contiguous:
        return reason or "strided"
    program.fill(out, 0)
    grads = grad.view((indices.size, out.shape[1]))
    add_rows(program, out, grads, indices, NOTHING if padding_idx is None else padding_idx)
    return None


def add_rows(program, out, x, indices, skipped: int = NOTHING) -> None:
    """out[indices] += x but for one row, matrices whose rows may lie apart, in the order of the indices."""
    on_error, places = embedding_error(indices, out.shape[0]), (x.strides[0], out.strides[0])
    _append_put(program, out, x, indices, *out.shape, 0, skipped, True, on_error, places)


def take_named_rows(program, out, x, indices) -> None:
    """out = x, matrices, in the rows that one of the indices names, and 0 in the others."""
    rows, columns = x.shape
    program.fill(out, 0)
    args = Scatter(out, x, indices, indices.size, rows, columns, columns, columns, 1, 0, NOTHING, 0)
    program.append(put_named_rows, 1, args, scratch=rows)


def _along_first_axis(x, indices) -> bool:
    """Whether x[indices] takes whole entries along the first axis by one tensor of numbers."""
    first, *rest = indices
    return (
        getattr(first, "dtype", None) == INTEGER
        and first.is_contiguous
        and x.ndim >= len(indices)
        and all(part == slice(0, extent, 1) for part, extent in zip(rest, x.shape[1:], strict=False))
    )


def take(program, out, x, indices):
    reason = float32_contiguous(out, x)
    if reason is not None or not _along_first_axis(x, indices):
        return reason or "more than one tensor of numbers along the first axis"
    rows, columns = x.shape[0], math.prod(x.shape[1:])
    _append_take(program, out, x, indices[0], rows, columns, 1, _indexing_error(indices[0], rows))
    return None


def put(program, out, values, indices, accumulate):
    reason = float32_contiguous(out, values)
    if reason is not None or not _along_first_axis(out, indices):
        return reason or "more than one tensor of numbers along the first axis"
    rows, columns = out.shape[0], math.prod(out.shape[1:])
    on_error = _indexing_error(indices[0], rows)
    _append_put(program, out, values, indices[0], rows, columns, 1, NOTHING, accumulate, on_error, (columns, columns))
    return None


FUNCTIONS = (embedding, embedding_backward, take, put)
