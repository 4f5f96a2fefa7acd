"""Attention, forward: a task is a part of the queries of a head, which blocks of keys pass by.

For a tile of queries and a block of keys the scores are a product on register tiles, then weights eˢ⁻ᵐ with the
maximum m so far, and these times the values are added to what the earlier blocks gave, rescaled by eᵐ′⁻ᵐ (Milakov,
Gimelshein 2018; Rabe, Staats 2021; Dao et al. 2022). Blocks that a causal mask, the lengths or a mask hide are skipped.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import unpack, workspace
from numbanet.kernels.cpu.attention_tiles import (
    BLOCK,
    LOWEST,
    ROWS,
    VECTORS,
    Attention,
    clear,
    factors,
    hide,
    is_masked,
    keys_of,
    multiply_columns,
    pack_columns,
    pack_rows,
    padded,
    sees_any,
)
from numbanet.kernels.cpu.fold import larger, larger_scalar
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.exponential import exp_nonpositive
from numbanet.kernels.cpu.simd.maths import log
from numbanet.kernels.cpu.simd.tails import store_upto
from numbanet.kernels.cpu.simd.tile import LANES, multiples, outer
from numbanet.kernels.cpu.simd.tile_load import load_tile, scale_rows, store_whole
from numbanet.kernels.cpu.simd.vector import lane_max, lane_sum, load, select, splat, store

PART = 2 * BLOCK
"""Queries of a task: they share packed keys and values."""
SHIFTS, SCALES = 0, 16
"""Where the new maxima and the factors of a tile's rows lie in its memory of two vectors."""


def scratch_size(depth: int, width: int) -> int:
    """float32 of scratch memory for heads of this size."""
    rows, deep, wide = PART + ROWS, -(-depth // 16) * 16, -(-width // 16) * 16
    return rows * (deep + wide) + 2 * (rows + 16) + BLOCK * (deep + wide) + ROWS * BLOCK + 32


@device_function
def new_maxima(s, width, rows, highest, memory):
    """The maxima with this block, and by what the earlier ones' sums are multiplied."""
    for r in range(rows):
        best = load(s, r * BLOCK)
        for c in range(16, width, 16):
            best = larger(best, load(s, r * BLOCK + c))
        memory[SHIFTS + r] = larger_scalar(lane_max(best), highest[r])
    before, now = load(highest, 0), load(memory, SHIFTS)
    for r in range(rows):
        highest[r] = memory[SHIFTS + r]
    now = select(now == splat(LOWEST), splat(np.float32(0)), now)  # all hidden so far: −∞ − −∞ would be NaN
    store(memory, SHIFTS, now)
    store(memory, SCALES, exp_nonpositive(before - now))


@device_function
def weights(p, s, width, rows, number, j, totals, memory):
    """s = exp(s − m), and their sums; after that dropout."""
    for r in range(rows):
        shift, total = splat(memory[SHIFTS + r]), splat(np.float32(0))
        for c in range(0, width, 16):
            value = exp_nonpositive(load(s, r * BLOCK + c) - shift)
            total = total + value
            store(s, r * BLOCK + c, value)
        totals[r] = totals[r] * memory[SCALES + r] + lane_sum(total)
        if p.threshold > 0:
            for c in range(0, width, 32):
                one, two = factors(p, number + r, j + c)
                store(s, r * BLOCK + c, load(s, r * BLOCK + c) * one)
                store(s, r * BLOCK + c + 16, load(s, r * BLOCK + c + 16) * two)


@device_function
def finish(p, to, statistics, sums, totals, highest, rows):
    """out = sums / total, logsumexp = m + ln total; where every key was hidden 0 and +∞, so that e^(s − lse) is 0."""
    zero, wide = splat(np.float32(0)), padded(p.width)
    for r in range(0, rows, 16):
        total = load(totals, r)
        nothing = total == zero
        lse = select(nothing, splat(np.float32(np.inf)), load(highest, r) + log(total))
        store_upto(statistics, r, lse, rows - r)
        store(totals, r, select(nothing, zero, splat(np.float32(1)) / total))
    for r in range(rows):
        factor = splat(totals[r])
        for c in range(0, p.width, 16):
            store_upto(to, r * p.out_row + c, load(sums, r * wide + c) * factor, p.width - c)


@kernel(Attention)
def attention_forward(start, stop, row, scratch):
    """out and logsumexp of PART queries of a head."""
    p = unpack(row, Attention)
    deep, wide = padded(p.depth), padded(p.width)
    query = workspace(row, scratch)
    sums = query + (PART + ROWS) * deep
    totals = sums + (PART + ROWS) * wide
    highest = totals + (PART + ROWS + 16)
    columns = highest + (PART + ROWS + 16)
    values = columns + BLOCK * deep
    s = values + BLOCK * wide
    memory = s + ROWS * BLOCK
    parts = (p.queries + PART - 1) // PART
    where = multiples(BLOCK, ROWS)
    for task in range(start, stop):
        number, part = task // parts, task % parts
        batch, head = number // p.heads, number % p.heads
        top = part * PART
        rows = min(PART, p.queries - top)
        length, sight = keys_of(p, batch)
        begin = batch * p.query_batch + head * p.query_head + top * p.query_row
        pack_rows(query, p.query + begin, p.query_row, rows, p.depth, np.float32(p.scale))
        clear(sums, (rows + ROWS) * wide)
        for r in range(0, rows, 16):
            store(totals, r, splat(np.float32(0)))
            store(highest, r, splat(LOWEST))
        for j in range(0, min(length, sight + top + rows - 1), BLOCK):
            n = min(BLOCK, length - j)
            if p.mask_row == 0 and is_masked(p) and not sees_any(p, batch, head, top, 1, j, n):
                continue
            begin = batch * p.key_batch + head * p.key_head + j * p.key_row
            pack_columns(columns, p.key + begin, p.key_row, n, p.depth)
            begin = batch * p.value_batch + head * p.value_head + j * p.value_row
            pack_rows(values, p.value + begin, p.value_row, n, p.width, np.float32(1))
            for line in range(0, rows, ROWS):
                tile = min(ROWS, rows - line)
                seen = min(n, sight + top + line + tile - 1 - j)
                if seen <= 0 or (p.mask_row != 0 and not sees_any(p, batch, head, top + line, tile, j, seen)):
                    continue
                width = padded(seen)
                multiply_columns(s, query + line * deep, deep, columns, p.depth, width)
                for r in range(tile):
                    visible = min(n, sight + top + line + r - j)
                    if visible < width or is_masked(p):
                        hide(p, s + r * BLOCK, width, batch, head, top + line + r, j, visible)
                new_maxima(s, width, tile, highest + line, memory)
                weights(p, s, width, tile, number * p.queries + top + line, j, totals + line, memory)
                for c in range(0, wide, 16):
                    acc = scale_rows(load_tile(sums + (line * wide + c), wide, ROWS, VECTORS), memory + SCALES)
                    for k in range(seen):
                        acc = outer(acc, s + k, where, values + (k * wide + c), LANES)
                    store_whole(acc, sums + (line * wide + c), wide)
        begin = batch * p.out_batch + head * p.out_head + top * p.out_row
        finish(p, p.out + begin, p.logsumexp + (number * p.queries + top), sums, totals, highest, rows)
    return 0
