"""What attention's forward and backward kernels share: their arguments, packed blocks, masks and the two products.

A tile is ROWS queries (or keys) by 16 columns. Its depth is walked in one chain that goes on from block to block, so
the bits hang on nothing but the number of keys in a block of the running softmax, a constant.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu import target
from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, is_null
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.masks import load_bits
from numbanet.kernels.cpu.simd.philox import random_halves
from numbanet.kernels.cpu.simd.pointers import F32, INT64, U8
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.tile import LANES, multiples, outer, zeros
from numbanet.kernels.cpu.simd.tile_load import load_tile, store_whole
from numbanet.kernels.cpu.simd.transpose import transpose_block
from numbanet.kernels.cpu.simd.vector import (
    any_lane,
    lane_index,
    load,
    load_first,
    select,
    splat,
    store,
)

ROWS = {(32, 16): 12, (32, 8): 12, (32, 4): 6, (16, 16): 6, (16, 8): 6, (16, 4): 2}[target.registers(), LANES]
"""Rows of a tile: as many accumulators of 16 columns as leave registers for the operands."""
VECTORS = 16 // LANES
"""Vectors of a tile's row."""
BLOCK = 96
"""Keys, and in the backward pass queries, that are taken at once: a multiple of 32 and of ROWS. The sums of the
running softmax are cut here, so the bits depend on it."""
LOWEST = np.float32(-np.inf)


class Attention(NamedTuple):
    """Arguments of the kernels. Query i sees the keys below i + ``sight``, to which ``from_end`` adds the number of
    keys; without a causal mask sight is that number. ``parts``: tasks of a head in the backward pass."""

    out: F32
    logsumexp: F32
    query: F32
    key: F32
    value: F32
    bias: F32
    bits: U8
    lengths: INT64
    grad: F32
    query_out: F32
    key_out: F32
    value_out: F32
    heads: I64_FIELD
    queries: I64_FIELD
    keys: I64_FIELD
    depth: I64_FIELD
    width: I64_FIELD
    out_batch: I64_FIELD
    out_head: I64_FIELD
    out_row: I64_FIELD
    query_batch: I64_FIELD
    query_head: I64_FIELD
    query_row: I64_FIELD
    key_batch: I64_FIELD
    key_head: I64_FIELD
    key_row: I64_FIELD
    value_batch: I64_FIELD
    value_head: I64_FIELD
    value_row: I64_FIELD
    mask_batch: I64_FIELD
    mask_head: I64_FIELD
    mask_row: I64_FIELD
    grad_batch: I64_FIELD
    grad_head: I64_FIELD
    grad_row: I64_FIELD
    query_out_part: I64_FIELD
    query_out_batch: I64_FIELD
    query_out_head: I64_FIELD
    query_out_row: I64_FIELD
    key_out_batch: I64_FIELD
    key_out_head: I64_FIELD
    key_out_row: I64_FIELD
    value_out_batch: I64_FIELD
    value_out_head: I64_FIELD
    value_out_row: I64_FIELD
    sight: I64_FIELD
    from_end: I64_FIELD
    parts: I64_FIELD
    threshold: I64_FIELD
    seed: I64_FIELD
    stream: I64_FIELD
    block: I64_FIELD
    scale: F64_FIELD
    kept: F64_FIELD


@device_function
def keys_of(p, batch):
    """How many keys a sample has, and how many of them its first query sees (less than none: later ones see none)."""
    length = p.keys
    if not is_null(p.lengths):
        length = min(max(p.lengths[batch], 0), p.keys)
    return length, p.sight + (length if p.from_end else 0)


@device_function
def padded(columns):
    """Columns in whole vectors of 16."""
    return (columns + 15) // 16 * 16


@device_function
def pack_rows(out, x, x_row, rows, columns, scale):
    """out[r][c] = scale · x[r, c], rows of padded(columns) with zeros at the end."""
    out_row, factor = padded(columns), splat(scale)
    for r in range(rows):
        for c in range(0, columns, 16):
            store(out, r * out_row + c, load_upto(x, r * x_row + c, columns - c) * factor)


