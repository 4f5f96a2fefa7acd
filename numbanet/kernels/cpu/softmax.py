"""Softmax and log-softmax along any axis, and their gradients: whole vectors, and masks at the end of a line only.

Along lines of elements that lie side by side a task is a line. Along another axis a task is COLUMNS columns of it, so
that each of its lines is a piece of a row of x.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.fold import larger
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.simd.exponential import exp_nonpositive, exp_term
from numbanet.kernels.cpu.simd.maths import exp, log
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.vector import (
    lane,
    lane_index,
    lane_max,
    lane_sum,
    load,
    load_first,
    select,
    splat,
    store,
    store_first,
)

ELEMENTS_A_CHUNK = 1 << 13
COLUMNS = 16
"""Columns of a task along another axis than the last: one vector."""


SHORT = 16
"""Elements below which 16 lines are taken at once, a line a lane: no lane idles, and nothing goes across lanes."""


class Lines(NamedTuple):
    """out, x and y (outer, length, inner); y is the output of softmax, and x then the gradient of it."""

    out: F32
    x: F32
    y: F32
    length: I64_FIELD
    inner: I64_FIELD
    log: I64_FIELD


@device_function
def below(left):
    """The lanes below ``left``."""
    return lane_index() < splat(np.int32(left))


@device_function
def line_max(x, length):
    """Maximum of a line; NaN if it holds one."""
    lowest = splat(np.float32(-np.inf))
    a, b = lowest, lowest
    whole, vectors = length // 32 * 32, length // 16 * 16
    for i in range(0, whole, 32):
        a, b = larger(a, load(x, i)), larger(b, load(x, i + 16))
    if whole < vectors:
        a = larger(a, load(x, whole))
    if vectors < length:
        b = larger(b, select(below(length - vectors), load_first(x, vectors, length - vectors), lowest))
    return lane_max(larger(a, b))


@device_function
def line_sum(x, length):
    """Sum of a line in 16 virtual lanes."""
    total = splat(np.float32(0))
    whole = length // 16 * 16
    for i in range(0, whole, 16):
        total = total + load(x, i)
    if whole < length:
        total = total + load_first(x, whole, length - whole)
    return lane_sum(total)


@device_function
def exp_sum(x, length, highest):
    """Σ exp(x − highest) of a line in 16 virtual lanes; NaN where ``highest`` is +∞."""
    shift = splat(highest)
    total = splat(np.float32(0))
    whole = length // 16 * 16
    for i in range(0, whole, 16):
        total = total + exp_term(load(x, i) - shift)
    if whole < length:
        value = exp_term(load_first(x, whole, length - whole) - shift)
        total = total + select(below(length - whole), value, splat(np.float32(0)))
    return lane_sum(total)


@device_function
def scalar_log(value):
    """The logarithm of one number, by the vector function."""
    return lane(log(splat(value)), 0)


@device_function
def softmax_line(out, x, length):
    """out = exp(x − max), then divided by its sum."""
    shift = splat(line_max(x, length))
    total = splat(np.float32(0))
    whole = length // 16 * 16
    left = length - whole
    last = total
    for i in range(0, whole, 16):
        value = exp_nonpositive(load(x, i) - shift)
        total = total + value
        store(out, i, value)
    if left > 0:
        last = exp_nonpositive(load_first(x, whole, left) - shift)
        total = total + select(below(left), last, splat(np.float32(0)))
    factor = splat(np.float32(1) / lane_sum(total))
    for i in range(0, whole, 16):
        store(out, i, load(out, i) * factor)
    if left > 0:
        store_first(out, whole, last * factor, left)


@device_function
def log_softmax_line(out, x, length):
    """out = x − max − ln Σ exp(x − max)."""
    highest = line_max(x, length)
    shift, logarithm = splat(highest), splat(scalar_log(exp_sum(x, length, highest)))
    whole = length // 16 * 16
    for i in range(0, whole, 16):
        store(out, i, load(x, i) - shift - logarithm)
    if whole < length:
        value = load_first(x, whole, length - whole) - shift - logarithm
        store_first(out, whole, value, length - whole)


@device_function
def gather_lines(memory, x, lines, length):
    """memory[j · 16 + i] = x[i, j] for up to 16 lines of fewer than 16 elements: a line a lane."""
    for i in range(lines):
        for j in range(length):
            memory[j * 16 + i] = x[i * length + j]


@device_function
def short_max(memory, length):
    """The maxima of gathered lines."""
    best = load(memory, 0)
    for j in range(1, length):
        best = larger(best, load(memory, j * 16))
    return best


@device_function
def short_exp_sum(memory, length, shift):
    """Σ exp(x − shift) of gathered lines; the exponentials take the place of the elements."""
    total = splat(np.float32(0))
    for j in range(length):
        value = exp_nonpositive(load(memory, j * 16) - shift)
        total = total + value
        store(memory, j * 16, value)
    return total


@device_function
def softmax_short_lines(out, x, memory, lines, length, is_log):
    """Softmax, or log-softmax, of up to 16 lines of fewer than 16 elements."""
    gather_lines(memory, x, lines, length)
    shift = short_max(memory, length)
    total = short_exp_sum(memory, length, shift)
    if is_log:
        logarithm = log(total)
        gather_lines(memory, x, lines, length)
        for j in range(length):
            store(memory, j * 16, load(memory, j * 16) - shift - logarithm)
    else:
        factor = splat(np.float32(1)) / total
        for j in range(length):
            store(memory, j * 16, load(memory, j * 16) * factor)
    for i in range(lines):
        for j in range(length):
            out[i * length + j] = memory[j * 16 + i]


@kernel(Lines)
def softmax_lines(start, stop, row, scratch):
    """Softmax, or log-softmax, along lines that lie side by side."""
    p = unpack(row, Lines)
    if p.length < SHORT:
        for line in range(start, stop, 16):
            at = line * p.length
            softmax_short_lines(
                p.out + at, p.x + at, workspace(row, scratch), min(16, stop - line), p.length, p.log != 0
            )
        return 0
    for line in range(start, stop):
        if p.log:
            log_softmax_line(p.out + line * p.length, p.x + line * p.length, p.length)
        else:
            softmax_line(p.out + line * p.length, p.x + line * p.length, p.length)
    return 0


@kernel(Lines)
def softmax_columns(start, stop, row, scratch):
    """Softmax, or log-softmax, of COLUMNS columns."""
    p = unpack(row, Lines)
    blocks = (p.inner + COLUMNS - 1) // COLUMNS
    for task in range(start, stop):
        begin = task // blocks * p.length * p.inner + task % blocks * COLUMNS
        n = p.inner - task % blocks * COLUMNS
        x, out = p.x + begin, p.out + begin
        shift, total = splat(np.float32(-np.inf)), splat(np.float32(0))
        for i in range(p.length):
            shift = larger(shift, load_first(x, i * p.inner, n))
        for i in range(p.length):
            value = exp_nonpositive(load_first(x, i * p.inner, n) - shift)
            total = total + value
            if p.log == 0:
                store_first(out, i * p.inner, value, n)
        factor = log(total) if p.log else splat(np.float32(1)) / total
        for i in range(p.length):
            if p.log:
                store_first(out, i * p.inner, load_first(x, i * p.inner, n) - shift - factor, n)
            else:
                store_first(out, i * p.inner, load_first(out, i * p.inner, n) * factor, n)
    return 0


@device_function
def input_gradient(grad, y, total, is_log):
    """y · (grad − total), or grad − exp(y) · total for the log-softmax."""
    if is_log:
        return grad - exp(y) * total
    return y * (grad - total)


@kernel(Lines)
def softmax_lines_gradient(start, stop, row, scratch):
    """out = y·(x − Σ x·y) with x the gradient of y, or x − exp(y)·Σ x for the log-softmax."""
    p = unpack(row, Lines)
    whole = p.length // 16 * 16
    left = p.length - whole
    for line in range(start, stop):
        grad, y, out = p.x + line * p.length, p.y + line * p.length, p.out + line * p.length
        total = splat(np.float32(0))
        for i in range(0, whole, 16):
            total = total + (load(grad, i) if p.log else load(grad, i) * load(y, i))
        if left > 0:
            value = load_first(grad, whole, left)
            total = total + (value if p.log else value * load_first(y, whole, left))
        total = splat(lane_sum(total))
        for i in range(0, whole, 16):
            store(out, i, input_gradient(load(grad, i), load(y, i), total, p.log))
        if left > 0:
            value = input_gradient(load_first(grad, whole, left), load_first(y, whole, left), total, p.log)
            store_first(out, whole, value, left)
    return 0


@kernel(Lines)
def softmax_columns_gradient(start, stop, row, scratch):
    """As softmax_lines_gradient, of COLUMNS columns."""
    p = unpack(row, Lines)
    blocks = (p.inner + COLUMNS - 1) // COLUMNS
    for task in range(start, stop):
        begin = task // blocks * p.length * p.inner + task % blocks * COLUMNS
        n = p.inner - task % blocks * COLUMNS
        grad, y, out = p.x + begin, p.y + begin, p.out + begin
        total = splat(np.float32(0))
        for i in range(p.length):
            value = load_first(grad, i * p.inner, n)
            total = total + (value if p.log else value * load_first(y, i * p.inner, n))
        for i in range(p.length):
            value = input_gradient(load_first(grad, i * p.inner, n), load_first(y, i * p.inner, n), total, p.log)
            store_first(out, i * p.inner, value, n)
    return 0


def declines(*arrays) -> str | None:
    """As float32_contiguous; nothing is said of rows without an element either."""
    return float32_contiguous(*arrays) or ("an empty row" if arrays[0].ndim and arrays[0].size == 0 else None)


def chunk_of(tasks: int, elements: int) -> int:
    """Tasks of so many elements that a thread claims at once."""
    return max(1, min(tasks, ELEMENTS_A_CHUNK // elements))


def _append(program, lines, columns, out, x, y, log) -> None:
    outer, length, inner = x.shape
    args = Lines(out, x, y, length, inner, int(log))
    if inner == 1:
        program.append(lines, outer, args, chunk=chunk_of(outer, length), scratch=16 * SHORT)
    else:
        tasks = outer * -(-inner // COLUMNS)
        program.append(columns, tasks, args, chunk=chunk_of(tasks, COLUMNS * length))


def softmax(program, out, x, log):
    reason = declines(out, x)
    if reason is None:
        _append(program, softmax_lines, softmax_columns, out, x, None, log)
    return reason


def softmax_backward(program, out, grad, y, log):
    reason = declines(out, grad, y)
    if reason is None:
        _append(program, softmax_lines_gradient, softmax_columns_gradient, out, grad, y, log)
    return reason


FUNCTIONS = (softmax, softmax_backward)
