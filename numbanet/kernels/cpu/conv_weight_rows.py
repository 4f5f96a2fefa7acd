"""The gradient of a convolution for its weights as dot products over positions, for layers with few output channels.

grad_weight[o, tap] = Σ_picture Σ_position grad[o, position] · band[offset(tap) + place(position)]: a tile is a few
output channels by a few taps, each a sum in 16 virtual lanes of neighbouring positions. Nothing is transposed and no
lane waits for channels that are not there (LeNet's first layer has 6). The rows of the gradient are spread out to the
pitch of the band with zeros between them, so that all positions of a band are one sequence. It needs stride 1, or
strides that make samples pay (``samples.py``), whose lines are such sequences as they are. The sums differ from those
of ``conv_weight.py`` in the last bits, so the choice between them knows the shape only.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.cpu import target
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.band import SLACK, pack_band
from numbanet.kernels.cpu.gemm_pack import SMALL
from numbanet.kernels.cpu.geometry import Walk, Window, forward_walk, table
from numbanet.kernels.cpu.kernel import Kernel, device_function, kernel
from numbanet.kernels.cpu.samples import pack_samples, pitch_of, sample_table, spread
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.tile import add_sums, inner, offsets, zero_sums
from numbanet.kernels.cpu.simd.vector import lane_sum, load, load_first, select, splat, store, store_first

ROWS, TAPS = {(32, 16): (6, 3), (16, 8): (3, 2)}.get((target.registers(), target.lanes()), (2, 2))
BAND = 1 << 16
"""float32 of a packed band (256 KB); part of what decides the bits."""
MOST_PARTS = 32
PART_ELEMENTS = 1 << 18
"""Weights of all parts together, about."""
LEAST_SPREAD = 4
"""Elements of a picture for each that is read from which on packing samples pays: a band costs as much for each."""
CHUNK = 1024
"""Weights of a task of add_parts."""


class WeightSums(NamedTuple):
    """Arguments of the kernels."""

    partial: F32
    grad: F32
    output: F32
    x: F32
    taps: I32
    samples: I32
    tap_count: I64_FIELD
    groups: I64_FIELD
    pictures: I64_FIELD
    parts: I64_FIELD
    tap_blocks: I64_FIELD
    out_channels: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    out_rows: I64_FIELD
    band_rows: I64_FIELD
    pitch: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    area: I64_FIELD
    step_y: I64_FIELD
    step_x: I64_FIELD
    sample_pitch: I64_FIELD


class Parts(NamedTuple):
    """Arguments of add_parts."""

    out: F32
    bias_out: F32
    partial: F32
    parts: I64_FIELD
    weights: I64_FIELD
    biases: I64_FIELD


@device_function
def spread_rows(out, grad, output, rows, width, pitch, length):
    """out[y · pitch + x] = grad[y][x], 0 between the rows and up to ``length``, a multiple of 16 with 16 to spare.

    Where there is an ``output``, grad counts only where that is not at or below 0 (the gradient of a ReLU)."""
    # Whole vectors: what runs over the end of a row is overwritten by the next row, and by the zeros at the end.
    zero, masked = splat(np.float32(0)), not is_null(output)
    for y in range(rows):
        at, to, x = y * width, y * pitch, 0
        while x < width - 15:
            value = load(grad, at + x)
            if masked:
                value = select(load(output, at + x) <= zero, zero, value)
            store(out, to + x, value)
            x += 16
        if x < width:
            value = load_first(grad, at + x, width - x)
            if masked:
                value = select(load_first(output, at + x, width - x) <= zero, zero, value)
            store(out, to + x, value)
            x += 16
        while x < pitch:
            store(out, to + x, zero)
            x += 16
    for i in range(rows * pitch, length - 16, 16):
        store(out, i, zero)
    store(out, length - 16, zero)


def make_weight_sums(rows: int) -> Kernel:
    """The kernel whose tiles are ``rows`` output channels by TAPS taps."""

    def weight_sums(start, stop, row, scratch):
        """partial[part][group · o · tap, then group · o]; a task is a block of taps of one group over one part."""
        p = unpack(row, WeightSums)
        spread = workspace(row, scratch)
        plane, length = p.out_height * p.out_width, (p.out_rows * p.pitch + 15) // 16 * 16 + 16
        band = spread + p.out_channels * length
        weights = p.groups * p.out_channels * p.tap_count
        for task in range(start, stop):
            part = task // (p.groups * p.tap_blocks)
            group = task // p.tap_blocks % p.groups
            block = task % p.tap_blocks
            tiles = (p.tap_count + TAPS - 1) // TAPS
            low = block * tiles // p.tap_blocks * TAPS
            high = min((block + 1) * tiles // p.tap_blocks * TAPS, p.tap_count)
            total = p.partial + part * (weights + p.groups * p.out_channels)
            add = 0
            for picture in range(part * p.pictures // p.parts, (part + 1) * p.pictures // p.parts):
                number = picture * p.groups + group
                x = p.x + number * p.channels * p.height * p.width
                for top in range(0, p.out_height, p.out_rows):
                    count = min(p.out_rows, p.out_height - top)
                    at = number * p.out_channels * plane + top * p.out_width
                    if is_null(p.samples):
                        pack_band(
                            band, x, p.channels, p.height, p.width, top, p.band_rows, 1, p.pitch, p.pad_y, p.pad_x
                        )
                    else:
                        pack_samples(
                            band, x, p.samples, p.area, p.channels, p.height, p.width, top, count, p.out_width,
                            p.step_y, p.step_x, p.sample_pitch,
                        )  # fmt: skip
                    for o in range(p.out_channels):
                        output = p.output if is_null(p.output) else p.output + (at + o * plane)
                        grad = p.grad + (at + o * plane)
                        spread_rows(spread + o * length, grad, output, count, p.out_width, p.pitch, length)
                    for tap in range(low, high, TAPS):
                        where = offsets(p.taps, tap, TAPS)
                        for line in range(0, p.out_channels, rows):
                            first = min(line, p.out_channels - rows)
                            acc = zero_sums(rows, TAPS)
                            for i in range(0, count * p.pitch, 16):
                                acc = inner(acc, spread + (first * length + i), length, band + i, where, 16)
                            out = total + ((group * p.out_channels + first) * p.tap_count + tap)
                            add_sums(acc, out, p.tap_count, line - first, rows, high - tap, add)
                    if block == 0:
                        for o in range(p.out_channels):
                            sums = splat(np.float32(0))
                            for i in range(0, count * p.pitch, 16):
                                sums = sums + load(spread, o * length + i)
                            at = weights + group * p.out_channels + o
                            total[at] = total[at] + lane_sum(sums) if add else lane_sum(sums)
                    add = 1
        return 0

    return kernel(WeightSums, f"weight_sums_{rows}x{TAPS}")(weight_sums)


weight_sums_tiles = make_weight_sums(ROWS)
weight_sums_rows = make_weight_sums(1)


@kernel(Parts)
def add_parts(start, stop, row, scratch):
    """out = Σ_part partial[part], in order, the weights and then the biases; a task is CHUNK of them."""
    p = unpack(row, Parts)
    size = p.weights + p.biases
    for begin in range(start * CHUNK, min(stop * CHUNK, size), 16):
        n = min(size - begin, 16)
        total = load_first(p.partial, begin, n)
        for part in range(1, p.parts):
            total = total + load_first(p.partial, part * size + begin, n)
        store_first(p.out, begin, total, p.weights - begin)
        if begin + n > p.weights and not is_null(p.bias_out):
            for i in range(max(begin, p.weights), begin + n):
                value = p.partial[i]
                for part in range(1, p.parts):
                    value = value + p.partial[part * size + i]
                p.bias_out[i - p.weights] = value
    return 0


def wins(out_channels: int, window: Window) -> bool:
    """Whether dot products waste fewer lanes than vectors of output channels do: by the shape alone, in 16 lanes."""
    walk = forward_walk(window)
    is_sampled = walk.columns.step > 1 and spread(walk) >= LEAST_SPREAD
    if (window.stride != (1, 1) and not is_sampled) or (window.kernel[1] - 1) * window.dilation[1] + 16 > SLACK:
        return False
    line = window.positions if is_sampled else window.out_width
    channel_share = out_channels / (-(-out_channels // 16) * 16)
    position_share = line / (-(-line // 16) * 16)
    return channel_share < 0.8 * position_share


def _packed(walk: Walk, channels: int, rows: int) -> tuple[int, np.ndarray, int, int]:
    """float32 of a band of so many output rows and where its taps are; elements from one output row to the next, and
    from one line of samples to the next."""
    channel, (taps, _) = np.arange(channels)[:, None], walk.taps((0, 0))
    if walk.columns.step > 1:
        each = pitch_of(rows * walk.columns.size)
        return channels * taps.size * each, np.arange(channels * taps.size) * each, walk.columns.size, each
    plane = walk.band_rows(rows) * walk.pitch
    return channels * plane, (channel * plane + taps).ravel(), walk.pitch, 0


def band_of(window: Window, channels: int, out_channels: int) -> int:
    """Output rows of a band: as many as fit into BAND with their gradient; by the shape alone."""
    walk, rows = forward_walk(window), window.out_height
    while rows > 1:
        size, _, pitch, _ = _packed(walk, channels, rows)
        if size + out_channels * rows * pitch <= BAND:
            break
        rows = -(-rows // 2)
    return rows


@functools.lru_cache(maxsize=512)
def make_plan(window: Window, pictures: int, groups: int, channels: int, out_channels: int, thread_count: int) -> tuple:
    """Parts of the batch, blocks of taps, scratch, the tables of taps and of samples, and the words of a row."""
    walk, tap_count = forward_walk(window), window.area * channels
    weights = groups * out_channels * (tap_count + 1)
    parts = max(1, min(pictures, MOST_PARTS, PART_ELEMENTS // weights))
    wanted = -(-2 * thread_count // (parts * groups))
    blocks = max(1, min(wanted, -(-tap_count // TAPS)))
    out_rows = band_of(window, channels, out_channels)
    size, taps, pitch, sample_pitch = _packed(walk, channels, out_rows)
    words = (
        tap_count, groups, pictures, parts, blocks, out_channels, window.out_height, window.out_width, channels,
        window.height, window.width, out_rows, walk.band_rows(out_rows), pitch, walk.rows.pad, walk.columns.pad,
        window.area, *window.stride, sample_pitch,
    )  # fmt: skip
    length = -(-out_rows * pitch // 16) * 16 + 16
    samples = sample_table(walk, (window.height, window.width)) if sample_pitch else None
    scratch = out_channels * length + size + SLACK
    return parts, blocks, scratch, table(np.pad(taps, (0, TAPS), mode="edge")), samples, words


def append(program, out, bias_out, grad, output, x, window: Window, groups: int) -> None:
    """Append the rows that compute out and bias_out (or None) from x and grad, which output (or None) masks."""
    channels, out_channels = x.shape[1] // groups, out.shape[0] // groups
    plan = make_plan(window, x.shape[0], groups, channels, out_channels, threads.get_num_threads())
    parts, blocks, scratch, taps, samples, words = plan
    elements = out.size + out.shape[0]
    partial = program.workspace((parts, elements))
    which = weight_sums_tiles if out_channels >= ROWS else weight_sums_rows
    tasks = parts * groups * blocks
    chunk = tasks if grad.size * words[0] < SMALL else 1
    args = WeightSums(partial, grad, output, x, taps, samples, *words)
    program.append(which, tasks, args, chunk=chunk, scratch=scratch)
    for array in (taps, samples):
        if array is not None:
            program.keep(array)
    sums = Parts(out, bias_out, partial, parts, out.size, out.shape[0])
    tasks = -(-elements // CHUNK)
    program.append(add_parts, tasks, sums, chunk=tasks if parts * elements < SMALL else 1)
