"""Losses of pairs of numbers: each loss, their sum in blocks that the size alone decides, and the gradient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, unpack
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.lines import CHUNK, tasks_of
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.simd.exponential import exp_nonpositive
from numbanet.kernels.cpu.simd.masks import magnitude
from numbanet.kernels.cpu.simd.maths import log
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.tails import load_upto
from numbanet.kernels.cpu.simd.vector import fma, lane_index, lane_sum, load_first, select, splat, store_first

SQUARED, ABSOLUTE, SMOOTH, HUBER, LOGISTIC = range(5)
KINDS = {"squared": SQUARED, "absolute": ABSOLUTE, "smooth": SMOOTH, "huber": HUBER, "logistic": LOGISTIC}


class Losses(NamedTuple):
    """out holds each loss, or a sum a task."""

    out: F32
    x: F32
    y: F32
    size: I64_FIELD
    kind: I64_FIELD
    beta: F64_FIELD


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
    kind: I64_FIELD
    beta: F64_FIELD
    each: I64_FIELD
    factor: F64_FIELD


@device_function
def log_of_one_plus(u):
    """ln(1 + u) for 0 ≤ u ≤ 1: what 1 + u loses of u, its logarithm lost in the same share (Kahan)."""
    one = splat(np.float32(1))
    whole = one + u
    kept = whole - one
    return select(kept == splat(np.float32(0)), u, log(whole) * (u / kept))


@device_function
def loss_of(kind, beta, x, y):
    """The loss of a vector of pairs; beta is a vector."""
    difference, half, zero = x - y, splat(np.float32(0.5)), splat(np.float32(0))
    if kind == SQUARED:
        return difference * difference
    distance = magnitude(difference)
    if kind == ABSOLUTE:
        return distance
    if kind == LOGISTIC:
        return select(x > zero, x, zero) - x * y + log_of_one_plus(exp_nonpositive(zero - magnitude(x)))
    inside, outside = half * difference * difference, distance - half * beta
    if kind == HUBER:
        return select(distance < beta, inside, beta * outside)
    return select(distance < beta, inside / beta, outside)


@device_function
def sign_of(x):
    """1, −1, and 0 or NaN themselves."""
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    return select(x > zero, one, select(x < zero, zero - one, x))


@device_function
def slope_of(kind, beta, x, y):
    """∂loss/∂x of a vector of pairs."""
    difference, one = x - y, splat(np.float32(1))
    if kind == SQUARED:
        return difference + difference
    if kind == ABSOLUTE:
        return sign_of(difference)
    if kind == LOGISTIC:
        small = exp_nonpositive(splat(np.float32(0)) - magnitude(x))
        return select(x < splat(np.float32(0)), small, one) / (one + small) - y
    inside = magnitude(difference) < beta
    if kind == HUBER:
        return select(inside, difference, beta * sign_of(difference))
    return select(inside, difference / beta, sign_of(difference))


@kernel(Losses)
def losses(start, stop, row, scratch):
    """out = the loss of each pair."""
    a = unpack(row, Losses)
    beta = splat(np.float32(a.beta))
    for task in range(start, stop):
        end = min(task * CHUNK + CHUNK, a.size)
        for i in range(task * CHUNK, end, 16):
            n = end - i
            store_first(a.out, i, loss_of(a.kind, beta, load_upto(a.x, i, n), load_upto(a.y, i, n)), n)
    return 0


@kernel(Losses)
def sums_of_squared_differences(start, stop, row, scratch):
    """out[task] = Σ (x − y)² over CHUNK elements, in 16 virtual lanes."""
    a = unpack(row, Losses)
    for task in range(start, stop):
        end = min(task * CHUNK + CHUNK, a.size)
        total = splat(np.float32(0))
        for i in range(task * CHUNK, end, 16):
            difference = load_upto(a.x, i, end - i) - load_upto(a.y, i, end - i)
            total = fma(difference, difference, total)
        a.out[task] = lane_sum(total)
    return 0


@kernel(Losses)
def sums_of_losses(start, stop, row, scratch):
    """out[task] = Σ losses of CHUNK pairs, in 16 virtual lanes."""
    a = unpack(row, Losses)
    beta, zero = splat(np.float32(a.beta)), splat(np.float32(0))
    for task in range(start, stop):
        end = min(task * CHUNK + CHUNK, a.size)
        total = zero
        for i in range(task * CHUNK, end, 16):
            n = end - i
            value = loss_of(a.kind, beta, load_upto(a.x, i, n), load_upto(a.y, i, n))
            if n < 16:  # the logistic loss of an empty lane is ln 2
                value = select(lane_index() < splat(np.int32(n)), value, zero)
            total = total + value
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
def gradient_of_losses(start, stop, row, scratch):
    """out = factor · grad · slope."""
    a = unpack(row, Gradient)
    beta = splat(np.float32(a.beta))
    for task in range(start, stop):
        end = min(task * CHUNK + CHUNK, a.size)
        scale = splat(np.float32(a.factor))
        if a.each == 0:
            scale = scale * splat(a.grad[0])
        for i in range(task * CHUNK, end, 16):
            n = end - i
            value = scale * slope_of(a.kind, beta, load_upto(a.x, i, n), load_upto(a.y, i, n))
            if a.each:
                value = value * load_upto(a.grad, i, n)
            store_first(a.out, i, value, n)
    return 0


def pointwise_loss(program, out, x, y, kind, beta, reduction):
    reason = float32_contiguous(out, x, y) or ("no elements" if x.size == 0 else None)
    if reason is not None:
        return reason
    tasks, chunk = tasks_of(x.size)
    each = out if reduction == "none" else program.workspace((tasks,))
    args = Losses(each, x, y, x.size, KINDS[kind], float(beta))
    if reduction == "none":
        program.append(losses, tasks, args, chunk=chunk)
        return None
    program.append(sums_of_squared_differences if kind == "squared" else sums_of_losses, tasks, args, chunk=chunk)
    program.append(sum_of_blocks, 1, Sum(out, each, tasks, float(x.size if reduction == "mean" else 1)))
    return None


def pointwise_loss_backward(program, out, grad, x, y, kind, beta, reduction):
    reason = float32_contiguous(out, grad, x, y)
    if reason is not None:
        return reason
    tasks, chunk = tasks_of(out.size)
    factor = 1 / out.size if reduction == "mean" and out.size else 1.0
    args = Gradient(out, grad, x, y, out.size, KINDS[kind], float(beta), int(reduction == "none"), factor)
    program.append(gradient_of_losses, tasks, args, chunk=chunk)
    return None


FUNCTIONS = (pointwise_loss, pointwise_loss_backward)
