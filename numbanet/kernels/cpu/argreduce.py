"""Where the largest or smallest element along an axis is first; a NaN counts as the extreme.

Along lines of elements that lie side by side the largest of each BLOCK is found first, then the place in the block that
holds it. Of a long line each part has a task, and at last the parts' winners are compared. The smallest of x is the
largest of −x.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.axes import Form, form_of
from numbanet.kernels.cpu.fold import larger
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pointwise import FLOAT32
from numbanet.kernels.cpu.reduce import chunk_of, contiguous
from numbanet.kernels.cpu.reduce_rows import offset
from numbanet.kernels.cpu.simd.pointers import F32, INT64
from numbanet.kernels.cpu.simd.vector import (
    as_float_bits,
    as_int_bits,
    first_lane,
    lane,
    lane_index,
    lane_max,
    load,
    load_first,
    select,
    splat,
    store,
)

INTEGER = np.dtype(np.int64)
BLOCK = 256
"""Elements whose largest is found before anybody asks where it is."""
PART = 1 << 14
"""Elements of a task along one line; a multiple of BLOCK."""
COLUMNS = 256
"""Columns of a task where the inner axis is kept: the best so far and their places stay in the first-level cache."""


class Places(NamedTuple):
    """out (outer, parts) or (outer, inner) of x; offsets as in ``axes``; ``sign`` is 1 for the largest, else −1."""

    out: INT64
    x: F32
    outer_table: INT64
    outer_stride: I64_FIELD
    reduced_stride: I64_FIELD
    length: I64_FIELD
    inner: I64_FIELD
    parts: I64_FIELD
    sign: I64_FIELD


class Winners(NamedTuple):
    """Arguments of best_part: out (outer,) of candidates (outer, parts)."""

    out: INT64
    candidates: INT64
    x: F32
    outer_table: INT64
    outer_stride: I64_FIELD
    parts: I64_FIELD
    sign: I64_FIELD


@device_function
def is_better(value, best):
    """Whether a later value takes the place of the best so far: it is larger, or the first NaN."""
    return (value > best) | ((value != value) & (best == best))


@device_function
def first_equal(value, target):
    """The first lane that holds the target; with a NaN as target the first NaN."""
    return first_lane((value == target) | (value != value))


@device_function
def place_in_short(x, length, sign):
    """The first place of the largest of sign · x, of at most 16 elements."""
    wanted = lane_index() < splat(np.int32(length))
    value = select(wanted, load_first(x, 0, length) * splat(sign), splat(np.float32(-np.inf)))
    return first_equal(value, splat(lane_max(value)))


@device_function
def place_in_long(x, length, sign):
    """The first place of the largest of sign · x: the first block that holds it, then the place in that block."""
    lowest, factor = splat(np.float32(-np.inf)), splat(sign)
    best, block = np.float32(-np.inf), 0
    for begin in range(0, length, BLOCK):
        end = min(begin + BLOCK, length)
        a, b = lowest, lowest
        for j in range(begin, end - 31, 32):
            a = larger(a, load(x, j) * factor)
            b = larger(b, load(x, j + 16) * factor)
        for j in range(end - (end - begin) % 32, end, 16):
            wanted = lane_index() < splat(np.int32(end - j))
            a = larger(a, select(wanted, load_first(x, j, end - j) * factor, lowest))
        value = lane_max(larger(a, b))
        if is_better(value, best):
            best, block = value, begin
            if value != value:
                break
    target = splat(best)
    for j in range(block, length, 16):
        value = load_first(x, j, length - j) * factor
        place = first_equal(value, target)
        if place < 16:
            return j + place
    return block


@kernel(Places)
def arg_rows(start, stop, row, scratch):
    """out = the place of the best of part ``task % parts`` of a line."""
    p = unpack(row, Places)
    sign = np.float32(p.sign)
    for task in range(start, stop):
        first = task % p.parts * PART if p.parts > 1 else 0
        line = task // p.parts if p.parts > 1 else task
        x = p.x + (offset(p.outer_table, p.outer_stride, line) + first)
        length = min(PART, p.length - first)
        p.out[task] = first + (place_in_short(x, length, sign) if length <= 16 else place_in_long(x, length, sign))
    return 0


@kernel(Winners)
def best_part(start, stop, row, scratch):
    """out = the best of the candidates, the first of equals."""
    p = unpack(row, Winners)
    sign = np.float32(p.sign)
    for line in range(start, stop):
        x = p.x + offset(p.outer_table, p.outer_stride, line)
        place = p.candidates[line * p.parts]
        for part in range(1, p.parts):
            candidate = p.candidates[line * p.parts + part]
            if is_better(x[candidate] * sign, x[place] * sign):
                place = candidate
        p.out[line] = place
    return 0


@device_function
def better_of(value, number, best, place):
    """The better of a line's values and the best so far, and the number of its line (as bits of float32)."""
    keeps = (value <= best) | (best != best)
    return select(keeps, best, value), select(keeps, place, as_float_bits(splat(np.int32(number))))


