"""The gradient of a convolution for its weights and bias, on register tiles.

grad_weight[o, tap] = Σ_picture Σ_position grad[o, position] · band[offset(tap) + place(position)]. With the gradient
transposed to [position][o], a tile is a few taps (broadcast from the band) by a few vectors of output channels, and a
chain runs over the positions of one band. The sums of the bands are added in order within a part of the batch, and
the parts in order at the end; both are cut by the shape alone, so the bits do not depend on threads or lanes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.cpu import conv_weight_rows, target
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.band import SLACK, Window, pack_band, tap_table
from numbanet.kernels.cpu.gemm import SMALL
from numbanet.kernels.cpu.kernel import Kernel, device_function, kernel
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.tile import LANES, offsets, outer, store_tile, zeros
from numbanet.kernels.cpu.simd.vector import load, store, transpose_block

if target.registers() == 32:
    RUNS = {(1, 5): 3, (1, 3): 4, (1, 7): 2, (1, 1): 8, (2, 5): 2, (2, 3): 3, (2, 7): 1, (2, 1): 8}
else:
    RUNS = {(2, 5): 1, (2, 1): 6}
"""Runs of taps of a tile, by its vectors of output channels and the length of a run. A run is a row of a filter, whose
taps are neighbours in the band: one address serves them all (addresses of single taps do not fit into registers)."""
BAND_SCRATCH = 1 << 18
"""float32 of a packed band with its transposed gradient (1 MB); part of what decides the bits."""
MOST_PARTS = 32
PART_ELEMENTS = 1 << 23
"""float32 of all partial sums together (32 MB)."""


class WeightGradient(NamedTuple):
    """Arguments of the weight gradient kernels."""

    partial: F32
    grad: F32
    x: F32
    runs: I32
    tap_count: I64_FIELD
    groups: I64_FIELD
    pictures: I64_FIELD
    parts: I64_FIELD
    tap_blocks: I64_FIELD
    out_channels: I64_FIELD
    padded_channels: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    out_rows: I64_FIELD
    band_rows: I64_FIELD
    phase_width: I64_FIELD
    phases: I64_FIELD
    stride_y: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD


class PartSum(NamedTuple):
    """Arguments of sum_parts."""

    out: F32
    bias_out: F32
    partial: F32
    parts: I64_FIELD
    groups: I64_FIELD
    taps: I64_FIELD
    out_channels: I64_FIELD
    padded_channels: I64_FIELD


@device_function
def transpose_gradient(out, grad, channels, padded, plane, positions):
    """out[position][o] = grad[o][position] for o < channels, 0 up to ``padded``; grad's rows are ``plane`` apart."""
    for o in range(0, padded, 16):
        rows = min(16, channels - o)
        whole = positions // 16 * 16 if rows > 0 else 0
        for i in range(0, whole, 16):
            transpose_block(out + (i * padded + o), padded, grad + (o * plane + i), plane, rows)
        for i in range(whole, positions):
            for lane in range(16):
                out[i * padded + o + lane] = grad[(o + lane) * plane + i] if lane < rows else np.float32(0)


