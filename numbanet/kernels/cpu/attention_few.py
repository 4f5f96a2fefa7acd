"""Attention of few queries, as in generation with cached keys: nothing is packed, each query reads its keys once.

The scores of a query are dot products in 16 virtual lanes, its result is a sum over the keys in their order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.attention_forward import finish, new_maxima, weights
from numbanet.kernels.cpu.attention_tiles import LOWEST, Attention, clear, hide, keys_of, pack_rows, padded
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.pointers import F32, INT64
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import fma, lane_sum, load, splat, store

MOST_QUERIES = 4


class Append(NamedTuple):
    """Arguments of append_rows: r, n, d and m."""

    out: F32
    x: F32
    lengths: INT64
    rows: I64_FIELD
    capacity: I64_FIELD
    size: I64_FIELD
    count: I64_FIELD


class Advance(NamedTuple):
    """Arguments of advance_lengths."""

    out: INT64
    before: INT64
    lengths: INT64
    count: I64_FIELD


def scratch_size(keys: int, depth: int, width: int) -> int:
    """float32 of scratch memory for heads of this size."""
    return keys + depth + width + 5 * 32


@device_function
def dot_products(out, query, key, key_row, keys, depth):
    """out[k] = Σ_c query[c] · key[k, c], query with zeros behind its end."""
    for k in range(keys):
        total = splat(np.float32(0))
        for c in range(0, depth, 16):
            total = fma(load(query, c), load_upto(key, k * key_row + c, depth - c), total)
        out[k] = lane_sum(total)


@device_function
def weighted_sum(out, weights, value, value_row, keys, width):
    """out[c] = Σ_k weights[k] · value[k, c]; the odd keys are a chain of their own."""
    for c in range(0, width, 16):
        even, odd, n = splat(np.float32(0)), splat(np.float32(0)), width - c
        for k in range(0, keys - 1, 2):
            even = fma(splat(weights[k]), load_upto(value, k * value_row + c, n), even)
            odd = fma(splat(weights[k + 1]), load_upto(value, (k + 1) * value_row + c, n), odd)
        if keys % 2 == 1:
            even = fma(splat(weights[keys - 1]), load_upto(value, (keys - 1) * value_row + c, n), even)
        store(out, c, even + odd)


@kernel(Attention)
def attention_few(start, stop, row, scratch):
    """out and logsumexp of the queries of a head, one after the other."""
    p = unpack(row, Attention)
    query = workspace(row, scratch)
    sums = query + padded(p.depth)
    totals = sums + padded(p.width)
    highest, memory = totals + 16, totals + 32
    s = memory + 32
    for number in range(start, stop):
        batch, head = number // p.heads, number % p.heads
        length, sight = keys_of(p, batch)
        key = p.key + (batch * p.key_batch + head * p.key_head)
        value = p.value + (batch * p.value_batch + head * p.value_head)
        for i in range(p.queries):
            seen = min(length, sight + i)
            x = p.query + (batch * p.query_batch + head * p.query_head + i * p.query_row)
            pack_rows(query, x, 0, 1, p.depth, np.float32(p.scale))
            store(totals, 0, splat(np.float32(0)))
            store(highest, 0, splat(LOWEST))
            clear(sums, padded(p.width))
            if seen > 0:
                width = padded(seen)
                dot_products(s, query, key, p.key_row, seen, p.depth)
                hide(p, s, width, batch, head, i, 0, seen)
                new_maxima(s, width, 1, highest, memory)
                weights(p, s, width, 1, number * p.queries + i, 0, totals, memory)
                weighted_sum(sums, s, value, p.value_row, seen, p.width)
            to = p.out + (batch * p.out_batch + head * p.out_head + i * p.out_row)
            finish(p, to, p.logsumexp + (number * p.queries + i), sums, totals, highest, 1)
    return 0


@kernel(Append)
def append_rows(start, stop, row, scratch):
    """A task is one of the r rows of places of a sample."""
    p = unpack(row, Append)
    for task in range(start, stop):
        batch, place = task // p.rows, task % p.rows
        length = p.lengths[batch]
        if length < 0:
            continue
        for i in range(min(p.count, p.capacity - length)):
            x = p.x + ((batch * p.count + i) * p.rows + place) * p.size
            out = p.out + (task * p.capacity + length + i) * p.size
            for c in range(0, p.size, 16):
                store_upto(out, c, load_upto(x, c, p.size - c), p.size - c)
    return 0


@kernel(Advance)
def advance_lengths(start, stop, row, scratch):
    """A task is a text."""
    p = unpack(row, Advance)
    for i in range(start, stop):
        length = p.lengths[i]
        p.before[i] = length
        p.lengths[i] = length + p.count
        for k in range(p.count):
            p.out[i * p.count + k] = length + k
    return 0
