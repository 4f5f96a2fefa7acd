"""Copies: lines, transposed planes in tiles, any strides element by element, and casts; and fill.

Arrays of 8-byte elements and of bytes are copied as such; along whole lines everything is copied as float32 words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from numbanet.kernels.array import Array
from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, unpack
from numbanet.kernels.cpu.elementwise import named_after, short_along
from numbanet.kernels.cpu.kernel import Kernel, device_function, kernel
from numbanet.kernels.cpu.lines import CHUNK, Lines, line_begin, line_step, lines_of, make_lines, piece, tasks_of
from numbanet.kernels.cpu.simd.lanes import transpose_eight
from numbanet.kernels.cpu.simd.pointers import F32, F64, INT64, U8
from numbanet.kernels.cpu.simd.vector import splat, store_first

FLOAT32, FLOAT64, INT = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)
BOOL, BYTE = np.dtype(np.bool_), np.dtype(np.uint8)
TILE = 8
SIDE = 64
"""Rows and columns of a task of a transposition."""


class Copy(NamedTuple):
    out: F32
    x: F32
    size: I64_FIELD
    lines: INT64


class Words(NamedTuple):
    out: INT64
    x: INT64
    size: I64_FIELD
    lines: INT64


class Bytes(NamedTuple):
    out: U8
    x: U8
    size: I64_FIELD
    lines: INT64


class Transpose(NamedTuple):
    """Planes out (rows, columns) with rows ``out_row`` apart from x (columns, rows) with ``x_row``."""

    out: F32
    x: F32
    lines: INT64
    rows: I64_FIELD
    columns: I64_FIELD
    out_row: I64_FIELD
    x_row: I64_FIELD


class Fill(NamedTuple):
    out: F32
    value: F64_FIELD
    size: I64_FIELD
    lines: INT64


@device_function
def same(x):
    return x


_copy_along = short_along(same)


@kernel(Copy)
def copy_lines(start, stop, row, scratch):
    """out = x along whole lines; x may be repeated along a line."""
    a = unpack(row, Copy)
    step = line_step(a.lines, 1)
    for task in range(start, stop):
        first, last, begin, end = piece(a.lines, a.size, task)
        for line in range(first, last):
            out, x = a.out + line_begin(a.lines, 0, line), a.x + line_begin(a.lines, 1, line)
            if step == 0:
                for i in range(begin, end, 16):
                    store_first(out, i, splat(x[0]), end - i)
            else:
                _copy_along(out, x, begin, end)
    return 0


@kernel(Transpose)
def copy_transposed(start, stop, row, scratch):
    """out[i, j] = x[j, i] for planes; a task is SIDE × SIDE elements, in tiles of 8 × 8 but at the edges."""
    a = unpack(row, Transpose)
    down, across = (a.rows + SIDE - 1) // SIDE, (a.columns + SIDE - 1) // SIDE
    for task in range(start, stop):
        plane = task // (down * across)
        rest = task - plane * (down * across)
        top, left = rest // across * SIDE, rest % across * SIDE
        bottom, right = min(top + SIDE, a.rows), min(left + SIDE, a.columns)
        out, x = a.out + line_begin(a.lines, 0, plane), a.x + line_begin(a.lines, 1, plane)
        whole_rows, whole_columns = top + (bottom - top) // TILE * TILE, left + (right - left) // TILE * TILE
        for i in range(top, whole_rows, TILE):
            for j in range(left, whole_columns, TILE):
                transpose_eight(out + (i * a.out_row + j), a.out_row, x + (j * a.x_row + i), a.x_row, TILE)
            for k in range(i, i + TILE):
                for j in range(whole_columns, right):
                    out[k * a.out_row + j] = x[j * a.x_row + k]
        for i in range(whole_rows, bottom):
            for j in range(left, right):
                out[i * a.out_row + j] = x[j * a.x_row + i]
    return 0


@kernel(Fill)
def constant(start, stop, row, scratch):
    """out = value."""
    a = unpack(row, Fill)
    step, value = line_step(a.lines, 0), np.float32(a.value)
    for task in range(start, stop):
        first, last, begin, end = piece(a.lines, a.size, task)
        for line in range(first, last):
            out = a.out + line_begin(a.lines, 0, line)
            if step == 1:
                for i in range(begin, end, 16):
                    store_first(out, i, splat(value), end - i)
            else:
                for i in range(begin, end):
                    out[i * step] = value
    return 0


# --- element by element ----------------------------------------------------------------------------------------------
def over_elements(convert: Callable) -> Callable:
    """The walk that does out = convert(x), any steps."""

    def walk(a, start, stop):
        out_step, x_step = line_step(a.lines, 0), line_step(a.lines, 1)
        for task in range(start, stop):
            first, last, begin, end = piece(a.lines, a.size, task)
            for line in range(first, last):
                out, x = a.out + line_begin(a.lines, 0, line), a.x + line_begin(a.lines, 1, line)
                for i in range(begin, end):
                    out[i * out_step] = convert(x[i * x_step])
        return 0

    return device_function(named_after(convert, walk))


@device_function
def same(value):
    return value


@device_function
def as_float32(value):
    return np.float32(value)


@device_function
def as_float64(value):
    return np.float64(value)


@device_function
def as_int64(value):
    return np.int64(value)


@device_function
def as_bool(value):
    return np.uint8(1) if value != np.float32(0) else np.uint8(0)


class FromBytes(NamedTuple):
    out: F32
    x: U8
    size: I64_FIELD
    lines: INT64


class FromInts(NamedTuple):
    out: F32
    x: INT64
    size: I64_FIELD
    lines: INT64


class FromDoubles(NamedTuple):
    out: F32
    x: F64
    size: I64_FIELD
    lines: INT64


class ToBytes(NamedTuple):
    out: U8
    x: F32
    size: I64_FIELD
    lines: INT64


class ToInts(NamedTuple):
    out: INT64
    x: F32
    size: I64_FIELD
    lines: INT64


class ToDoubles(NamedTuple):
    out: F64
    x: F32
    size: I64_FIELD
    lines: INT64


_same_walk = over_elements(same)


@kernel(Copy)
def copy_floats(start, stop, row, scratch):
    """out = x, float32 of any strides."""
    return _same_walk(unpack(row, Copy), start, stop)


@kernel(Words)
def copy_words(start, stop, row, scratch):
    """out = x, elements of 8 bytes."""
    return _same_walk(unpack(row, Words), start, stop)


@kernel(Bytes)
def copy_bytes(start, stop, row, scratch):
    """out = x, elements of a byte."""
    return _same_walk(unpack(row, Bytes), start, stop)


_as_float32_walk = over_elements(as_float32)


@kernel(FromBytes)
def bytes_to_floats(start, stop, row, scratch):
    """out = x, from uint8 or bool."""
    return _as_float32_walk(unpack(row, FromBytes), start, stop)


@kernel(FromInts)
def ints_to_floats(start, stop, row, scratch):
    """out = x, from int64."""
    return _as_float32_walk(unpack(row, FromInts), start, stop)


@kernel(FromDoubles)
def doubles_to_floats(start, stop, row, scratch):
    """out = x, from float64."""
    return _as_float32_walk(unpack(row, FromDoubles), start, stop)


_as_bool_walk = over_elements(as_bool)


@kernel(ToBytes)
def floats_to_bools(start, stop, row, scratch):
    """out (bool) = x is not 0."""
    return _as_bool_walk(unpack(row, ToBytes), start, stop)


_as_int64_walk = over_elements(as_int64)


@kernel(ToInts)
def floats_to_ints(start, stop, row, scratch):
    """out (int64) = x without its fraction."""
    return _as_int64_walk(unpack(row, ToInts), start, stop)


_as_float64_walk = over_elements(as_float64)


@kernel(ToDoubles)
def floats_to_doubles(start, stop, row, scratch):
    """out (float64) = x."""
    return _as_float64_walk(unpack(row, ToDoubles), start, stop)


ELEMENTS: dict[tuple[np.dtype, np.dtype], tuple[Kernel, type]] = {
    (FLOAT32, FLOAT32): (copy_floats, Copy),
    (INT, INT): (copy_words, Words),
    (FLOAT64, FLOAT64): (copy_words, Words),
    (BOOL, BOOL): (copy_bytes, Bytes),
    (BYTE, BYTE): (copy_bytes, Bytes),
    (FLOAT32, BOOL): (bytes_to_floats, FromBytes),
    (FLOAT32, BYTE): (bytes_to_floats, FromBytes),
    (FLOAT32, INT): (ints_to_floats, FromInts),
    (FLOAT32, FLOAT64): (doubles_to_floats, FromDoubles),
    (BOOL, FLOAT32): (floats_to_bools, ToBytes),
    (INT, FLOAT32): (floats_to_ints, ToInts),
    (FLOAT64, FLOAT32): (floats_to_doubles, ToDoubles),
}
"""Kernel and arguments by the dtypes of out and x."""


# --- the functions of the contract -----------------------------------------------------------------------------------
def copy(program, out, x):
    found = ELEMENTS.get((out.dtype, x.dtype))
    if found is None:
        return f"from {x.dtype} to {out.dtype}"
    plain = out.is_contiguous and x.is_contiguous
    if out.dtype is x.dtype and out.dtype.itemsize >= 4 and plain:
        size = out.size * out.dtype.itemsize // 4
        tasks, chunk = tasks_of(size)
        program.append(copy_lines, tasks, Copy(out, x, size, None), chunk=chunk)
        return None
    if plain:
        tasks, chunk = tasks_of(out.size)
        program.append(found[0], tasks, found[1](out, x, out.size, None), chunk=chunk)
        return None
    lines = lines_of(out.shape, out.strides, x.strides)
    _append_strided(program, out, x, lines, found)
    return None


def _append_strided(program, out: Array, x: Array, lines: Lines, found: tuple[Kernel, type]) -> None:
    which, arguments = found
    if which is copy_floats:
        if lines.steps[0] == 1 and lines.steps[1] <= 1:
            which = copy_lines
        elif lines.steps[0] == 1 and 1 in lines.strides[1]:
            _append_transposed(program, out, x, lines)
            return
    table = program.keep(lines.table)
    program.append(which, lines.tasks, arguments(out, x, 0, table), chunk=lines.chunk)


def _append_transposed(program, out: Array, x: Array, lines: Lines) -> None:
    """Planes of the last axis of the output and of that along which x lies row by row."""
    at = lines.strides[1].index(1)
    rest = [axis for axis in range(len(lines.axes)) if axis != at]
    extents = [lines.axes[axis] for axis in rest]
    planes = _planes(tuple(extents), *(tuple(one[axis] for axis in rest) for one in lines.strides))
    rows, columns = lines.axes[at], lines.columns
    tasks = -(-rows // SIDE) * -(-columns // SIDE)
    for extent in extents:
        tasks *= extent
    args = Transpose(out, x, program.keep(planes), rows, columns, lines.strides[0][at], lines.steps[1])
    program.append(copy_transposed, tasks, args, chunk=1 if out.size > 4 * CHUNK else tasks)


def _planes(extents: tuple[int, ...], out: tuple[int, ...], x: tuple[int, ...]) -> Array:
    """A table that finds the planes as other tables find lines: the plane itself is an axis of one element."""
    return make_lines([*extents, 1], [[*out, 0], [*x, 0]]).table


def fill(program, out, value):
    if out.dtype is not FLOAT32:
        return f"dtype {out.dtype}"
    if out.is_contiguous:
        tasks, chunk = tasks_of(out.size)
        program.append(constant, tasks, Fill(out, float(value), out.size, None), chunk=chunk)
        return None
    lines = lines_of(out.shape, out.strides)
    args = Fill(out, float(value), 0, program.keep(lines.table))
    program.append(constant, lines.tasks, args, chunk=lines.chunk)
    return None


def contiguous(program, x: Array) -> Array:
    """x in memory of its own, row-major; what is repeated with stride 0 stays so."""
    shape = tuple(1 if stride == 0 else extent for extent, stride in zip(x.shape, x.strides, strict=True))
    made = program.workspace(shape, x.dtype)
    copy(program, made, x.view(shape, x.strides))
    return made.view(x.shape, tuple(a if b else 0 for a, b in zip(made.strides, x.strides, strict=True)))


def concatenate(program, out, inputs, axis):
    for x in inputs:
        if (out.dtype, x.dtype) not in ELEMENTS:
            return f"from {x.dtype} to {out.dtype}"
    begin = 0
    for x in inputs:
        if x.size:
            copy(program, out.view(x.shape, out.strides, out.offset + begin * out.strides[axis]), x)
        begin += x.shape[axis]
    return None


FUNCTIONS = (copy, fill, concatenate)