@kernel(Places)
def arg_columns(start, stop, row, scratch):
    """out = the places of the best of COLUMNS columns; a task is that of one outer line."""
    p = unpack(row, Places)
    best = workspace(row, scratch)
    place = best + COLUMNS
    factor = splat(np.float32(p.sign))
    blocks = (p.inner + COLUMNS - 1) // COLUMNS
    for task in range(start, stop):
        line, column = task // blocks, task % blocks * COLUMNS
        x = p.x + (offset(p.outer_table, p.outer_stride, line) + column)
        width = min(COLUMNS, p.inner - column)
        for j in range(0, width, 16):
            store(best, j, load_first(x, j, width - j) * factor)
            store(place, j, splat(np.float32(0)))
        whole = width // 16 * 16
        for r in range(1, p.length):
            line_of_x = x + r * p.reduced_stride
            for j in range(0, whole, 16):
                value, number = better_of(load(line_of_x, j) * factor, r, load(best, j), load(place, j))
                store(best, j, value)
                store(place, j, number)
            if whole < width:
                value = load_first(line_of_x, whole, width - whole) * factor
                value, number = better_of(value, r, load(best, whole), load(place, whole))
                store(best, whole, value)
                store(place, whole, number)
        for j in range(0, width, 16):
            numbers = as_int_bits(load(place, j))
            for i in range(min(16, width - j)):
                p.out[line * p.inner + column + j + i] = np.int64(lane(numbers, i))
    return 0


def _append_rows(program, out, x, form: Form, sign: int) -> None:
    outer, parts = form.outer, -(-form.inner // PART)
    target = out if parts == 1 else program.workspace((outer.count, parts), INTEGER)
    args = Places(target, x, outer.table, outer.stride, 0, form.inner, 1, parts, sign)
    tasks = outer.count * parts
    program.append(arg_rows, tasks, args, chunk=chunk_of(tasks, min(form.inner, PART)))
    if parts > 1:
        args = Winners(out, target, x, outer.table, outer.stride, parts, sign)
        program.append(best_part, outer.count, args, chunk=chunk_of(outer.count, parts))


def argreduce(program, out, x, axis, function):
    if x.dtype is not FLOAT32 or not out.is_contiguous:
        return f"dtype {x.dtype}, or strided"
    form = form_of(x.shape, x.strides, (axis,))
    if form is None:
        x = contiguous(program, x)
        form = form_of(x.shape, x.strides, (axis,))
    if form.outer.table is not None:
        program.keep(form.outer.table)
    sign = 1 if function == "max" else -1
    if form.by_rows:
        _append_rows(program, out, x, form, sign)
        return None
    outer, reduced = form.outer, form.reduced
    args = Places(out, x, outer.table, outer.stride, reduced.stride, reduced.count, form.inner, 1, sign)
    tasks = outer.count * -(-form.inner // COLUMNS)
    elements = min(COLUMNS, form.inner) * reduced.count
    program.append(arg_columns, tasks, args, chunk=chunk_of(tasks, elements), scratch=2 * COLUMNS)
    return None


FUNCTIONS = (argreduce,)
