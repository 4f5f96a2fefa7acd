"""What the kernels of normalisation share: their arguments, and the passes over rows that join the sums of the parts.

A *row* is what one mean and one variance are taken of: a channel of batch norm, a group of a sample of group norm.
Row r is made of planes of neighbouring elements; plane q begins at r · row_stride + q · plane_stride. Sums are taken in
parts of planes_a_part planes: float32 in 16 lanes inside a part, float64 from there on. How many parts there are
depends on the shape alone. A task of a pass is a part of ``lines`` rows that lie side by side. ``partial`` holds two
numbers for each of a row's ``units``: units are the parts, or, where lanes run over columns (``norm_columns``), the
parts of each of the row's columns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, is_null, unpack
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.pointers import F32, F64, INT64

RELU_OF_INPUT, RELU_OF_OUTPUT = 1, 2
"""Where the backward pass has the sign of the output from: it is computed again, or it is read."""


class Norm(NamedTuple):
    """Arguments of the kernels, forward and backward.

    ``residual`` is an input of the forward pass and an output of the backward pass. ``coefficients`` holds the factors
    of (x − mean) and the constant of the gradient, a line of ``rows`` each; for columns five lines of ``spread``:
    mean, scale, bias and those two.
    """

    out: F32
    x: F32
    residual: F32
    y: F32
    grad: F32
    weight: F32
    bias: F32
    statistics: F32
    partial: F64
    coefficients: F32
    weight_out: F32
    bias_out: F32
    rows: I64_FIELD
    planes: I64_FIELD
    plane: I64_FIELD
    last_plane: I64_FIELD
    row_stride: I64_FIELD
    plane_stride: I64_FIELD
    planes_a_part: I64_FIELD
    parts: I64_FIELD
    units: I64_FIELD
    lines: I64_FIELD
    size: I64_FIELD
    channels: I64_FIELD
    channels_a_row: I64_FIELD
    spread: I64_FIELD
    relu: I64_FIELD
    training: I64_FIELD
    eps: F64_FIELD


class Running(NamedTuple):
    """Arguments of the kernels that read and write running statistics."""

    statistics: F32
    partial: F64
    mean: F32
    var: F32
    batches: INT64
    rows: I64_FIELD
    units: I64_FIELD
    size: I64_FIELD
    momentum: F64_FIELD
    eps: F64_FIELD


@device_function
def part_size(p, part):
    """Elements of a part of a row."""
    last = min((part + 1) * p.planes_a_part, p.planes)
    size = (last - part * p.planes_a_part) * p.plane
    return size - (p.plane - p.last_plane) if last == p.planes else size


@device_function
def channel_of(p, line, plane):
    """The number of the weight of a plane: a row has one channel, or channels_a_row of them, a plane each."""
    return line if p.channels_a_row == 0 else (line * p.channels_a_row + plane) % p.channels


@device_function
def join_moments(p, line):
    """Join the means and sums of squares of a row's units: statistics = μ and ρ; μ and σ² stay in its first unit."""
    at, share = 2 * line * p.units, 1 / p.size
    mean, squares = 0.0, 0.0
    for first in range(at, at + 2 * p.units, 2 * p.parts):
        for part in range(p.parts):
            mean += part_size(p, part) * p.partial[first + 2 * part]
    mean *= share
    for first in range(at, at + 2 * p.units, 2 * p.parts):
        for part in range(p.parts):
            distance = p.partial[first + 2 * part] - mean
            squares += p.partial[first + 2 * part + 1] + part_size(p, part) * distance * distance
    var = squares * share
    p.partial[at] = mean
    p.partial[at + 1] = var
    p.statistics[line] = np.float32(mean)
    p.statistics[p.rows + line] = np.float32(1 / math.sqrt(var + p.eps))


@kernel(Norm)
def finish_moments(start, stop, row, scratch):
    """Statistics of each row from its units."""
    p = unpack(row, Norm)
    for line in range(start, stop):
        join_moments(p, line)
    return 0


