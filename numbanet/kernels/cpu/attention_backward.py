"""Attention, backward: a task is a part of the keys of a head, which all queries pass by in blocks.

The weights are computed again from logsumexp. With P = exp(scale · q kᵀ + mask − lse), and M the dropout's factors,
∂v = (P·M)ᵀ ∂o, ∂S = P·(∂o vᵀ·M − Σ ∂o·o), ∂q = scale · ∂S k and ∂k = scale · ∂Sᵀ q (Dao et al. 2022). A task owns
∂k and ∂v of its keys; ∂q is summed over the parts in their order, whoever did them.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import unpack, workspace
from numbanet.kernels.cpu.attention_tiles import (
    BLOCK,
    ROWS,
    VECTORS,
    Attention,
    add_product,
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
    unpack_rows,
)
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.exponential import exp_nonpositive
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.tile import LANES, outer
from numbanet.kernels.cpu.simd.tile_load import load_tile, store_whole
from numbanet.kernels.cpu.simd.vector import fma, lane_sum, load, splat, store


def scratch_size(queries: int, depth: int, width: int) -> int:
    """float32 of scratch memory for heads of this size."""
    rows, deep, wide = queries + 2 * ROWS, -(-depth // 16) * 16, -(-width // 16) * 16
    return rows * (2 * deep + wide + 1) + 3 * BLOCK * deep + 2 * BLOCK * wide + 2 * BLOCK * BLOCK


@device_function
def row_products(out, x, x_row, y, y_row, rows, columns):
    """out[r] = Σ_c x[r, c] · y[r, c]."""
    for r in range(rows):
        total = splat(np.float32(0))
        for c in range(0, columns, 16):
            n = columns - c
            total = fma(load_upto(x, r * x_row + c, n), load_upto(y, r * y_row + c, n), total)
        out[r] = lane_sum(total)


@device_function
def weights_and_slopes(p, s, slopes, width, lse, delta, number, j):
    """In the place of a row's scores its weights, dropped, and in that of ∂o vᵀ ∂S; zeros behind ``width``."""
    shift, minus = splat(lse), splat(delta)
    if p.threshold > 0:
        for c in range(0, width, 32):
            one, two = factors(p, number, j + c)
            for half in range(2):
                factor, at = one if half == 0 else two, c + 16 * half
                weight = exp_nonpositive(load(s, at) - shift)
                store(s, at, weight * factor)
                store(slopes, at, weight * (load(slopes, at) * factor - minus))
    else:
        for c in range(0, width, 16):
            weight = exp_nonpositive(load(s, c) - shift)
            store(s, c, weight)
            store(slopes, c, weight * (load(slopes, c) - minus))
    for c in range(width, BLOCK, 16):
        store(s, c, splat(np.float32(0)))
        store(slopes, c, splat(np.float32(0)))


@device_function
def add_transposed(out, a, b, rows, keys, begin, columns):
    """out[k][c] += Σ_r a[r][k] · b[r][c], a with rows of BLOCK, r from the first row that sees the key."""
    for k in range(0, keys, ROWS):
        first = max(0, begin + k) // ROWS * ROWS
        for c in range(0, columns, 16):
            acc = load_tile(out + (k * columns + c), columns, ROWS, VECTORS)
            for r in range(first, rows):
                acc = outer(acc, a + (r * BLOCK + k), 1, b + (r * columns + c), LANES)
            store_whole(acc, out + (k * columns + c), columns)


