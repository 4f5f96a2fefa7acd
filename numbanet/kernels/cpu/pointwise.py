"""ReLU and its gradient, sums and products of equal shapes, and fill: passes over memory in 16 lanes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, unpack
from numbanet.kernels.cpu.kernel import kernel
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.vector import load, load_first, select, splat, store, store_first

FLOAT32 = np.dtype(np.float32)
CHUNK = 4096
"""Elements of a task: three arrays of it fit into the first-level cache."""
ADD, SUB, MUL, DIV = range(4)
BINARY_CODES = {"add": ADD, "sub": SUB, "mul": MUL, "div": DIV}


def tasks_of(size: int) -> tuple[int, int]:
    """Tasks of CHUNK elements, and how many are claimed at once (small arrays stay on one thread)."""
    tasks = (size + CHUNK - 1) // CHUNK
    return tasks, 4 if tasks <= 4 else 2


class Unary(NamedTuple):
    out: F32
    x: F32
    size: I64_FIELD


class Binary(NamedTuple):
    out: F32
    x: F32
    y: F32
    size: I64_FIELD
    code: I64_FIELD


class Fill(NamedTuple):
    out: F32
    value: F64_FIELD
    size: I64_FIELD


@kernel(Unary)
def relu(start, stop, row, scratch):
    """out = x where x is not below 0, else 0: a NaN stays a NaN."""
    a = unpack(row, Unary)
    zero = splat(np.float32(0))
    end = min(stop * CHUNK, a.size)
    for i in range(start * CHUNK, end - 15, 16):
        x = load(a.x, i)
        store(a.out, i, select(x < zero, zero, x))
    i = end - (end - start * CHUNK) % 16
    x = load_first(a.x, i, end - i)
    store_first(a.out, i, select(x < zero, zero, x), end - i)
    return 0


@kernel(Binary)
def relu_gradient(start, stop, row, scratch):
    """out = x (the gradient) where y (the ReLU's output) is not at or below 0, else 0."""
    a = unpack(row, Binary)
    zero = splat(np.float32(0))
    end = min(stop * CHUNK, a.size)
    for i in range(start * CHUNK, end - 15, 16):
        store(a.out, i, select(load(a.y, i) <= zero, zero, load(a.x, i)))
    i = end - (end - start * CHUNK) % 16
    n = end - i
    store_first(a.out, i, select(load_first(a.y, i, n) <= zero, zero, load_first(a.x, i, n)), n)
    return 0


@kernel(Binary)
def arithmetic(start, stop, row, scratch):
    """out = x + y, x − y, x · y or x / y, by the code."""
    a = unpack(row, Binary)
    for i in range(start * CHUNK, min(stop * CHUNK, a.size), 16):
        n = min(stop * CHUNK, a.size) - i
        x, y = load_first(a.x, i, n), load_first(a.y, i, n)
        if a.code == ADD:
            result = x + y
        elif a.code == SUB:
            result = x - y
        elif a.code == MUL:
            result = x * y
        else:
            result = x / y
        store_first(a.out, i, result, n)
    return 0


@kernel(Fill)
def constant(start, stop, row, scratch):
    """out = value."""
    a = unpack(row, Fill)
    value = splat(np.float32(a.value))
    for i in range(start * CHUNK, min(stop * CHUNK, a.size), 16):
        store_first(a.out, i, value, min(stop * CHUNK, a.size) - i)
    return 0


def float32_contiguous(*arrays) -> str | None:
    """Why kernels for contiguous float32 cannot take these arrays (None: left out); None if they can."""
    for array in arrays:
        if array is not None:
            if array.dtype is not FLOAT32:
                return f"dtype {array.dtype}"
            if not array.is_contiguous:
                return "strided"
    return None


def _declines(first, *others) -> str | None:
    """As float32_contiguous, and all of one shape."""
    for array in others:
        if array.shape != first.shape:
            return "broadcast"
    return float32_contiguous(first, *others)


def unary(program, out, x, function):
    reason = _declines(out, x) if function == "relu" else f"{function} has no Numba kernel"
    if reason is None:
        tasks, chunk = tasks_of(out.size)
        program.append(relu, tasks, Unary(out, x, out.size), chunk=chunk)
    return reason


def relu_backward(program, out, grad, y):
    reason = _declines(out, grad, y)
    if reason is None:
        tasks, chunk = tasks_of(out.size)
        program.append(relu_gradient, tasks, Binary(out, grad, y, out.size, 0), chunk=chunk)
    return reason


def binary(program, out, x, y, function):
    code = BINARY_CODES.get(function)
    reason = _declines(out, x, y) if code is not None else f"{function} has no Numba kernel"
    if reason is None:
        tasks, chunk = tasks_of(out.size)
        program.append(arithmetic, tasks, Binary(out, x, y, out.size, code), chunk=chunk)
    return reason


def fill(program, out, value):
    reason = _declines(out)
    if reason is None:
        tasks, chunk = tasks_of(out.size)
        program.append(constant, tasks, Fill(out, float(value), out.size), chunk=chunk)
    return reason


FUNCTIONS = (unary, relu_backward, binary, fill)