@device_function
def unpack_rows(out, out_row, x, rows, columns, scale):
    """out[r, c] = scale · x[r][c], the reverse of pack_rows."""
    x_row, factor = padded(columns), splat(scale)
    for r in range(rows):
        for c in range(0, columns, 16):
            store_upto(out, r * out_row + c, load(x, r * x_row + c) * factor, columns - c)


@device_function
def pack_columns(out, x, x_row, rows, columns):
    """out[panel][c][16] = x[panel · 16 …, c]: transposed panels of 16 rows, with zeros for rows that there are not."""
    whole = columns // 16 * 16
    for panel in range(0, rows, 16):
        source, to = x + panel * x_row, out + panel * columns
        n = min(16, rows - panel)
        for c in range(0, whole, 16):
            transpose_block(to + c * 16, 16, source + c, x_row, n)
        for c in range(whole, columns):
            for r in range(16):
                to[c * 16 + r] = source[r * x_row + c] if r < n else np.float32(0)


@device_function
def clear(out, count):
    """out = 0, for a multiple of 16."""
    for i in range(0, count, 16):
        store(out, i, splat(np.float32(0)))


@device_function
def multiply_columns(out, a, a_row, panels, depth, columns):
    """out[r][c] = Σ_t a[r, t] · panels[t, c] for ROWS rows; out has rows of BLOCK."""
    where = multiples(a_row, ROWS)
    for c in range(0, columns, 16):
        acc, panel = zeros(ROWS, VECTORS), panels + c * depth
        for t in range(depth):
            acc = outer(acc, a + t, where, panel + t * 16, LANES)
        store_whole(acc, out + c, BLOCK)


@device_function
def add_product(out, a, a_row, a_column, b, first, last, columns):
    """out[r][c] += Σ_k a[r, k] · b[k][c] for ROWS rows and k = first … last − 1; out and b have rows of ``columns``."""
    where = multiples(a_row, ROWS)
    for c in range(0, columns, 16):
        acc = load_tile(out + c, columns, ROWS, VECTORS)
        for k in range(first, last):
            acc = outer(acc, a + k * a_column, where, b + (k * columns + c), LANES)
        store_whole(acc, out + c, columns)


@device_function
def is_masked(p):
    """Whether there is a mask."""
    return not is_null(p.bias) or not is_null(p.bits)


@device_function
def sees_any(p, batch, head, i, rows, j, n):
    """Whether the mask lets any of these queries see any of the keys j … j + n − 1."""
    begin = batch * p.mask_batch + head * p.mask_head
    for r in range(i, i + rows if p.mask_row != 0 else i + 1):
        at = begin + r * p.mask_row + j
        for c in range(0, n, 16):
            if not is_null(p.bits):
                if any_lane(load_bits(p.bits, at + c, n - c)):
                    return True
            elif any_lane((load_first(p.bias, at + c, n - c) != splat(LOWEST)) & first(n - c)):
                return True
    return False


@device_function
def first(count):
    """The lanes below ``count``."""
    return lane_index() < splat(np.int32(min(count, 16)))


@device_function
def hide(p, s, width, batch, head, i, j, seen):
    """Add the mask to the scores of query i and the keys from j on; −∞ from the key ``seen`` on, up to ``width``."""
    at = batch * p.mask_batch + head * p.mask_head + i * p.mask_row + j
    for c in range(0, width, 16):
        x, n = load(s, c), max(0, seen - c)
        if not is_null(p.bits):
            x = select(load_bits(p.bits, at + c, n), x, splat(LOWEST))
        elif not is_null(p.bias):
            x = x + load_upto(p.bias, at + c, n)
        store(s, c, select(first(n), x, splat(LOWEST)))


@device_function
def factors(p, number, j):
    """What the weights of 32 keys from j on of the query with this number are multiplied by: 0 or 1/(1 − p)."""
    block = p.block + (number * ((p.keys + 31) // 32 * 32) + j) // 8
    one, two, _, _ = random_halves(block, p.stream, p.seed)
    threshold, kept, zero = splat(np.int32(p.threshold)), splat(np.float32(p.kept)), splat(np.float32(0))
    return select(one >= threshold, kept, zero), select(two >= threshold, kept, zero)
