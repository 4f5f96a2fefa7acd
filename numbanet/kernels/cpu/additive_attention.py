"""Additive attention of one query, forward and backward: scores vᵀ tanh(q + k_i), their softmax a, Σ a_i h_i.

What the mask hides is never read, so nothing of it gets into a sum, and texts that are padded cost what they hold.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import is_null
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.recurrent_steps import clear, hand_back, slope_of_tanh
from numbanet.kernels.cpu.simd.activation import tanh
from numbanet.kernels.cpu.simd.prefetch import prefetch
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import fma, lane_sum, load, splat, store
from numbanet.kernels.cpu.softmax import softmax_line

ZERO = np.float32(0)
WIDE = 64
"""Elements of a row of the memory at a time: chains enough that none waits for itself."""


@device_function
def shown(p, b, i):
    """Whether row b of the batch may look at place i."""
    return is_null(p.mask) or p.mask[b * p.length + i] == 0


@device_function
def announce(x, size):
    """Have a row of the memory fetched while there is something else to compute."""
    for j in range(0, size, 16):
        prefetch(x, j)


@device_function
def dot(x, y, size):
    """Σ x·y in 16 virtual lanes of four chains."""
    a, b, c, d = splat(ZERO), splat(ZERO), splat(ZERO), splat(ZERO)
    whole = size // WIDE * WIDE
    for j in range(0, whole, WIDE):
        a = fma(load(x, j), load(y, j), a)
        b = fma(load(x, j + 16), load(y, j + 16), b)
        c = fma(load(x, j + 32), load(y, j + 32), c)
        d = fma(load(x, j + 48), load(y, j + 48), d)
    for j in range(whole, size, 16):
        a = fma(load_upto(x, j, size - j), load_upto(y, j, size - j), a)
    return lane_sum((a + b) + (c + d))


@device_function
def score(query, key, v, size):
    """vᵀ tanh(query + key)."""
    total = splat(ZERO)
    for j in range(0, size, 16):
        n = size - j
        total = fma(load_upto(v, j, n), tanh(load_upto(query, j, n) + load_upto(key, j, n)), total)
    return lane_sum(total)


@device_function
def weigh(p, weights, scores, query, b):
    """weights = softmax of the scores of row b, 0 where nothing is shown; all of them 0 if nothing is anywhere."""
    keys = p.keys + b * p.length * p.across
    for i in range(p.length):
        if shown(p, b, i):
            announce(p.memory + (b * p.length + i) * p.width, p.width)
            scores[i] = score(query, keys + i * p.across, p.v, p.across)
        else:
            scores[i] = -np.float32(np.inf)
    softmax_line(weights, scores, p.length)
    for i in range(p.length):
        if not shown(p, b, i):
            weights[i] = ZERO


@device_function
def gather(p, out, weights, b):
    """out = Σ weights_i · memory_i of row b; out has room for whole vectors."""
    clear(out, p.width)
    for i in range(p.length):
        if shown(p, b, i):
            share, memory = splat(weights[i]), p.memory + (b * p.length + i) * p.width
            for j in range(0, p.width, 16):
                store(out, j, fma(share, load_upto(memory, j, p.width - j), load(out, j)))


@device_function
def attend(p, context, query, scores, line, b):
    """The context of row b at the time of ``line``; query and context lie in scratch memory."""
    hand_back(p.queries + line * p.across, query, p.across)
    weights = p.weights + line * p.length
    weigh(p, weights, scores, query, b)
    gather(p, context, weights, b)
    hand_back(p.contexts + line * p.width, context, p.width)


@device_function
def score_gradients(p, dscores, dcontext, line, b):
    """dscores_i = a_i · (d_i − Σ a·d) with d_i = dcontext · memory_i (+ the gradient of a_i from outside)."""
    weights, memory, total = p.weights + line * p.length, p.memory + b * p.length * p.width, ZERO
    for i in range(p.length):
        if shown(p, b, i):
            found = dot(dcontext, memory + i * p.width, p.width)
            if not is_null(p.grad_weights):
                found += p.grad_weights[line * p.length + i]
            dscores[i] = found
            total += weights[i] * found
    for i in range(p.length):
        if shown(p, b, i):
            dscores[i] = weights[i] * (dscores[i] - total)


@device_function
def energy_gradients(p, dquery, dscores, line, b):
    """dk_i += g_i, dquery = Σ g_i with g_i = dscores_i · v · (1 − tanh²), and dv += Σ dscores_i · tanh."""
    size, query, dv = p.across, p.queries + line * p.across, p.dv + b * p.across
    clear(dquery, size)
    for i in range(p.length):
        if shown(p, b, i):
            keys, dkeys = p.keys + (b * p.length + i) * size, p.dkeys + (b * p.length + i) * size
            d = splat(dscores[i])
            for j in range(0, size, 16):
                n = size - j
                energy = tanh(load_upto(query, j, n) + load_upto(keys, j, n))
                g = d * load_upto(p.v, j, n) * slope_of_tanh(energy)
                store(dquery, j, load(dquery, j) + g)
                store_upto(dkeys, j, load_upto(dkeys, j, n) + g, n)
                store_upto(dv, j, fma(d, energy, load_upto(dv, j, n)), n)


@device_function
def attend_gradient(p, dcontext, dquery, dscores, line, b):
    """From the context's gradient of row b at the time of ``line`` that of its query, and a share of the others'."""
    outside = p.grad_contexts
    for j in range(0, p.width, 16):
        n = p.width - j
        value = load(dcontext, j)
        if not is_null(outside):
            value = value + load_upto(outside, line * p.width + j, n)
        store(dcontext, j, value)
        store_upto(p.dcontexts, line * p.width + j, value, n)
    score_gradients(p, dscores, dcontext, line, b)
    energy_gradients(p, dquery, dscores, line, b)
    hand_back(p.dqueries + line * p.dqueries_row, dquery, p.across)
