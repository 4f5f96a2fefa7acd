"""The gradient of a convolution for its input as a product and a gathering of its columns.

columns[tap, position] = Σ_o weight[o, tap] · grad[o, position], and then
grad_input[c, y, x] = Σ_(ky, kx) columns[(c, ky, kx), the position that this tap leads from to (y, x)].

The product knows no stride, so nothing is wasted where a convolution over a spread gradient would multiply zeros:
three of four with stride 2. With stride 1 the convolution of ``conv.py`` is faster even where much of it is padding
(measured: LeNet's second layer, 5×5 on 14×14, 1.0 against 1.0–1.5 ms; 3×3 with 64 channels on 8×8, 4.1 against 6.0 ms):
short chains spend their time on storing and gathering. Each element
of the product is a chain over o, each gathered sum one over (kx, ky); the bits know neither tiles nor lanes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.band import Window
from numbanet.kernels.cpu.gemm import COLUMNS, PANEL, ROWS, SMALL
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.tile import LANES, outer, store_tile, zeros
from numbanet.kernels.cpu.simd.vector import load_between, splat, store, store_first

SCRATCH = 1 << 18
"""float32 that the columns of a task may take (1 MB); the number of channels of a task follows from it."""


class ColumnGradient(NamedTuple):
    """Arguments of input_gradient_columns; the names are those of the convolution whose gradient it is."""

    out: F32
    grad: F32
    weight: F32
    groups: I64_FIELD
    channels: I64_FIELD
    channel_block: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    out_channels: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    kernel_y: I64_FIELD
    kernel_x: I64_FIELD
    stride_y: I64_FIELD
    stride_x: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    dilation_y: I64_FIELD
    dilation_x: I64_FIELD


@device_function
def multiply(columns, weight, grad, taps, tap_step, out_channels, positions, packed):
    """columns[tap][position] = Σ_o weight[o · tap_step + tap] · grad[o · positions + position].

    The last tiles are shifted back inside; fewer positions than a tile has come packed, PANEL apart, with zeros; fewer
    taps than a tile has are done one by one."""
    width = PANEL if packed else positions
    for left in range(0, width, PANEL):
        begin = min(left, width - PANEL)
        end = min(PANEL, positions - begin)
        for top in range(0, taps, ROWS if taps >= ROWS else 1):
            if taps >= ROWS:
                first = min(top, taps - ROWS)
                acc = zeros(ROWS, COLUMNS)
                for o in range(out_channels):
                    acc = outer(acc, weight + (o * tap_step + first), 1, grad + (o * width + begin), LANES)
                store_tile(acc, columns + (first * positions + begin), positions, 0, ROWS, 0, end, 0, 0)
            else:
                line = zeros(1, COLUMNS)
                for o in range(out_channels):
                    line = outer(line, weight + (o * tap_step + top), 1, grad + (o * width + begin), LANES)
                store_tile(line, columns + (top * positions + begin), positions, 0, 1, 0, end, 0, 0)


@device_function
def whole_steps(distance, step):
    """distance / step where that is a whole number from 0 on, else −1."""
    if step == 1 or distance < 0:
        return distance
    steps = distance // step
    return steps if steps * step == distance else -1


@device_function
def gather_row(out, columns, p, channel, y, block):
    """One row of the gradient: out[x] = Σ_(kx, ky) of the columns that lead to (y, x)."""
    positions = p.out_height * p.out_width
    taps = columns + channel * p.kernel_y * p.kernel_x * positions
    for phase in range(min(p.stride_x, p.width)):
        count = p.width if p.stride_x == 1 else (p.width - phase + p.stride_x - 1) // p.stride_x
        for left in range(0, count, 16):
            total = splat(np.float32(0))
            for kx in range(p.kernel_x):
                shift = phase + p.pad_x - kx * p.dilation_x
                if p.stride_x > 1:
                    if shift % p.stride_x != 0:
                        continue
                    shift = shift // p.stride_x
                column = shift + left  # of the output, for lane 0
                for ky in range(p.kernel_y):
                    line = whole_steps(y + p.pad_y - ky * p.dilation_y, p.stride_y)
                    if line >= 0 and line < p.out_height:
                        index = (ky * p.kernel_x + kx) * positions + line * p.out_width + column
                        total = total + load_between(taps, index, -column, p.out_width - column)
            if p.stride_x == 1:
                store_first(out, left, total, count - left)
            else:
                store(block, 0, total)
                for lane in range(min(16, count - left)):
                    out[phase + (left + lane) * p.stride_x] = block[lane]


@kernel(ColumnGradient)
def input_gradient_columns(start, stop, row, scratch):
    """out = gradient of the input; a task is a block of channels of one group of one picture."""
    p = unpack(row, ColumnGradient)
    block = workspace(row, scratch)
    positions, area = p.out_height * p.out_width, p.kernel_y * p.kernel_x
    packed = positions < PANEL
    grad_copy = block + 16
    columns = grad_copy + (p.out_channels * PANEL + 16 if packed else 0)
    blocks = (p.channels + p.channel_block - 1) // p.channel_block
    for task in range(start, stop):
        number = task // blocks  # of the group, counted over all pictures
        first = (task - number * blocks) * p.channel_block
        channels = min(p.channel_block, p.channels - first)
        group = number % p.groups
        grad = p.grad + number * p.out_channels * positions
        if packed:
            for o in range(p.out_channels):
                for i in range(0, PANEL, 16):
                    store(grad_copy, o * PANEL + i, load_between(grad, o * positions + i, 0, positions - i))
            grad = grad_copy
        weight = p.weight + (group * p.out_channels * p.channels + first) * area
        multiply(columns, weight, grad, channels * area, p.channels * area, p.out_channels, positions, packed)
        for channel in range(channels):
            plane = p.out + (number * p.channels + first + channel) * p.height * p.width
            for y in range(p.height):
                gather_row(plane + y * p.width, columns, p, channel, y, block)
    return 0


def append_columns(program, out, grad, weight, window: Window, groups: int) -> None:
    """Append the row that computes out (n, c, h, w) from grad (n, o, oh, ow); ``window`` is the convolution's own."""
    pictures, channels, out_channels = out.shape[0], out.shape[1] // groups, grad.shape[1] // groups
    area, positions = window.kernel[0] * window.kernel[1], window.out_height * window.out_width
    channel_block = max(1, min(channels, SCRATCH // (area * positions)))
    wanted = 4 * threads.get_num_threads()
    if pictures * groups < wanted:
        channel_block = max(1, min(channel_block, channels * pictures * groups // wanted))
    args = ColumnGradient(
        out, grad, weight, groups, channels, channel_block, window.height, window.width, out_channels,
        window.out_height, window.out_width, *window.kernel, *window.stride, *window.padding, *window.dilation,
    )  # fmt: skip
    tasks = pictures * groups * -(-channels // channel_block)
    packed = out_channels * PANEL + 16 if positions < PANEL else 0  # the last row is written in whole vectors
    scratch = 16 + packed + channel_block * area * positions
    chunk = tasks if grad.size * channels * area < SMALL else max(1, tasks // (8 * wanted))
    program.append(input_gradient_columns, tasks, args, chunk=chunk, scratch=scratch)