@kernel(Attention)
def attention_backward(start, stop, row, scratch):
    """∂k and ∂v of a part of the keys of a head, and what these keys add to ∂q."""
    p = unpack(row, Attention)
    deep, wide, rows = padded(p.depth), padded(p.width), p.queries + 2 * ROWS
    query = workspace(row, scratch)
    grad = query + rows * deep
    query_out = grad + rows * wide
    delta = query_out + rows * deep
    key = delta + rows
    keys = key + BLOCK * deep
    values = keys + BLOCK * deep
    key_out = values + BLOCK * wide
    value_out = key_out + BLOCK * deep
    s = value_out + BLOCK * wide
    slopes = s + BLOCK * BLOCK
    blocks = (p.keys + BLOCK - 1) // BLOCK
    for task in range(start, stop):
        number, part = task // p.parts, task % p.parts
        batch, head = number // p.heads, number % p.heads
        length, sight = keys_of(p, batch)
        x = p.query + (batch * p.query_batch + head * p.query_head)
        pack_rows(query, x, p.query_row, p.queries, p.depth, np.float32(p.scale))
        x = p.grad + (batch * p.grad_batch + head * p.grad_head)
        pack_rows(grad, x, p.grad_row, p.queries, p.width, np.float32(1))
        y = p.out + (batch * p.out_batch + head * p.out_head)
        row_products(delta, x, p.grad_row, y, p.out_row, p.queries, p.width)
        clear(query_out, rows * deep)
        lse = p.logsumexp + number * p.queries
        for block in range(blocks * part // p.parts, blocks * (part + 1) // p.parts):
            j = block * BLOCK
            count, n = min(BLOCK, p.keys - j), min(BLOCK, length - j)
            clear(key_out, BLOCK * deep)
            clear(value_out, BLOCK * wide)
            top = max(0, j + 1 - sight)
            is_hidden = p.mask_row == 0 and is_masked(p) and not sees_any(p, batch, head, 0, 1, j, n)
            if n > 0 and top < p.queries and not is_hidden:
                x = p.key + (batch * p.key_batch + head * p.key_head + j * p.key_row)
                pack_rows(key, x, p.key_row, n, p.depth, np.float32(1))
                pack_columns(keys, x, p.key_row, n, p.depth)
                x = p.value + (batch * p.value_batch + head * p.value_head + j * p.value_row)
                pack_columns(values, x, p.value_row, n, p.width)
                for begin in range(top // ROWS * ROWS, p.queries, BLOCK):
                    end = min(begin + BLOCK, p.queries)
                    if p.mask_row != 0 and not sees_any(p, batch, head, begin, end - begin, j, n):
                        continue
                    for line in range(begin, end, ROWS):
                        tile = min(ROWS, end - line)
                        seen = min(n, sight + line + tile - 1 - j)
                        width, at = padded(seen), (line - begin) * BLOCK
                        multiply_columns(s + at, query + line * deep, deep, keys, p.depth, width)
                        multiply_columns(slopes + at, grad + line * wide, wide, values, p.width, width)
                        for r in range(tile):
                            visible, to = min(n, sight + line + r - j), at + r * BLOCK
                            if visible < width or is_masked(p):
                                hide(p, s + to, width, batch, head, line + r, j, visible)
                            i = line + r
                            weights_and_slopes(
                                p, s + to, slopes + to, width, lse[i], delta[i], number * p.queries + i, j
                            )
                        add_product(query_out + line * deep, slopes + at, BLOCK, 1, key, 0, seen, deep)
                    first = j + 1 - sight - begin
                    add_transposed(value_out, s, grad + begin * wide, end - begin, n, first, wide)
                    add_transposed(key_out, slopes, query + begin * deep, end - begin, n, first, deep)
            x = p.key_out + (batch * p.key_out_batch + head * p.key_out_head + j * p.key_out_row)
            unpack_rows(x, p.key_out_row, key_out, count, p.depth, np.float32(1))
            x = p.value_out + (batch * p.value_out_batch + head * p.value_out_head + j * p.value_out_row)
            unpack_rows(x, p.value_out_row, value_out, count, p.width, np.float32(1))
        x = p.query_out + (part * p.query_out_part + batch * p.query_out_batch + head * p.query_out_head)
        unpack_rows(x, p.query_out_row, query_out, p.queries, p.depth, np.float32(p.scale))
    return 0


@kernel(Attention)
def attention_sum_parts(start, stop, row, scratch):
    """out = Σ over the parts of ∂q, which lie contiguously at query_out: a task is a row of every head."""
    p = unpack(row, Attention)
    for task in range(start, stop):
        number, i = task // p.queries, task % p.queries
        batch, head = number // p.heads, number % p.heads
        to = p.out + (batch * p.out_batch + head * p.out_head + i * p.out_row)
        for c in range(0, p.depth, 16):
            total = load_upto(p.query_out, task * p.depth + c, p.depth - c)
            for part in range(1, p.parts):
                at = part * p.query_out_part + task * p.depth + c
                total = total + load_upto(p.query_out, at, p.depth - c)
            store_upto(to, c, total, p.depth - c)
    return 0