@kernel(Running)
def update_running(start, stop, row, scratch):
    """batches += 1; running ← (1 − m)·running + m·(μ, σ²·k/(k − 1)), m = 1/batches where momentum is NaN; one task."""
    p = unpack(row, Running)
    momentum = p.momentum
    if not is_null(p.batches):
        p.batches[0] += 1
        if momentum != momentum:
            momentum = 1 / p.batches[0]
    if not is_null(p.mean):
        unbiased = p.size / max(p.size - 1, 1)
        for line in range(p.rows):
            mean, var = p.partial[2 * line * p.units], p.partial[2 * line * p.units + 1] * unbiased
            p.mean[line] = np.float32((1 - momentum) * p.mean[line] + momentum * mean)
            p.var[line] = np.float32((1 - momentum) * p.var[line] + momentum * var)
    return 0


@kernel(Running)
def given_statistics(start, stop, row, scratch):
    """statistics = the running mean and 1/√(running variance + eps)."""
    p = unpack(row, Running)
    for line in range(start, stop):
        p.statistics[line] = p.mean[line]
        p.statistics[p.rows + line] = np.float32(1 / math.sqrt(np.float64(p.var[line]) + p.eps))
    return 0


@device_function
def scale_and_bias(p, line, plane):
    """ρ · weight and bias of a plane."""
    channel = channel_of(p, line, plane)
    scale = p.statistics[p.rows + line]
    if not is_null(p.weight):
        scale *= p.weight[channel]
    return scale, np.float32(0) if is_null(p.bias) else p.bias[channel]


@device_function
def join_gradients(p, line):
    """From a row's Σ g and Σ g·(x − μ): the factor −ρ³·Σ w·g·(x − μ)/k of (x − μ) and the constant −ρ·Σ w·g/k of the
    gradient, and, where a row is a channel, the gradients of its weight and bias."""
    at = 2 * line * p.units
    rstd = np.float64(p.statistics[p.rows + line])
    total, products, plain_total, plain_products = 0.0, 0.0, 0.0, 0.0
    for unit in range(p.units):
        weight = 1.0 if is_null(p.weight) else np.float64(p.weight[channel_of(p, line, unit)])
        plain_total += p.partial[at + 2 * unit]
        plain_products += p.partial[at + 2 * unit + 1]
        total += weight * p.partial[at + 2 * unit]
        products += weight * p.partial[at + 2 * unit + 1]
    if p.channels_a_row == 0:
        if not is_null(p.weight_out):
            p.weight_out[line] = np.float32(plain_products * rstd)
        if not is_null(p.bias_out):
            p.bias_out[line] = np.float32(plain_total)
    share = 1 / p.size
    factor = np.float32(-rstd * rstd * rstd * products * share)
    constant = np.float32(-rstd * total * share)
    if p.spread == 0:
        p.coefficients[line] = factor
        p.coefficients[p.rows + line] = constant
    else:
        column = line * p.row_stride
        while column < p.spread:
            for place in range(column, column + p.row_stride):
                p.coefficients[3 * p.spread + place] = factor
                p.coefficients[4 * p.spread + place] = constant
            column += p.rows * p.row_stride


@kernel(Norm)
def channel_gradients(start, stop, row, scratch):
    """weight_out and bias_out of channels that are a plane of a row of each sample: sums over the samples."""
    p = unpack(row, Norm)
    samples = p.rows * p.channels_a_row // p.channels
    for channel in range(start, stop):
        total, products = 0.0, 0.0
        for sample in range(samples):
            unit = sample * p.channels + channel
            total += p.partial[2 * unit]
            products += p.partial[2 * unit + 1] * np.float64(p.statistics[p.rows + unit // p.channels_a_row])
        if not is_null(p.weight_out):
            p.weight_out[channel] = np.float32(products)
        if not is_null(p.bias_out):
            p.bias_out[channel] = np.float32(total)
    return 0


@kernel(Norm)
def finish_gradients(start, stop, row, scratch):
    """Coefficients of the gradient for x, and the gradients of weight and bias, from the sums of each row's units."""
    p = unpack(row, Norm)
    for line in range(start, stop):
        join_gradients(p, line)
    return 0
