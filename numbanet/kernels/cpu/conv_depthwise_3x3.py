"""Depthwise convolution with 3 × 3 filters, stride 1 and padding of 1, and its gradients: down the columns of a plane.

Sixteen columns of a row are loaded once, where they lie; their neighbours to the left and right come by a shift of
lanes. They go into three rows of outputs: the last taps of the one above, the middle ones of their own, the first ones
of the one below. ``conv_depthwise.py`` has the same chains and packs a padded plane first, which takes as long as they.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack
from numbanet.kernels.cpu.gemm_pack import SMALL
from numbanet.kernels.cpu.geometry import Axis, Walk, table
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.tile import LANES, RELU
from numbanet.kernels.cpu.simd.vector import fma, lane_index, lane_sum, load, select, splat, window
from numbanet.kernels.cpu.target import registers

BAND = 1 << 14
"""Elements of a task, about: large planes are parted, and a part reads two rows more than it writes."""
TWO = registers() == 32 and LANES == 16
"""Whether thirty-two columns have room in registers."""
TASKS_A_THREAD = 8


class Depthwise3x3(NamedTuple):
    """Arguments of depthwise_3x3: planes of (height, width) in ``bands`` of ``rows``; ``places`` of the weights."""

    out: F32
    x: F32
    weight: F32
    bias: F32
    places: I32
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    rows: I64_FIELD
    bands: I64_FIELD
    activation: I64_FIELD


class Weights3x3(NamedTuple):
    """Arguments of depthwise_3x3_weights."""

    partial: F32
    grad: F32
    x: F32
    pictures: I64_FIELD
    channels: I64_FIELD
    parts: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD


@device_function
def neighbours(row, i, n):
    """The sixteen numbers from i − 1, i and i + 1 on of a row, which zeros surround; n are left from i on."""
    zero = splat(np.float32(0))
    middle = load_upto(row, i, n)
    left = window(load(row, i - 16) if i > 0 else zero, middle, 15)
    return left, middle, window(middle, load_upto(row, i + 16, n - 16) if n > 16 else zero, 1)


@device_function
def add_row(total, filter, tap, left, middle, right):
    """The chain goes on with three taps."""
    total = fma(filter[tap], left, total)
    total = fma(filter[tap + 1], middle, total)
    return fma(filter[tap + 2], right, total)


@device_function
def nine_of(weight, places):
    """The filter, each weight in all lanes, in the order of the taps."""
    return (
        splat(weight[places[0]]), splat(weight[places[1]]), splat(weight[places[2]]), splat(weight[places[3]]),
        splat(weight[places[4]]), splat(weight[places[5]]), splat(weight[places[6]]), splat(weight[places[7]]),
        splat(weight[places[8]]),
    )  # fmt: skip


@device_function
def finish(out, i, total, n, bias, activation):
    """The first n of activation(total + bias) to out[i:]."""
    total = total + bias
    if activation == RELU:
        total = select(total < splat(np.float32(0)), splat(np.float32(0)), total)
    store_upto(out, i, total, n)


@device_function(inlined=True)
def walk_down(p, x, out, filter, bias, top, bottom, i):
    """The rows top … bottom − 1 of the sixteen columns from i on."""
    zero = splat(np.float32(0))
    above, here = zero, zero  # of the rows y − 1, without its last taps, and y, with its first ones alone
    n = p.width - i
    for y in range(top - 1, bottom + 1):
        left, middle, right = zero, zero, zero
        if 0 <= y < p.height:
            left, middle, right = neighbours(x + y * p.width, i, n)
        if y > top:
            total = add_row(above, filter, 6, left, middle, right)
            finish(out, (y - 1) * p.width + i, total, n, bias, p.activation)
        above = add_row(here, filter, 3, left, middle, right)
        here = add_row(zero, filter, 0, left, middle, right)


@device_function(inlined=True)
def walk_two_down(p, x, out, filter, bias, top, bottom, i):
    """As walk_down for thirty-two columns; there are more than sixteen."""
    zero = splat(np.float32(0))
    above, here, above1, here1 = zero, zero, zero, zero
    n = p.width - i
    for y in range(top - 1, bottom + 1):
        left, middle, right, left1, middle1, right1 = zero, zero, zero, zero, zero, zero
        if 0 <= y < p.height:
            row = x + y * p.width
            middle, middle1 = load(row, i), load_upto(row, i + 16, n - 16)
            left = window(load(row, i - 16) if i > 0 else zero, middle, 15)
            right, left1 = window(middle, middle1, 1), window(middle, middle1, 15)
            right1 = window(middle1, load_upto(row, i + 32, n - 32) if n > 32 else zero, 1)
        if y > top:
            total = add_row(above, filter, 6, left, middle, right)
            total1 = add_row(above1, filter, 6, left1, middle1, right1)
            finish(out, (y - 1) * p.width + i, total, 16, bias, p.activation)
            finish(out, (y - 1) * p.width + i + 16, total1, n - 16, bias, p.activation)
        above = add_row(here, filter, 3, left, middle, right)
        above1 = add_row(here1, filter, 3, left1, middle1, right1)
        here = add_row(zero, filter, 0, left, middle, right)
        here1 = add_row(zero, filter, 0, left1, middle1, right1)


@kernel(Depthwise3x3)
def depthwise_3x3(start, stop, row, scratch):
    """out = activation(x ⋆ weight + bias), channel by channel; a task is a band of rows of one plane."""
    p = unpack(row, Depthwise3x3)
    for task in range(start, stop):
        plane = task // p.bands
        top = (task - plane * p.bands) * p.rows
        bottom = min(top + p.rows, p.height)
        x, out = p.x + plane * p.height * p.width, p.out + plane * p.height * p.width
        filter = nine_of(p.weight + plane % p.channels * 9, p.places)
        bias = splat(np.float32(0) if is_null(p.bias) else p.bias[plane % p.channels])
        i = 0
        while i < p.width:
            if TWO and p.width - i > 16:
                walk_two_down(p, x, out, filter, bias, top, bottom, i)
                i += 32
            else:
                walk_down(p, x, out, filter, bias, top, bottom, i)
                i += 16
    return 0


@device_function
def add_products(sums, grad, left, middle, right):
    """The sums of three taps go on with grad times each of the three."""
    return fma(grad, left, sums[0]), fma(grad, middle, sums[1]), fma(grad, right, sums[2])


@device_function(inlined=True)
def add_columns(sums, total, grad, x, i, p):
    """The nine sums of products and that of the gradient go on with sixteen columns of a plane."""
    zero, n = splat(np.float32(0)), p.width - i
    inside = lane_index() < splat(np.int32(min(n, 16)))
    above, here = zero, load_upto(grad, i, n)
    for y in range(p.height):
        left, middle, right = neighbours(x + y * p.width, i, n)
        left = select(inside, left, zero)  # the last column's left neighbour has no gradient to meet
        below = load_upto(grad, (y + 1) * p.width + i, n) if y + 1 < p.height else zero
        first, second, third = sums
        # Rows of padding take no part: 0 times an infinity would be one's NaN.
        if y + 1 < p.height:
            first = add_products(first, below, left, middle, right)
        second = add_products(second, here, left, middle, right)
        if y > 0:
            third = add_products(third, above, left, middle, right)
        sums = first, second, third
        total = total + here
        above, here = here, below
    return sums, total


@kernel(Weights3x3)
def depthwise_3x3_weights(start, stop, row, scratch):
    """partial[part][channel · tap, then channel]; a task is a part of the batch of one channel."""
    p = unpack(row, Weights3x3)
    plane, weights = p.height * p.width, p.channels * 9
    zero = splat(np.float32(0))
    for task in range(start, stop):
        part = task // p.channels
        channel = task - part * p.channels
        three = (zero, zero, zero)
        sums, total = (three, three, three), zero
        for picture in range(part * p.pictures // p.parts, (part + 1) * p.pictures // p.parts):
            begin = (picture * p.channels + channel) * plane
            for i in range(0, p.width, 16):
                sums, total = add_columns(sums, total, p.grad + begin, p.x + begin, i, p)
        out = p.partial + part * (weights + p.channels)
        out[weights + channel] = lane_sum(total)
        out = out + channel * 9
        for line in range(3):
            left, middle, right = sums[line]
            out[3 * line], out[3 * line + 1], out[3 * line + 2] = lane_sum(left), lane_sum(middle), lane_sum(right)
    return 0


# --- planning --------------------------------------------------------------------------------------------------------
def takes(walk: Walk, size: tuple[int, int]) -> bool:
    """Whether this kernel computes the walk over pictures of this size."""
    return all(_is_plain(axis) for axis in (walk.rows, walk.columns)) and (walk.rows.size, walk.columns.size) == size


def _is_plain(axis: Axis) -> bool:
    """Whether an axis has three taps, one behind the other; of size 1, strided ones of larger filters look alike."""
    offsets = [at for at, _ in axis.taps[0]]
    return axis.kernel == 3 and axis.step == axis.phases == axis.pad == 1 and offsets == [0, 1, 2]


def append(program, out, x, weight, bias, walk: Walk, activation: int) -> None:
    """Append the row that computes out (n, c, h, w) from x and weight (c, 1, 3, 3)."""
    channels, height, width = x.shape[1:]
    places = [3 * ky + kx for _, ky in walk.rows.taps[0] for _, kx in walk.columns.taps[0]]
    places = program.keep(table(np.array(places, np.int32)))
    rows = min(height, max(8, BAND // width))
    bands = -(-height // rows)
    tasks = x.shape[0] * channels * bands
    chunk = tasks if x.size * 9 < SMALL else max(1, tasks // (TASKS_A_THREAD * threads.get_num_threads()))
    args = Depthwise3x3(out, x, weight, bias, places, channels, height, width, rows, bands, activation)
    program.append(depthwise_3x3, tasks, args, chunk=chunk)
