"""What all pointwise kernels share: rows of arguments, vectors with a tail, and walks over the lines of a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from numbanet.kernels.cpu.arguments import I64_FIELD
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.lines import line_begin, line_step, piece
from numbanet.kernels.cpu.simd.pointers import F32, INT64, U8
from numbanet.kernels.cpu.simd.tails import load_upto
from numbanet.kernels.cpu.simd.vector import load, load_first, splat, store, store_first


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
    walk.__qualname__ = f"{walk.__qualname__}_{function.py_func.__qualname__.rpartition('.')[2]}"
    return walk


def short_along(function: Callable) -> Callable:
    """out = function(x) along a line: whole vectors in a loop of their own, which does nothing else. Functions of a few
    instructions would spend half of their time on asking whether the line ends."""

    def short_line(out, x, begin, end):
        whole = begin + (end - begin) // 16 * 16
        for i in range(begin, whole, 16):
            store(out, i, function(load(x, i)))
        if whole < end:
            store_first(out, whole, function(load_first(x, whole, end - whole)), end - whole)

    return device_function(named_after(function, short_line))


def long_along(function: Callable) -> Callable:
    """As short_along with one loop, and so half of the machine code."""

    def long_line(out, x, begin, end):
        for i in range(begin, end, 16):
            store_first(out, i, function(load_upto(x, i, end - i)), end - i)

    return device_function(named_after(function, long_line))


def over_lines(along: Callable) -> Callable:
    """The walk that does out = function(x) in the lines of the tasks; ``along`` does a line."""

    def walk(a, start, stop):
        for task in range(start, stop):
            first, last, begin, end = piece(a.lines, a.size, task)
            for line in range(first, last):
                along(a.out + line_begin(a.lines, 0, line), a.x + line_begin(a.lines, 1, line), begin, end)
        return 0

    return device_function(named_after(along, walk))


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


def short_along_pair(function: Callable) -> Callable:
    """out = function(x, y) along a line as short_along; x and y may be repeated along it (step 0)."""

    def short_line(code, out, x, y, x_step, y_step, begin, end):
        whole = begin + (end - begin) // 16 * 16
        if x_step != 0 and y_step != 0:
            for i in range(begin, whole, 16):
                store(out, i, function(load(x, i), load(y, i)))
        elif x_step != 0:
            repeated = splat(y[0])
            for i in range(begin, whole, 16):
                store(out, i, function(load(x, i), repeated))
        else:
            repeated = splat(x[0])
            for i in range(begin, whole, 16):
                store(out, i, function(repeated, read_or_repeat(y, y_step, i, 16)))
        if whole < end:
            n = end - whole
            value = function(read_or_repeat(x, x_step, whole, n), read_or_repeat(y, y_step, whole, n))
            store_first(out, whole, value, n)

    return device_function(named_after(function, short_line))


def long_along_pair(function: Callable) -> Callable:
    """out = function(code, x, y) along a line as long_along; x and y may be repeated along it."""

    def long_line(code, out, x, y, x_step, y_step, begin, end):
        for i in range(begin, end, 16):
            n = end - i
            value = function(code, read_or_repeat(x, x_step, i, n), read_or_repeat(y, y_step, i, n))
            store_first(out, i, value, n)

    return device_function(named_after(function, long_line))


def over_pairs_of_lines(along: Callable) -> Callable:
    """The walk that does out = function(x, y) in the lines of the tasks; ``along`` does a line, by the code."""

    def walk(a, start, stop):
        x_step, y_step = line_step(a.lines, 1), line_step(a.lines, 2)
        for task in range(start, stop):
            first, last, begin, end = piece(a.lines, a.size, task)
            for line in range(first, last):
                out, x = a.out + line_begin(a.lines, 0, line), a.x + line_begin(a.lines, 1, line)
                along(a.code, out, x, a.y + line_begin(a.lines, 2, line), x_step, y_step, begin, end)
        return 0

    return device_function(named_after(along, walk))


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
