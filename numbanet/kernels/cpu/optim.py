"""SGD, Adam, RMSprop and the average of weights: all parameters of a group in one row, in 16 lanes, in one pass."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import is_null, unpack
from numbanet.kernels.cpu.group import (
    Group,
    append_group,
    array_of,
    begin_of,
    end_of,
    pointer_of,
)
from numbanet.kernels.cpu.kernel import kernel
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import select, splat, sqrt

PARAMETER, GRADIENT, STATE, STATE2, STATE3 = range(5)
LR, MOMENTUM, DAMPENING, WEIGHT_DECAY, NESTEROV, FIRST = range(6)
BETA1, BETA2, EPS, DECAY, DECOUPLED, CORRECTION1, ROOT_CORRECTION2 = range(1, 8)
ALPHA, RMS_EPS, RMS_DECAY, RMS_MOMENTUM, INSIDE = range(1, 6)


@kernel(Group)
def sgd(start, stop, row, scratch):
    """g += λ·p; v = g at first, else μ·v + (1−d)·g; p −= lr · (g + μ·v if Nesterov, else v)."""
    a = unpack(row, Group)
    h = a.numbers
    lr, momentum, decay = splat(h[LR]), splat(h[MOMENTUM]), splat(h[WEIGHT_DECAY])
    fresh = splat(np.float32(1) - h[DAMPENING])
    decays, nesterov, is_first = h[WEIGHT_DECAY] != 0, h[NESTEROV] != 0, h[FIRST] != 0
    for task in range(start, stop):
        at = array_of(a, task)
        parameter, gradient, velocity = (
            pointer_of(a, PARAMETER, at),
            pointer_of(a, GRADIENT, at),
            pointer_of(a, STATE, at),
        )
        has_momentum, end = not is_null(velocity), end_of(a, at, task)
        for i in range(begin_of(a, at, task), end, 16):
            n = end - i
            p, g = load_upto(parameter, i, n), load_upto(gradient, i, n)
            if decays:
                g = g + decay * p
            if has_momentum:
                v = g if is_first else load_upto(velocity, i, n) * momentum + fresh * g
                store_upto(velocity, i, v, n)
                g = g + momentum * v if nesterov else v
            store_upto(parameter, i, p - lr * g, n)
    return 0


@kernel(Group)
def adam(start, stop, row, scratch):
    """m = β1·m + (1−β1)·g; v = β2·v + (1−β2)·g²; p −= lr/(1−β1ᵗ) · m / (√v / √(1−β2ᵗ) + ε)."""
    a = unpack(row, Group)
    h = a.numbers
    one = np.float32(1)
    beta1, beta2, eps = splat(h[BETA1]), splat(h[BETA2]), splat(h[EPS])
    rest1, rest2 = splat(one - h[BETA1]), splat(one - h[BETA2])
    decay, shrink = splat(h[DECAY]), splat(one - h[LR] * h[DECAY])
    rate, unbias = splat(h[LR] / h[CORRECTION1]), splat(one / h[ROOT_CORRECTION2])
    decays, decoupled = h[DECAY] != 0, h[DECOUPLED] != 0
    for task in range(start, stop):
        at = array_of(a, task)
        parameter, gradient = pointer_of(a, PARAMETER, at), pointer_of(a, GRADIENT, at)
        mean, square, end = pointer_of(a, STATE, at), pointer_of(a, STATE2, at), end_of(a, at, task)
        for i in range(begin_of(a, at, task), end, 16):
            n = end - i
            p, g = load_upto(parameter, i, n), load_upto(gradient, i, n)
            if decoupled:
                p = p * shrink
            elif decays:
                g = g + decay * p
            m = load_upto(mean, i, n) * beta1 + rest1 * g
            v = load_upto(square, i, n) * beta2 + rest2 * (g * g)
            store_upto(mean, i, m, n)
            store_upto(square, i, v, n)
            store_upto(parameter, i, p - rate * m / (sqrt(v) * unbias + eps), n)
    return 0


@kernel(Group)
def rmsprop(start, stop, row, scratch):
    """g += λ·p; s = α·s + (1−α)·g²; c = α·c + (1−α)·g and s − c² if centered; d = √s + ε or √(s + ε);
    b = μ·b + g/d; p −= lr·b."""
    a = unpack(row, Group)
    h = a.numbers
    zero = splat(np.float32(0))
    lr, alpha, rest = splat(h[LR]), splat(h[ALPHA]), splat(np.float32(1) - h[ALPHA])
    eps, decay, momentum = splat(h[RMS_EPS]), splat(h[RMS_DECAY]), splat(h[RMS_MOMENTUM])
    decays, inside = h[RMS_DECAY] != 0, h[INSIDE] != 0
    for task in range(start, stop):
        at = array_of(a, task)
        parameter, gradient, square = (
            pointer_of(a, PARAMETER, at),
            pointer_of(a, GRADIENT, at),
            pointer_of(a, STATE, at),
        )
        buffer, mean, end = pointer_of(a, STATE2, at), pointer_of(a, STATE3, at), end_of(a, at, task)
        has_momentum, is_centered = not is_null(buffer), not is_null(mean)
        for i in range(begin_of(a, at, task), end, 16):
            n = end - i
            p, g = load_upto(parameter, i, n), load_upto(gradient, i, n)
            if decays:
                g = g + decay * p
            s = load_upto(square, i, n) * alpha + rest * (g * g)
            store_upto(square, i, s, n)
            if is_centered:
                c = load_upto(mean, i, n) * alpha + rest * g
                store_upto(mean, i, c, n)
                s = s - c * c
                s = select(s < zero, zero, s)  # a variance, but for rounding; a NaN stays
            step = g / (sqrt(s + eps) if inside else sqrt(s) + eps)
            if has_momentum:
                step = load_upto(buffer, i, n) * momentum + step
                store_upto(buffer, i, step, n)
            store_upto(parameter, i, p - lr * step, n)
    return 0


@kernel(Group)
def average(start, stop, row, scratch):
    """a = d·a + (1−d)·v."""
    a = unpack(row, Group)
    decay, rest = splat(a.numbers[0]), splat(np.float32(1) - a.numbers[0])
    for task in range(start, stop):
        at = array_of(a, task)
        mean, value, end = pointer_of(a, PARAMETER, at), pointer_of(a, GRADIENT, at), end_of(a, at, task)
        for i in range(begin_of(a, at, task), end, 16):
            n = end - i
            store_upto(mean, i, load_upto(mean, i, n) * decay + rest * load_upto(value, i, n), n)
    return 0


def sgd_update(program, parameters, gradients, momentum_buffers, hyper):
    return append_group(program, sgd, (parameters, gradients, momentum_buffers), hyper)


def adam_update(program, parameters, gradients, exp_avgs, exp_avg_sqs, hyper):
    return append_group(program, adam, (parameters, gradients, exp_avgs, exp_avg_sqs), hyper)


def rmsprop_update(program, parameters, gradients, square_avgs, momentum_buffers, grad_avgs, hyper):
    return append_group(program, rmsprop, (parameters, gradients, square_avgs, momentum_buffers, grad_avgs), hyper)


def average_update(program, averages, values, hyper):
    return append_group(program, average, (averages, values), hyper)


FUNCTIONS = (sgd_update, adam_update, rmsprop_update, average_update)
