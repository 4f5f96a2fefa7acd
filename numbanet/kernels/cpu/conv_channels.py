"""Convolution with vectors over the output channels, for pictures that are narrow and layers that have many channels.

out[o, y, x] = Σ_tap weight[o, tap] · band[offset(tap) + place(y, x)], the same chains as in ``conv.py`` and so the same
bits, but here a tile is a run of neighbouring positions (rows, whose scalars of the band are broadcast) by a few
vectors of output channels. All lanes work whatever the width of the picture. The weights are packed in a level of
their own as [tap][o]; the tiles are stored as [position][o] and turned at the end, where bias and activation come in.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.cpu import target
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.band import SLACK, pack_band
from numbanet.kernels.cpu.kernel import Kernel, device_function, kernel
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.tile import LANES, RELU, outer, store_tile, zeros
from numbanet.kernels.cpu.simd.vector import load, select, splat, store_first, transpose_block

if target.registers() == 32:
    TILES = {14: 1, 10: 1, 8: 2, 7: 2}
else:
    TILES = {6: 2, 5: 2, 4: 2}
"""Positions of a tile, and its vectors of output channels."""
RUN_SLACK = max(TILES) + 16
"""Positions behind the last one that a tile may read (and whose results it drops)."""


class ChannelConvolution(NamedTuple):
    """Arguments of the kernels; the names are those of Window and of the convolution in conv.py."""

    out: F32
    x: F32
    weight: F32
    bias: F32
    taps: I32
    tap_count: I64_FIELD
    groups: I64_FIELD
    out_channels: I64_FIELD
    padded_channels: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    bands: I64_FIELD
    out_rows: I64_FIELD
    band_rows: I64_FIELD
    phase_width: I64_FIELD
    phases: I64_FIELD
    stride_y: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    activation: I64_FIELD


class WeightPack(NamedTuple):
    """Arguments of pack_weights."""

    out: F32
    weight: F32
    weight_taps: I32
    tap_count: I64_FIELD
    out_channels: I64_FIELD
    padded_channels: I64_FIELD
    weight_group: I64_FIELD
    weight_row: I64_FIELD


@kernel(WeightPack)
def pack_weights(start, stop, row, scratch):
    """out[group][tap][o] = weight[group, o, tap], 0 up to the padded channels; a task is one tap of one group."""
    p = unpack(row, WeightPack)
    for task in range(start, stop):
        group = task // p.tap_count
        tap = task - group * p.tap_count
        source = p.weight + (group * p.weight_group + p.weight_taps[tap])
        out = p.out + task * p.padded_channels
        for o in range(p.out_channels):
            out[o] = source[o * p.weight_row]
        for o in range(p.out_channels, p.padded_channels):
            out[o] = np.float32(0)
    return 0


@device_function
def turn(out, turned, bias, channels, padded, plane, positions, activation, block):
    """out[o][position] = activation(turned[position][o] + bias[o]); rows of out are ``plane`` apart."""
    zero = splat(np.float32(0))
    for o in range(0, channels, 16):
        for i in range(0, positions, 16):
            transpose_block(block, 16, turned + (i * padded + o), padded, 16)
            for lane in range(min(16, channels - o)):
                value = load(block, lane * 16)
                if not is_null(bias):
                    value = value + splat(bias[o + lane])
                if activation == RELU:
                    value = select(value < zero, zero, value)
                store_first(out, (o + lane) * plane + i, value, positions - i)


def make_channel_convolution(rows: int, columns: int) -> Kernel:
    """The kernel whose tiles have ``rows`` positions and ``columns`` vectors of output channels."""

    def channel_convolution(start, stop, row, scratch):
        """out = activation(x ⋆ weight + bias); a task is one band of one group of channels of one picture."""
        p = unpack(row, ChannelConvolution)
        block = workspace(row, scratch)
        turned = block + 256
        plane = p.out_height * p.out_width
        band = turned + (p.out_rows * p.out_width + RUN_SLACK) * p.padded_channels
        for task in range(start, stop):
            number = task // p.bands  # of the group, counted over all pictures
            top = (task - number * p.bands) * p.out_rows
            group = number % p.groups
            out_rows = min(p.out_rows, p.out_height - top)
            picture = p.x + number * p.channels * p.height * p.width
            pack_band(
                band, picture, p.channels, p.height, p.width, top * p.stride_y, p.band_rows, p.phase_width, p.phases,
                p.pad_y, p.pad_x,
            )  # fmt: skip
            weight = p.weight + group * p.tap_count * p.padded_channels
            for o in range(0, p.padded_channels, columns * LANES):
                for y in range(out_rows):
                    line = band + y * p.stride_y * p.phases * p.phase_width
                    for run in range(0, p.out_width, rows):
                        first = max(min(run, p.out_width - rows), 0)
                        acc = zeros(rows, columns)
                        for tap in range(p.tap_count):
                            scalars = line + (first + p.taps[tap])
                            acc = outer(acc, scalars, 1, weight + (tap * p.padded_channels + o), LANES)
                        out = turned + ((y * p.out_width + first) * p.padded_channels + o)
                        count = min(rows, p.out_width - first)
                        store_tile(acc, out, p.padded_channels, 0, count, 0, columns * LANES, 0, 0)
            bias = p.bias if is_null(p.bias) else p.bias + group * p.out_channels
            out = p.out + (number * p.out_channels * plane + top * p.out_width)
            positions = out_rows * p.out_width
            turn(out, turned, bias, p.out_channels, p.padded_channels, plane, positions, p.activation, block)
        return 0

    return kernel(ChannelConvolution, f"channel_convolution_{rows}x{columns}")(channel_convolution)


KERNELS_BY_ROWS = {rows: make_channel_convolution(rows, columns) for rows, columns in TILES.items()}


def padded_to_tile(out_channels: int, rows: int) -> int:
    """Output channels of a group, rounded up to whole tiles (and to 16, which the turning needs)."""
    unit = max(16, TILES[rows] * LANES)
    return -(-out_channels // unit) * unit


def efficiency(rows: int, out_channels: int, out_width: int) -> float:
    """Share of a tile's multiply-adds that count, times what its shape reaches of the processor's peak."""
    positions = -(-out_width // rows) * rows
    shape = {1: 0.75, 2: 0.85}[TILES[rows]]
    return shape * out_width / positions * out_channels / padded_to_tile(out_channels, rows)


def best_rows(out_channels: int, out_width: int) -> int:
    """The tile that wastes least."""
    return max(TILES, key=lambda rows: efficiency(rows, out_channels, out_width))


def scratch_floats(rows: int, out_channels: int, out_positions: int, band: int) -> int:
    """float32 of scratch memory for a band and its output."""
    return 256 + (out_positions + RUN_SLACK) * padded_to_tile(out_channels, rows) + band + SLACK


def append_weights(program, weight, weight_taps, weight_row: int, groups: int, out_channels: int, rows: int):
    """Append the packing of the weights; returns the packed array."""
    padded, taps = padded_to_tile(out_channels, rows), weight_taps.size
    packed = program.workspace((groups, taps, padded))
    args = WeightPack(packed, weight, weight_taps, taps, out_channels, padded, weight.size // groups, weight_row)
    tasks = groups * taps
    chunk = tasks if packed.size < 1 << 14 else max(1, tasks // (4 * threads.get_num_threads()))
    program.append(pack_weights, tasks, args, chunk=chunk)
    return packed
