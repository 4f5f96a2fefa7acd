"""SGD and Adam: the update of all parameters of a group in one level, a row a parameter, in 16 lanes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack
from numbanet.kernels.cpu.kernel import kernel
from numbanet.kernels.cpu.pointwise import CHUNK, float32_contiguous
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.vector import load_first, splat, sqrt, store_first

LR, MOMENTUM, DAMPENING, WEIGHT_DECAY, NESTEROV, FIRST = range(6)
BETA1, BETA2, EPS, DECAY, DECOUPLED, CORRECTION1, ROOT_CORRECTION2 = range(1, 8)


class Update(NamedTuple):
    """Arguments of the update kernels: one parameter, its gradient, its state and the group's settings."""

    parameter: F32
    gradient: F32
    first: F32
    second: F32
    hyper: F32
    size: I64_FIELD


@kernel(Update)
def sgd(start, stop, row, scratch):
    """g += λ·p; v = g at first, else μ·v + (1−d)·g; p −= lr · (g + μ·v if Nesterov, else v)."""
    a = unpack(row, Update)
    h = a.hyper
    lr, momentum, decay = splat(h[LR]), splat(h[MOMENTUM]), splat(h[WEIGHT_DECAY])
    fresh = splat(np.float32(1) - h[DAMPENING])
    for i in range(start * CHUNK, min(stop * CHUNK, a.size), 16):
        n = min(stop * CHUNK, a.size) - i
        p, g = load_first(a.parameter, i, n), load_first(a.gradient, i, n)
        if h[WEIGHT_DECAY] != 0:
            g = g + decay * p
        if not is_null(a.first):
            v = g if h[FIRST] != 0 else load_first(a.first, i, n) * momentum + fresh * g
            store_first(a.first, i, v, n)
            g = g + momentum * v if h[NESTEROV] != 0 else v
        store_first(a.parameter, i, p - lr * g, n)
    return 0


@kernel(Update)
def adam(start, stop, row, scratch):
    """m = β1·m + (1−β1)·g; v = β2·v + (1−β2)·g²; p −= lr/(1−β1ᵗ) · m / (√v / √(1−β2ᵗ) + ε)."""
    a = unpack(row, Update)
    h = a.hyper
    one = np.float32(1)
    beta1, beta2, eps = splat(h[BETA1]), splat(h[BETA2]), splat(h[EPS])
    rest1, rest2 = splat(one - h[BETA1]), splat(one - h[BETA2])
    decay, shrink = splat(h[DECAY]), splat(one - h[LR] * h[DECAY])
    rate, root = splat(h[LR] / h[CORRECTION1]), splat(h[ROOT_CORRECTION2])
    for i in range(start * CHUNK, min(stop * CHUNK, a.size), 16):
        n = min(stop * CHUNK, a.size) - i
        p, g = load_first(a.parameter, i, n), load_first(a.gradient, i, n)
        if h[DECOUPLED] != 0:
            p = p * shrink
        elif h[DECAY] != 0:
            g = g + decay * p
        m = load_first(a.first, i, n) * beta1 + rest1 * g
        v = load_first(a.second, i, n) * beta2 + rest2 * (g * g)
        store_first(a.first, i, m, n)
        store_first(a.second, i, v, n)
        store_first(a.parameter, i, p - rate * m / (sqrt(v) / root + eps), n)
    return 0


def _append(program, which, parameters, gradients, firsts, seconds, hyper):
    reason = float32_contiguous(*parameters, *gradients, *firsts, *seconds, hyper)
    if reason is not None:
        return reason
    total = sum(parameter.size for parameter in parameters)
    is_joined = False  # the first row opens a level; it may belong to a later parameter, if one is empty
    for i, parameter in enumerate(parameters):
        first = firsts[i] if firsts else None
        second = seconds[i] if seconds else None
        args = Update(parameter, gradients[i], first, second, hyper, parameter.size)
        tasks = -(-parameter.size // CHUNK)
        program.append(which, tasks, args, chunk=1 if total > 8 * CHUNK else tasks, same_level=is_joined)
        is_joined = is_joined or tasks > 0
    return None


def sgd_update(program, parameters, gradients, momentum_buffers, hyper):
    return _append(program, sgd, parameters, gradients, momentum_buffers, (), hyper)


def adam_update(program, parameters, gradients, exp_avgs, exp_avg_sqs, hyper):
    return _append(program, adam, parameters, gradients, exp_avgs, exp_avg_sqs, hyper)


FUNCTIONS = (sgd_update, adam_update)
