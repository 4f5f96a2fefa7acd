"""Kernels of functions of two int64 or two bool arrays: counters, comparisons of tokens, masks. Any strides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack
from numbanet.kernels.cpu.binary import AND, COMPARISONS, GE, OR, ordered
from numbanet.kernels.cpu.elementwise import over_pairs
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.lines import lines_of, tasks_of
from numbanet.kernels.cpu.simd.pointers import INT64, U8
from numbanet.kernels.numpy import share

INT, BOOL = np.dtype(np.int64), np.dtype(np.bool_)
ADD, SUB, MUL, MAXIMUM, MINIMUM = range(5)
ARITHMETIC = {"add": ADD, "sub": SUB, "mul": MUL, "maximum": MAXIMUM, "minimum": MINIMUM}


class Integers(NamedTuple):
    out: INT64
    x: INT64
    y: INT64
    size: I64_FIELD
    code: I64_FIELD
    lines: INT64


class IntegerComparison(NamedTuple):
    out: U8
    x: INT64
    y: INT64
    size: I64_FIELD
    code: I64_FIELD
    lines: INT64


class Bits(NamedTuple):
    out: U8
    x: U8
    y: U8
    size: I64_FIELD
    code: I64_FIELD
    lines: INT64


@device_function
def arithmetic_of(code, x, y):
    """x + y, x − y, x · y (modulo 2⁶⁴), or the larger or smaller one."""
    if code == ADD:
        return x + y
    if code == SUB:
        return x - y
    if code == MUL:
        return x * y
    if code == MAXIMUM:
        return max(x, y)
    return min(x, y)


@device_function
def is_so(code, x, y):
    """Whether x and y compare so, as a byte."""
    if code <= GE:
        return np.uint8(ordered(code, x, y))
    if code == AND:
        return np.uint8(x != 0 and y != 0)
    if code == OR:
        return np.uint8(x != 0 or y != 0)
    return np.uint8((x != 0) != (y != 0))


_arithmetic_walk = over_pairs(arithmetic_of)
_comparison_walk = over_pairs(is_so)


@kernel(Integers)
def integer_arithmetic(start, stop, row, scratch):
    """out = x + y, x − y, x · y, maximum or minimum, by the code."""
    return _arithmetic_walk(unpack(row, Integers), start, stop)


@kernel(IntegerComparison)
def integer_comparison(start, stop, row, scratch):
    """out (bytes) = whether x and y compare so, by the code."""
    return _comparison_walk(unpack(row, IntegerComparison), start, stop)


@kernel(Bits)
def bool_comparison(start, stop, row, scratch):
    """out = whether the bytes x and y compare so, by the code."""
    return _comparison_walk(unpack(row, Bits), start, stop)


def of_two(program, out, x, y, function: str) -> bool:
    """Append a function of two arrays of these dtypes; False if there is no kernel for it."""
    dtypes = (out.dtype, x.dtype, y.dtype)
    if dtypes == (INT, INT, INT) and function in ARITHMETIC:
        which, arguments, code = integer_arithmetic, Integers, ARITHMETIC[function]
    elif dtypes == (BOOL, INT, INT) and function in COMPARISONS:
        which, arguments, code = integer_comparison, IntegerComparison, COMPARISONS[function]
    elif dtypes == (BOOL, BOOL, BOOL) and function in COMPARISONS:
        which, arguments, code = bool_comparison, Bits, COMPARISONS[function]
    else:
        return False
    if x.is_contiguous and y.is_contiguous and out.is_contiguous:
        tasks, chunk = tasks_of(out.size)
        program.append(which, tasks, arguments(out, x, y, out.size, code, None), chunk=chunk)
    else:
        lines = lines_of(out.shape, out.strides, x.strides, y.strides)
        table = program.keep(lines.table)
        program.append(which, lines.tasks, arguments(out, x, y, 0, code, table), chunk=lines.chunk)
    return True


def logical_not(program, out, x) -> None:
    """Append out = not x, for bool arrays: x differs from True."""
    of_two(program, out, x, program.keep(share(None, np.ones((), BOOL))).view(x.shape, (0,) * x.ndim), "ne")
