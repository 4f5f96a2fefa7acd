"""Attention, by blocks of queries, so that memory grows with the length and not with its square."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from numbanet.kernels import philox
from numbanet.kernels.numpy.pointwise import quiet

BLOCK = 128
"""Queries whose scores are held at once."""


def _scores(query, key, mask, lengths, scale, causal) -> Iterator[tuple[slice, np.ndarray]]:
    """The scores of a block of queries after the other, −∞ where a key is hidden."""
    queries, keys = query.shape[2], key.shape[2]
    length = keys if lengths is None else np.clip(lengths, 0, keys)[:, None, None, None]
    j = np.arange(keys)
    for begin in range(0, queries, BLOCK):
        rows = slice(begin, begin + BLOCK)
        scores = (query[:, :, rows] * query.dtype.type(scale)) @ key.swapaxes(2, 3)
        i = np.arange(queries)[rows, None]
        seen = j < length
        if causal is not None:
            seen = seen & (j <= i + (0 if causal == "start" else length - queries))
        if mask is not None:
            part = mask[:, :, rows]
            if part.dtype == bool:
                seen = seen & part
            else:
                scores += part
        yield rows, np.where(seen, scores, scores.dtype.type(-np.inf))


def _factors(query, key, rows, p, seed, stream, offset) -> np.ndarray | None:
    """What dropout multiplies the weights of these queries by; a query's halves of words begin at a multiple of
    32."""
    if not p:
        return None
    batch, heads, queries, _ = query.shape
    keys = key.shape[2]
    padded = -(-keys // 32) * 32
    kept = query.dtype.type(0 if p == 1 else 1 / (1 - p))
    factors = np.empty((batch * heads, len(range(queries)[rows]), keys), query.dtype)
    for number in range(batch * heads):
        at = (number * queries + rows.start) * padded
        halves = philox.random_halves(seed, stream, offset + at // 2, factors.shape[1] * padded)
        halves = halves.reshape(factors.shape[1], padded)[:, :keys]
        factors[number] = np.where(halves >= philox.half_threshold(p), kept, 0)
    return factors.reshape(batch, heads, *factors.shape[1:])


@quiet
def attention(out, logsumexp, query, key, value, mask, lengths, scale, causal, p=0.0, seed=0, stream=0, offset=0):
    for rows, scores in _scores(query, key, mask, lengths, scale, causal):
        highest = scores.max(axis=3, keepdims=True, initial=-np.inf)
        weights = np.exp(scores - np.where(highest == -np.inf, 0, highest))
        total = weights.sum(axis=3, keepdims=True)
        nothing = total == 0
        weights /= np.where(nothing, 1, total)
        logsumexp[:, :, rows] = np.where(nothing, np.inf, highest + np.log(total))[..., 0]
        factors = _factors(query, key, rows, p, seed, stream, offset)
        out[:, :, rows] = (weights if factors is None else weights * factors) @ value


@quiet
def attention_backward(
    query_out, key_out, value_out, grad, out, logsumexp, query, key, value, mask, lengths, scale, causal, p=0.0,
    seed=0, stream=0, offset=0,
):  # fmt: skip
    key_out[...] = 0
    value_out[...] = 0
    scale = query.dtype.type(scale)
    for rows, scores in _scores(query, key, mask, lengths, scale, causal):
        weights, g = np.exp(scores - logsumexp[:, :, rows, None]), grad[:, :, rows]
        factors = _factors(query, key, rows, p, seed, stream, offset)
        slopes = g @ value.swapaxes(2, 3)
        if factors is not None:
            slopes *= factors
        slopes = weights * (slopes - (g * out[:, :, rows]).sum(axis=3, keepdims=True)) * scale
        value_out += (weights if factors is None else weights * factors).swapaxes(2, 3) @ g
        query_out[:, :, rows] = slopes @ key
        key_out += slopes.swapaxes(2, 3) @ query[:, :, rows]


def advance(out, before, lengths):
    before[...] = lengths
    lengths += out.shape[1]
    out[...] = before[:, None] + np.arange(out.shape[1])


def append_rows(out, x, lengths):
    capacity = out.shape[2]
    for sample, length in enumerate(lengths):
        count = max(0, min(x.shape[1], capacity - int(length)))
        out[sample, :, length : length + count] = x[sample, :count].swapaxes(0, 1)