def make_weight_gradient(columns: int, run: int) -> Kernel:
    """The weight gradient kernel whose tiles are RUNS[columns, run] runs of taps by this number of vectors."""
    runs = RUNS[columns, run]
    tile_taps = runs * run

    def weight_gradient(start, stop, row, scratch):
        """partial[part][group][tap][o]; a task is a block of taps of one group over one part of the pictures."""
        p = unpack(row, WeightGradient)
        memory = workspace(row, scratch)
        one = memory
        one[0] = np.float32(1)
        turned = memory + 16
        plane = p.out_height * p.out_width
        for task in range(start, stop):
            part = task // (p.groups * p.tap_blocks)
            group = task // p.tap_blocks % p.groups
            block = task % p.tap_blocks
            tiles = (p.tap_count + tile_taps - 1) // tile_taps
            low = block * tiles // p.tap_blocks * tile_taps
            high = min((block + 1) * tiles // p.tap_blocks * tile_taps, p.tap_count)
            total = p.partial + (part * p.groups + group) * (p.tap_count + 1) * p.padded_channels
            add = 0
            for picture in range(part * p.pictures // p.parts, (part + 1) * p.pictures // p.parts):
                number = picture * p.groups + group
                x = p.x + number * p.channels * p.height * p.width
                for top in range(0, p.out_height, p.out_rows):
                    rows = min(p.out_rows, p.out_height - top)
                    band = turned + p.out_rows * p.out_width * p.padded_channels
                    grad = p.grad + (number * p.out_channels * plane + top * p.out_width)
                    transpose_gradient(turned, grad, p.out_channels, p.padded_channels, plane, rows * p.out_width)
                    pack_band(
                        band, x, p.channels, p.height, p.width, top * p.stride_y, p.band_rows, p.phase_width,
                        p.phases, p.pad_y, p.pad_x,
                    )  # fmt: skip
                    for o in range(0, p.padded_channels, columns * LANES):
                        for tap in range(low, high, tile_taps):
                            where = offsets(p.runs, tap // run, runs)
                            acc = zeros(tile_taps, columns)
                            for y in range(rows):
                                line = band + y * p.stride_y * p.phases * p.phase_width
                                column = turned + (y * p.out_width * p.padded_channels + o)
                                for i in range(p.out_width):
                                    acc = outer(acc, line + i, where, column + i * p.padded_channels, LANES)
                            out = total + (tap * p.padded_channels + o)
                            store_tile(
                                acc, out, p.padded_channels, 0, min(tile_taps, high - tap), 0, columns * LANES, add, 0
                            )
                        if block == 0:
                            acc = zeros(1, columns)
                            for i in range(rows * p.out_width):
                                acc = outer(acc, one, 0, turned + (i * p.padded_channels + o), LANES)
                            out = total + (p.tap_count * p.padded_channels + o)
                            store_tile(acc, out, 0, 0, 1, 0, columns * LANES, add, 0)
                    add = 1
        return 0

    return kernel(WeightGradient, f"weight_gradient_{runs}x{run}x{columns}")(weight_gradient)


WEIGHT_GRADIENTS = {choice: make_weight_gradient(*choice) for choice in RUNS}


def padded_to_tile(out_channels: int) -> int:
    """Output channels of a group rounded up to whole vectors of the narrowest tile, and to 16 at least."""
    unit = max(16, min(columns for columns, _ in RUNS) * LANES)
    return -(-out_channels // unit) * unit


def choose_tile(window: Window, padded_channels: int) -> tuple[int, int]:
    """Vectors of output channels and length of a run of taps; any choice gives the same bits."""
    columns = 1 if padded_channels % (2 * LANES) and (1, 1) in RUNS else 2
    is_row = window.stride[1] == 1 and window.dilation[1] == 1 and (columns, window.kernel[1]) in RUNS
    return columns, window.kernel[1] if is_row else 1


@kernel(PartSum)
def sum_parts(start, stop, row, scratch):
    """out[group][o][tap] = Σ_part partial[part][group][tap][o], in order; a task is one tap (the last: the bias)."""
    p = unpack(row, PartSum)
    sums = workspace(row, scratch)
    for task in range(start, stop):
        group = task // (p.taps + 1)
        tap = task - group * (p.taps + 1)
        step = p.groups * (p.taps + 1) * p.padded_channels
        source = p.partial + (group * (p.taps + 1) + tap) * p.padded_channels
        for o in range(0, p.padded_channels, 16):
            total = load(source, o)
            for part in range(1, p.parts):
                total = total + load(source, part * step + o)
            store(sums, 0, total)
            for lane in range(min(16, p.out_channels - o)):
                channel = group * p.out_channels + o + lane
                if tap < p.taps:
                    p.out[channel * p.taps + tap] = sums[lane]
                elif not is_null(p.bias_out):
                    p.bias_out[channel] = sums[lane]
    return 0


def band_of(window: Window, channels: int, padded_channels: int) -> int:
    """Output rows of a band: as many as fit into BAND_SCRATCH with their gradient; by the shape alone."""
    rows = window.out_height
    while rows > 1 and (
        channels * window.band_rows(rows) * window.pitch + rows * window.out_width * padded_channels > BAND_SCRATCH
    ):
        rows = -(-rows // 2)
    return rows


def conv2d_weight_grad(program, out, bias_out, grad, x, stride, padding, dilation, groups):
    reason = float32_contiguous(out, bias_out, grad, x)
    if reason is not None or out.size == 0 or grad.size == 0:
        return reason or "an empty sum"
    window = Window(*x.shape[2:], *grad.shape[2:], out.shape[2:], stride, padding, dilation)
    append = _append_sums if conv_weight_rows.wins(out.shape[0] // groups, grad.shape[3]) else _append_channels
    append(program, out, bias_out, grad, x, window, groups)
    return None


def _geometry(window: Window, channels: int, out_rows: int) -> tuple[int, ...]:
    """The fields that both argument classes end with."""
    return (
        window.out_height, window.out_width, channels, window.height, window.width, out_rows,
        window.band_rows(out_rows), window.phase_width, window.stride[1], window.stride[0], *window.padding,
    )  # fmt: skip


def _cut(pictures: int, groups: int, tap_count: int, elements: int, tile: int) -> tuple[int, int]:
    """Parts of the batch (by the shape alone) and blocks of taps (as many as keep the threads busy)."""
    parts = max(1, min(pictures, MOST_PARTS, PART_ELEMENTS // elements))
    wanted = -(-2 * threads.get_num_threads() // (parts * groups))
    return parts, max(1, min(wanted, -(-tap_count // tile)))


def _append_sums(program, out, bias_out, grad, x, window, groups):
    """Few output channels: dot products over positions."""
    channels, out_channels, tap_count = x.shape[1] // groups, out.shape[0] // groups, out.size // out.shape[0]
    elements = out.size + out.shape[0]
    parts, tap_blocks = _cut(x.shape[0], groups, tap_count, elements, conv_weight_rows.TAPS)
    out_rows = band_of(window, channels, 0)
    taps = program.keep(tap_table(window, channels, window.band_rows(out_rows), 1, conv_weight_rows.TAPS))
    partial = program.workspace((parts, elements))
    args = conv_weight_rows.WeightSums(
        partial, grad, x, taps, tap_count, groups, x.shape[0], parts, tap_blocks, out_channels,
        *_geometry(window, channels, out_rows),
    )  # fmt: skip
    is_tile = out_channels >= conv_weight_rows.ROWS
    which = conv_weight_rows.weight_sums_tiles if is_tile else conv_weight_rows.weight_sums_rows
    tasks = parts * groups * tap_blocks
    scratch = channels * window.band_rows(out_rows) * window.pitch + SLACK
    program.append(which, tasks, args, chunk=tasks if grad.size * tap_count < SMALL else 1, scratch=scratch)
    sums = conv_weight_rows.Parts(out, bias_out, partial, parts, out.size, out.shape[0])
    tasks = -(-elements // conv_weight_rows.CHUNK)
    program.append(conv_weight_rows.add_parts, tasks, sums, chunk=tasks if parts * elements < SMALL else 1)


def _append_channels(program, out, bias_out, grad, x, window, groups):
    """Vectors of output channels."""
    channels, out_channels, tap_count = x.shape[1] // groups, out.shape[0] // groups, out.size // out.shape[0]
    padded = -(-out_channels // 16) * 16  # this decides bits, so no lanes and no tiles may
    out_rows = band_of(window, channels, padded)
    elements = (tap_count + 1) * padded * groups
    padded = padded_to_tile(out_channels)
    columns, run = choose_tile(window, padded)
    runs = RUNS[columns, run]
    parts, tap_blocks = _cut(x.shape[0], groups, tap_count, elements, runs * run)
    starts = program.keep(tap_table(window, channels, window.band_rows(out_rows), run, runs))
    partial = program.workspace((parts, groups, tap_count + 1, padded))
    args = WeightGradient(
        partial, grad, x, starts, tap_count, groups, x.shape[0], parts, tap_blocks, out_channels, padded,
        *_geometry(window, channels, out_rows),
    )  # fmt: skip
    tasks = parts * groups * tap_blocks
    scratch = 16 + out_rows * window.out_width * padded + channels * window.band_rows(out_rows) * window.pitch + SLACK
    chunk = tasks if grad.size * tap_count < SMALL else 1
    program.append(WEIGHT_GRADIENTS[columns, run], tasks, args, chunk=chunk, scratch=scratch)
    sums = PartSum(out, bias_out, partial, parts, groups, tap_count, out_channels, padded)
    tasks = groups * (tap_count + 1)
    chunk = tasks if partial.size < SMALL else max(1, tasks // (4 * threads.get_num_threads()))
    program.append(sum_parts, tasks, sums, chunk=chunk, scratch=16)
