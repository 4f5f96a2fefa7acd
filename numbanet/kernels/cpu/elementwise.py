"""What all pointwise kernels share: rows of arguments, vectors with a tail, and walks over the lines of a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from numbanet.kernels.cpu.arguments import I64_FIELD
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.lines import line_begin, line_step, piece
from numbanet.kernels.cpu.simd.pointers import F32, INT64, U8
from numbanet.kernels.cpu.simd.tails import load_upto
from numbanet.kernels.cpu.simd.vector import splat, store_first


class Unary(NamedTuple):
    """``lines`` is None for contiguous arrays of ``size`` elements."""

    out: F32
    x: F32
    size: I64_FIELD
    code: I64_FIELD
    lines: INT64


class Binary(NamedTuple):
    out: F32
    x: F32
    y: F32
    size: I64_FIELD
    code: I64_FIELD
    lines: INT64


class Predicate(NamedTuple):
    """Into bytes: of two arrays, or of one (y is None)."""

    out: U8
    x: F32
    y: F32
    size: I64_FIELD
    code: I64_FIELD
    lines: INT64


@device_function
def read_or_repeat(pointer, step, i, n):
    """As load_upto, or pointer[0] in all lanes where the array's step along a line is 0."""
    return splat(pointer[0]) if step == 0 else load_upto(pointer, i, n)


# --- walks: a function handed over as an argument could not be cached, one that is closed over can --------------------
def named_after(function: Callable, walk: Callable) -> Callable:
    """``walk`` under a name that tells it from the other walks.

    Machine code is linked by qualified names and a number that counts from 1 in each process: without this, two walks
    from the cache that were compiled by two processes would be taken for one."""
    walk.__qualname__ = f"{walk.__qualname__}_{function.py_func.__name__}"
    return walk


def over_lines(function: Callable) -> Callable:
    """The walk that does out = function(x) in the lines of the tasks."""

    def walk(a, start, stop):
        for task in range(start, stop):
            first, last, begin, end = piece(a.lines, a.size, task)
            for line in range(first, last):
                out, x = a.out + line_begin(a.lines, 0, line), a.x + line_begin(a.lines, 1, line)
                for i in range(begin, end, 16):
                    store_first(out, i, function(load_upto(x, i, end - i)), end - i)
        return 0

    return device_function(named_after(function, walk))


def over_lines_by_code(function: Callable) -> Callable:
    """The walk that does out = function(code, x) in the lines of the tasks."""

    def walk(a, start, stop):
        for task in range(start, stop):
            first, last, begin, end = piece(a.lines, a.size, task)
            for line in range(first, last):
                out, x = a.out + line_begin(a.lines, 0, line), a.x + line_begin(a.lines, 1, line)
                for i in range(begin, end, 16):
                    store_first(out, i, function(a.code, load_upto(x, i, end - i)), end - i)
        return 0

    return device_function(named_after(function, walk))


def over_pairs_of_lines(function: Callable) -> Callable:
    """The walk that does out = function(code, x, y) in the lines of the tasks; x and y may be repeated along a line."""

    def walk(a, start, stop):
        x_step, y_step = line_step(a.lines, 1), line_step(a.lines, 2)
        for task in range(start, stop):
            first, last, begin, end = piece(a.lines, a.size, task)
            for line in range(first, last):
                out, x = a.out + line_begin(a.lines, 0, line), a.x + line_begin(a.lines, 1, line)
                y = a.y + line_begin(a.lines, 2, line)
                for i in range(begin, end, 16):
                    n = end - i
                    value = function(a.code, read_or_repeat(x, x_step, i, n), read_or_repeat(y, y_step, i, n))
                    store_first(out, i, value, n)
        return 0

    return device_function(named_after(function, walk))


def over_pairs(function: Callable) -> Callable:
    """The walk that does out = function(code, x, y), number by number, in the lines of the tasks; any steps."""

    def walk(a, start, stop):
        out_step, x_step, y_step = line_step(a.lines, 0), line_step(a.lines, 1), line_step(a.lines, 2)
        for task in range(start, stop):
            first, last, begin, end = piece(a.lines, a.size, task)
            for line in range(first, last):
                out, x = a.out + line_begin(a.lines, 0, line), a.x + line_begin(a.lines, 1, line)
                y = a.y + line_begin(a.lines, 2, line)
                for i in range(begin, end):
                    out[i * out_step] = function(a.code, x[i * x_step], y[i * y_step])
        return 0

    return device_function(named_after(function, walk))
