"""The mean squared error: squared differences, their sum in blocks that the size alone decides, and the gradient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, unpack
from numbanet.kernels.cpu.elementwise import Binary, over_pairs_of_lines, read
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.lines import CHUNK, tasks_of
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.vector import fma, lane_sum, load_first, splat, store_first


class Sum(NamedTuple):
    out: F32
    x: F32
    size: I64_FIELD
    divisor: F64_FIELD


class Gradient(NamedTuple):
    """``grad`` holds one number, or (``each`` = 1) one an element."""

    out: F32
    grad: F32
    x: F32
    y: F32
    size: I64_FIELD
    each: I64_FIELD
    factor: F64_FIELD


@device_function
def squared_difference_of(code, x, y):
    """(x − y)²."""
    difference = x - y
    return difference * difference


_squared_difference_walk = over_pairs_of_lines(squared_difference_of)


@kernel(Binary)
def squared_differences(start, stop, row, scratch):
    """out = (x − y)²."""
    return _squared_difference_walk(unpack(row, Binary), start, stop)


@kernel(Binary)
def sums_of_squared_differences(start, stop, row, scratch):
    """out[task] = Σ (x − y)² over CHUNK elements, in 16 virtual lanes."""
    a = unpack(row, Binary)
    for task in range(start, stop):
        end = min(task * CHUNK + CHUNK, a.size)
        total = splat(np.float32(0))
        for i in range(task * CHUNK, end, 16):
            difference = read(a.x, i, end - i) - read(a.y, i, end - i)
            total = fma(difference, difference, total)
        a.out[task] = lane_sum(total)
    return 0


@kernel(Sum)
def sum_of_blocks(start, stop, row, scratch):
    """out = Σ x / divisor, in 16 virtual lanes."""
    a = unpack(row, Sum)
    total = splat(np.float32(0))
    for i in range(0, a.size, 16):
        total = total + load_first(a.x, i, a.size - i)
    a.out[0] = lane_sum(total) / np.float32(a.divisor)
    return 0


@kernel(Gradient)
def mse_gradient(start, stop, row, scratch):
    """out = factor · grad · (x − y)."""
    a = unpack(row, Gradient)
    for task in range(start, stop):
        end = min(task * CHUNK + CHUNK, a.size)
        scale = splat(np.float32(a.factor))
        if a.each == 0:
            scale = scale * splat(a.grad[0])
        for i in range(task * CHUNK, end, 16):
            n = end - i
            value = scale * (read(a.x, i, n) - read(a.y, i, n))
            if a.each:
                value = value * read(a.grad, i, n)
            store_first(a.out, i, value, n)
    return 0


def mse_loss(program, out, x, y, reduction):
    reason = float32_contiguous(out, x, y) or ("no elements" if x.size == 0 else None)
    if reason is not None:
        return reason
    tasks, chunk = tasks_of(x.size)
    if reduction == "none":
        program.append(squared_differences, tasks, Binary(out, x, y, x.size, 0, None), chunk=chunk)
        return None
    sums = program.workspace((tasks,))
    program.append(sums_of_squared_differences, tasks, Binary(sums, x, y, x.size, 0, None), chunk=chunk)
    program.append(sum_of_blocks, 1, Sum(out, sums, tasks, float(x.size if reduction == "mean" else 1)))
    return None


def mse_loss_backward(program, out, grad, x, y, reduction):
    reason = float32_contiguous(out, grad, x, y)
    if reason is not None:
        return reason
    tasks, chunk = tasks_of(out.size)
    factor = 2 / out.size if reduction == "mean" and out.size else 2.0
    args = Gradient(out, grad, x, y, out.size, int(reduction == "none"), factor)
    program.append(mse_gradient, tasks, args, chunk=chunk)
    return None


FUNCTIONS = (mse_loss, mse_loss_backward)
