"""Layer norm: rows of neighbouring elements, each with a mean and a variance; weight and bias go with the columns.

A row is read three times, all but the first from the cache: for its mean, for the squares of the distances from it
(and what rounding left of the mean, which the distances show), and to be written. The gradients of weight and bias are
summed over the rows of a part, beside the gradient of x, and over the parts in a level of their own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, is_null, unpack
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.norm_planes import BLOCK, add_distances
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import fma, lane_sum, load, load_first, splat, store, store_first

ROWS_A_PART = 32
MOST_PARTS = 128
COLUMNS = 64
"""Columns of a task of the sum over the parts."""
ELEMENTS_A_CHUNK = 1 << 13


class LayerNorm(NamedTuple):
    """Arguments of the kernels; partial (parts, 2, columns) holds Σ grad and Σ grad·x̂."""

    out: F32
    x: F32
    grad: F32
    weight: F32
    bias: F32
    statistics: F32
    partial: F32
    weight_out: F32
    bias_out: F32
    rows: I64_FIELD
    columns: I64_FIELD
    rows_a_part: I64_FIELD
    parts: I64_FIELD
    eps: F64_FIELD


@device_function
def row_total(x, columns):
    """Σ x of a row, in blocks."""
    total = 0.0
    for begin in range(0, columns, BLOCK):
        n = min(BLOCK, columns - begin)
        one, two = splat(np.float32(0)), splat(np.float32(0))
        for i in range(begin, begin + n - 31, 32):
            one, two = one + load(x, i), two + load(x, i + 16)
        for i in range(begin + n // 32 * 32, begin + n, 16):
            one = one + load_upto(x, i, begin + n - i)
        total += np.float64(lane_sum(one + two))
    return total


@device_function
def row_moments(x, columns):
    """Mean and variance of a row."""
    share = 1 / columns
    shift = np.float32(row_total(x, columns) * share)
    total, squares, zero = 0.0, 0.0, splat(np.float32(0))
    for begin in range(0, columns, BLOCK):
        one, squares1, two, squares2 = add_distances(x + begin, min(BLOCK, columns - begin), shift, zero, zero)
        total += np.float64(lane_sum(one + two))
        squares += np.float64(lane_sum(squares1 + squares2))
    rest = total * share
    var = squares * share - rest * rest
    return np.float64(shift) + rest, 0.0 if var < 0 else var


@device_function
def normal_with_weight(p, x, j, n, mean, rstd):
    """(x − μ)·ρ·weight + bias for n columns from j on."""
    value = (load_upto(x, j, n) - mean) * rstd
    if not is_null(p.weight) and not is_null(p.bias):
        value = fma(value, load_upto(p.weight, j, n), load_upto(p.bias, j, n))
    elif not is_null(p.weight):
        value = value * load_upto(p.weight, j, n)
    elif not is_null(p.bias):
        value = value + load_upto(p.bias, j, n)
    return value


@kernel(LayerNorm)
def layer_norm_rows(start, stop, row, scratch):
    """out and statistics of rows; the last vector of a row overlaps the one before."""
    p = unpack(row, LayerNorm)
    for line in range(start, stop):
        x, out = p.x + line * p.columns, p.out + line * p.columns
        mean, var = row_moments(x, p.columns)
        p.statistics[line] = np.float32(mean)
        p.statistics[p.rows + line] = np.float32(1 / math.sqrt(var + p.eps))
        shift, rstd = splat(p.statistics[line]), splat(p.statistics[p.rows + line])
        for j in range(0, p.columns - 15, 16):
            store(out, j, normal_with_weight(p, x, j, 16, shift, rstd))
        if p.columns < 16:
            store_first(out, 0, normal_with_weight(p, x, 0, p.columns, shift, rstd), p.columns)
        elif p.columns % 16:
            j = p.columns - 16
            store(out, j, normal_with_weight(p, x, j, 16, shift, rstd))
    return 0


@device_function
def weighted_gradient(p, grad, j, n):
    """grad · weight."""
    g = load_upto(grad, j, n)
    return g if is_null(p.weight) else g * load_upto(p.weight, j, n)


@device_function
def row_gradient_sums(p, line, totals, products):
    """(mean of g, mean of g·x̂) of a row with g = grad·weight; grad and grad·x̂ are added to totals and products."""
    x, grad = p.x + line * p.columns, p.grad + line * p.columns
    mean, rstd = splat(p.statistics[line]), splat(p.statistics[p.rows + line])
    total, product = 0.0, 0.0
    for begin in range(0, p.columns, BLOCK):
        one, two = splat(np.float32(0)), splat(np.float32(0))
        for j in range(begin, min(begin + BLOCK, p.columns), 16):
            n = p.columns - j
            normal, g = (load_upto(x, j, n) - mean) * rstd, load_upto(grad, j, n)
            if not is_null(p.partial):
                store_upto(totals, j, load_upto(totals, j, n) + g, n)
                store_upto(products, j, fma(g, normal, load_upto(products, j, n)), n)
            if not is_null(p.weight):
                g = g * load_upto(p.weight, j, n)
            one, two = one + g, fma(g, normal, two)
        total += np.float64(lane_sum(one))
        product += np.float64(lane_sum(two))
    return np.float32(total / p.columns), np.float32(product / p.columns)


@device_function
def row_gradient(p, line, mean_g, mean_product):
    """out = ρ·(g − mean(g) − x̂·mean(g·x̂)) of a row."""
    x, grad, out = p.x + line * p.columns, p.grad + line * p.columns, p.out + line * p.columns
    mean, rstd = splat(p.statistics[line]), splat(p.statistics[p.rows + line])
    middle, factor = splat(mean_g), splat(-mean_product)
    for j in range(0, p.columns, 16):
        n = p.columns - j
        normal = (load_upto(x, j, n) - mean) * rstd
        store_upto(out, j, fma(normal, factor, weighted_gradient(p, grad, j, n) - middle) * rstd, n)


@kernel(LayerNorm)
def layer_norm_gradient(start, stop, row, scratch):
    """The gradient for x of the rows of a part, and its share of the gradients of weight and bias."""
    p = unpack(row, LayerNorm)
    for part in range(start, stop):
        totals = p.partial + 2 * part * p.columns
        products = totals + p.columns
        if not is_null(p.partial):
            for j in range(0, 2 * p.columns, 16):
                store_upto(totals, j, splat(np.float32(0)), 2 * p.columns - j)
        for line in range(part * p.rows_a_part, min((part + 1) * p.rows_a_part, p.rows)):
            mean_g, mean_product = row_gradient_sums(p, line, totals, products)
            if not is_null(p.out):
                row_gradient(p, line, mean_g, mean_product)
    return 0


@kernel(LayerNorm)
def layer_norm_weight_gradient(start, stop, row, scratch):
    """weight_out and bias_out: the sums over the parts, for COLUMNS columns a task."""
    p = unpack(row, LayerNorm)
    for j in range(start * COLUMNS, min(stop * COLUMNS, p.columns), 16):
        n = p.columns - j
        total, product = splat(np.float32(0)), splat(np.float32(0))
        for part in range(p.parts):
            total = total + load_first(p.partial, 2 * part * p.columns + j, n)
            product = product + load_first(p.partial, (2 * part + 1) * p.columns + j, n)
        if not is_null(p.bias_out):
            store_first(p.bias_out, j, total, n)
        if not is_null(p.weight_out):
            store_first(p.weight_out, j, product, n)
    return 0


def layer_norm(program, out, statistics, x, weight, bias, eps):
    reason = float32_contiguous(out, statistics, x, weight, bias)
    if reason is not None or x.size == 0:
        return reason or "empty"
    rows, columns = x.shape
    args = LayerNorm(out, x, None, weight, bias, statistics, None, None, None, rows, columns, 0, 0, eps)
    program.append(layer_norm_rows, rows, args, chunk=max(1, ELEMENTS_A_CHUNK // columns))
    return None


def layer_norm_backward(program, out, weight_out, bias_out, grad, x, statistics, weight):
    reason = float32_contiguous(out, weight_out, bias_out, grad, x, statistics, weight)
    if reason is not None or x.size == 0:
        return reason or "empty"
    rows, columns = x.shape
    each = max(ROWS_A_PART, -(-rows // MOST_PARTS))
    parts = -(-rows // each)
    sums = weight_out is not None or bias_out is not None
    partial = program.workspace((parts, 2, columns)) if sums else None
    args = LayerNorm(
        out, x, grad, weight, None, statistics, partial, weight_out, bias_out, rows, columns, each, parts, 0.0
    )
    program.append(layer_norm_gradient, parts, args, chunk=max(1, ELEMENTS_A_CHUNK // (columns * each)))
    if sums:
        program.append(layer_norm_weight_gradient, -(-columns // COLUMNS), args, chunk=max(1, 256 // parts))
    return None


FUNCTIONS = (layer_norm, layer_norm_backward)
