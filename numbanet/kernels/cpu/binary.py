"""Kernels of functions of two float32 arrays, comparisons, and the choice between two arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack
from numbanet.kernels.cpu.elementwise import (
    Binary,
    Predicate,
    long_along_pair,
    over_pairs,
    over_pairs_of_lines,
    read_or_repeat,
    short_along_pair,
)
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.lines import line_begin, line_step, piece
from numbanet.kernels.cpu.simd.masks import load_bits, store_bits
from numbanet.kernels.cpu.simd.pointers import F32, INT64, U8
from numbanet.kernels.cpu.simd.power import power
from numbanet.kernels.cpu.simd.vector import select, splat, store_first

ZERO = np.float32(0)
ADD, SUB, MUL, DIV, MAXIMUM, MINIMUM = range(6)
BINARY_CODES = {"add": ADD, "sub": SUB, "mul": MUL, "div": DIV, "maximum": MAXIMUM, "minimum": MINIMUM}
EQ, NE, LT, LE, GT, GE, AND, OR, XOR = range(9)
COMPARISONS = {
    "eq": EQ, "ne": NE, "lt": LT, "le": LE, "gt": GT, "ge": GE,
    "logical_and": AND, "logical_or": OR, "logical_xor": XOR,
}  # fmt: skip


class Where(NamedTuple):
    out: F32
    condition: U8
    x: F32
    y: F32
    size: I64_FIELD
    lines: INT64


@device_function
def add(x, y):
    return x + y


@device_function
def sub(x, y):
    return x - y


@device_function
def mul(x, y):
    return x * y


@device_function
def div(x, y):
    return x / y


@device_function
def maximum(x, y):
    """The larger one, NaN if one is."""
    return select((x > y) | (x != x), x, y)


@device_function
def minimum(x, y):
    """The smaller one, NaN if one is."""
    return select((x < y) | (x != x), x, y)


_add, _sub, _mul, _div, _maximum, _minimum = map(short_along_pair, (add, sub, mul, div, maximum, minimum))


@device_function
def arithmetic_along(code, out, x, y, x_step, y_step, begin, end):
    """x + y, x − y, x · y, x / y, or the larger or smaller one, along a line."""
    if code == ADD:
        _add(code, out, x, y, x_step, y_step, begin, end)
    elif code == SUB:
        _sub(code, out, x, y, x_step, y_step, begin, end)
    elif code == MUL:
        _mul(code, out, x, y, x_step, y_step, begin, end)
    elif code == DIV:
        _div(code, out, x, y, x_step, y_step, begin, end)
    elif code == MAXIMUM:
        _maximum(code, out, x, y, x_step, y_step, begin, end)
    else:
        _minimum(code, out, x, y, x_step, y_step, begin, end)


@device_function
def ordered(code, x, y):
    """Whether x and y, vectors or numbers, are equal or ordered so; the code is one of EQ … GE."""
    if code == EQ:
        return x == y
    if code == NE:
        return x != y
    if code == LT:
        return x < y
    if code == LE:
        return x <= y
    if code == GT:
        return x > y
    return x >= y


@device_function
def comparison_of(code, x, y):
    """A mask."""
    if code <= GE:
        return ordered(code, x, y)
    x, y = x != splat(ZERO), y != splat(ZERO)
    if code == AND:
        return x & y
    if code == OR:
        return x | y
    return x ^ y


_arithmetic_walk = over_pairs_of_lines(arithmetic_along)


@kernel(Binary)
def arithmetic(start, stop, row, scratch):
    """out = x + y, x − y, x · y, x / y, maximum or minimum, by the code."""
    return _arithmetic_walk(unpack(row, Binary), start, stop)


@device_function
def power_of(code, x, y):
    """x to the power of y."""
    return power(x, y)


_power_walk = over_pairs_of_lines(long_along_pair(power_of))


@kernel(Binary)
def pow(start, stop, row, scratch):
    """out = xʸ."""
    return _power_walk(unpack(row, Binary), start, stop)


@kernel(Predicate)
def comparison(start, stop, row, scratch):
    """out (bytes) = whether x and y compare so, by the code."""
    a = unpack(row, Predicate)
    x_step, y_step = line_step(a.lines, 1), line_step(a.lines, 2)
    for task in range(start, stop):
        first, last, begin, end = piece(a.lines, a.size, task)
        for line in range(first, last):
            out, x = a.out + line_begin(a.lines, 0, line), a.x + line_begin(a.lines, 1, line)
            y = a.y + line_begin(a.lines, 2, line)
            for i in range(begin, end, 16):
                n = end - i
                bits = comparison_of(a.code, read_or_repeat(x, x_step, i, n), read_or_repeat(y, y_step, i, n))
                store_bits(out, i, bits, n)
    return 0


@kernel(Where)
def choice(start, stop, row, scratch):
    """out = x where the condition is set, else y."""
    a = unpack(row, Where)
    condition_step, x_step, y_step = line_step(a.lines, 1), line_step(a.lines, 2), line_step(a.lines, 3)
    for task in range(start, stop):
        first, last, begin, end = piece(a.lines, a.size, task)
        for line in range(first, last):
            out, condition = a.out + line_begin(a.lines, 0, line), a.condition + line_begin(a.lines, 1, line)
            x, y = a.x + line_begin(a.lines, 2, line), a.y + line_begin(a.lines, 3, line)
            always = splat(np.float32(condition[0])) != splat(ZERO)
            for i in range(begin, end, 16):
                n = end - i
                bits = always if condition_step == 0 else load_bits(condition, i, n)
                value = select(bits, read_or_repeat(x, x_step, i, n), read_or_repeat(y, y_step, i, n))
                store_first(out, i, value, n)
    return 0


@device_function
def remainder_of(code, x, y):
    """x − y·⌊x / y⌋ with the sign of y (code 1), or ⌊x / y⌋ (code 0), step by step as NumPy does it."""
    rest = np.fmod(x, y)
    if y == ZERO:
        return rest if code else x / y
    quotient = (x - rest) / y
    if rest != ZERO:
        if (y < ZERO) != (rest < ZERO):
            rest = rest + y
            quotient = quotient - np.float32(1)
    else:
        rest = np.copysign(ZERO, y)
    if code:
        return rest
    if quotient == ZERO:
        return np.copysign(ZERO, x / y)
    whole = np.floor(quotient)
    return whole + np.float32(1) if quotient - whole > np.float32(0.5) else whole


_remainder_walk = over_pairs(remainder_of)


@kernel(Binary)
def remainder(start, stop, row, scratch):
    """out = floor_divide or remainder of x and y, element by element; any steps."""
    return _remainder_walk(unpack(row, Binary), start, stop)
