"""Convolution with vectors over neighbouring positions, for wide pictures and few output channels.

out[o, position] = Σ_tap weight[o, tap] · band[tap + position] (see ``geometry.py``): a tile is a few output channels
(rows, whose weights are broadcast from where they lie) by a few vectors of positions. Where a stride lets neighbours
read columns that lie apart, samples are packed instead of a band (``samples.py``), and all positions are one line. An
output is the sum, in order, of one chain a block of channels over (channel, ky, kx), the bias added to the first: the
same sums as in ``conv_channels.py``, and so the same bits. A task packs one band of one picture and does all its output
channels.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.array import Array
from numbanet.kernels.cpu import target
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.band import SLACK, pack_band
from numbanet.kernels.cpu.caches import cache_bytes
from numbanet.kernels.cpu.conv_channels import Filters
from numbanet.kernels.cpu.gemm_pack import SMALL
from numbanet.kernels.cpu.geometry import Walk, channel_block, table
from numbanet.kernels.cpu.kernel import Kernel, kernel
from numbanet.kernels.cpu.samples import pack_samples, pitch_of, sample_table
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.tile import LANES, add_bias_rows, multiples, offsets, outer, store_columns, zeros

SCRATCH = cache_bytes(2) // 8
"""float32 that the band of a block of channels may take: half of the second-level cache, where it stays."""
TASKS_A_THREAD = 4
if target.registers() == 32:
    TILES = {8: 2, 6: 3, 4: 4, 2: 4, 1: 4}
else:
    TILES = {6: 2, 4: 2, 2: 4, 1: 4}
"""Output channels of a tile, and its vectors of positions."""


class Convolution(NamedTuple):
    """Arguments of the convolution kernels."""

    out: F32
    x: F32
    weight: F32
    bias: F32
    taps: I32
    weight_taps: I32
    columns: I32
    places: I32
    counts: I32
    tap_ranges: I32
    samples: I32
    area: I64_FIELD
    groups: I64_FIELD
    out_channels: I64_FIELD
    out_positions: I64_FIELD
    out_width: I64_FIELD
    channels: I64_FIELD
    channel_block: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    group_stride: I64_FIELD
    out_stride: I64_FIELD
    channel_stride: I64_FIELD
    bands: I64_FIELD
    out_rows: I64_FIELD
    band_step: I64_FIELD
    band_rows: I64_FIELD
    first_tiles: I64_FIELD
    last_tiles: I64_FIELD
    pitch: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    step_y: I64_FIELD
    step_x: I64_FIELD
    activation: I64_FIELD


def make_convolution(rows: int) -> Kernel:
    """The convolution kernel whose tiles have this number of output channels."""
    columns = TILES[rows]

    def convolution(start, stop, row, scratch):
        """out = activation(x ⋆ weight + bias); a task is one band of one group of channels of one picture."""
        p = unpack(row, Convolution)
        band, strides = workspace(row, scratch), multiples(p.out_stride, rows)
        for task in range(start, stop):
            number = task // p.bands  # of the group, counted over all pictures
            cut = task - number * p.bands
            group = number % p.groups
            out = p.out + (number * p.out_channels * p.out_positions + cut * p.out_rows * p.out_width)
            is_last = cut == p.bands - 1
            begin = p.first_tiles if is_last else 0
            end = begin + (p.last_tiles if is_last else p.first_tiles)
            for channel in range(0, p.channels, p.channel_block):
                channels = min(p.channel_block, p.channels - channel)
                activation = p.activation if channel + channels == p.channels else 0
                x = p.x + (number * p.channels + channel) * p.height * p.width
                if is_null(p.samples):
                    pack_band(
                        band, x, channels, p.height, p.width, cut * p.band_step, p.band_rows, 1, p.pitch, p.pad_y,
                        p.pad_x,
                    )  # fmt: skip
                else:
                    top = cut * p.out_rows
                    lines = min(p.out_rows, p.out_positions // p.out_width - top)
                    pack_samples(
                        band, x, p.samples, p.area, channels, p.height, p.width, top, lines, p.out_width, p.step_y,
                        p.step_x, p.pitch,
                    )  # fmt: skip
                for tile in range(begin, end):
                    where = offsets(p.columns, tile * columns, columns)
                    places, counts = (
                        offsets(p.places, tile * columns, columns),
                        offsets(p.counts, tile * columns, columns),
                    )
                    low, high = p.tap_ranges[2 * tile], p.tap_ranges[2 * tile + 1]
                    for line in range(0, p.out_channels, rows):
                        first = min(line, p.out_channels - rows)
                        weight = p.weight + (group * p.group_stride + first * p.out_stride + channel * p.channel_stride)
                        acc = zeros(rows, columns)
                        if high - low == p.area:
                            for tap in range(channels * p.area):
                                acc = outer(acc, weight + p.weight_taps[tap], strides, band + p.taps[tap], where)
                        else:
                            for run in range(0, channels * p.area, p.area):
                                for tap in range(run + low, run + high):
                                    scalars = weight + p.weight_taps[tap]
                                    acc = outer(acc, scalars, strides, band + p.taps[tap], where)
                        if channel == 0 and not is_null(p.bias):
                            acc = add_bias_rows(acc, p.bias + (group * p.out_channels + first), line - first, rows)
                        store_columns(
                            acc, out + first * p.out_positions, p.out_positions, line - first, rows, places, counts,
                            channel, activation,
                        )  # fmt: skip
        return 0

    return kernel(Convolution, f"convolution_{rows}x{columns}")(convolution)


CONVOLUTIONS = {rows: make_convolution(rows) for rows in TILES}


# --- planning --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Plan:
    """How one convolution is cut into bands and tiles, with its tables and the words that the shape decides."""

    tasks: int
    chunk: int
    scratch: int
    taps: Array
    weight_taps: Array
    columns: Array
    places: Array
    counts: Array
    tap_ranges: Array
    samples: Array | None
    words: tuple[int, ...]
    cut: tuple[int, ...]


def _is_sampled(walk: Walk) -> bool:
    """Whether positions that follow each other read columns that do not: samples are packed instead of bands."""
    return walk.columns.step > 1


def _lines(walk: Walk, out_rows: int) -> tuple[int, int, int]:
    """Along what vectors go: how many lines of neighbouring positions, their length, and from one to the next."""
    if _is_sampled(walk):
        return 1, out_rows * walk.columns.size, 0
    return out_rows, walk.columns.size, walk.rows.step * walk.pitch


def _packed(walk: Walk, out_rows: int) -> tuple[int, np.ndarray]:
    """Elements that a channel takes in scratch memory, and where the taps are in them."""
    taps, _ = walk.taps((0, 0))
    if _is_sampled(walk):
        pitch = pitch_of(out_rows * walk.columns.size)
        return taps.size * pitch, np.arange(taps.size) * pitch
    return walk.band_rows(out_rows) * walk.pitch, taps


def _vectors(walk: Walk, out_rows: int, columns: int, overlap: bool) -> tuple[np.ndarray, ...]:
    """Of each vector of output positions in a band: its offset in the band, its place in the output, its valid lanes.

    With ``overlap`` the last vector of a line is shifted back inside, so that it is a whole one; what two vectors both
    compute is the same. The last is repeated, with no valid lane, up to a multiple of the tile's columns."""
    lines, width, apart = _lines(walk, out_rows)
    each = -(-width // LANES)
    row, vector = np.divmod(np.arange(lines * each), each)
    begin = vector * LANES
    if overlap and width >= LANES:
        begin = np.minimum(begin, width - LANES)
    extra = (0, -row.size % columns)
    return (
        np.pad(row * apart + begin, extra, mode="edge"),
        np.pad(row * width + begin, extra, mode="edge"),
        np.pad(np.minimum(width - begin, LANES), extra),
    )


def _tap_ranges(walk: Walk, out_rows: int, bands: int, columns: int, height: int, skip: bool) -> np.ndarray:
    """First and last tap of a channel that some row of a tile needs: with ``skip``, those that meet the picture.

    Of two pictures' rows of bands the wider range counts, so that one table serves all bands."""
    (taps,), (lines, width, _) = walk.rows.taps, _lines(walk, out_rows)
    row = np.arange(lines * -(-width // LANES)) // -(-width // LANES)
    row = np.pad(row, (0, -row.size % columns), mode="edge").reshape(-1, columns)
    area, kernel_x = len(taps) * walk.columns.kernel, walk.columns.kernel
    if not skip or bands > 1:
        return np.tile([0, area], (len(row), 1)).ravel()
    offset = np.array([at for at, _ in taps])
    meets = (row[:, :, None] * walk.rows.step + offset - walk.rows.pad).clip(-1, height)
    meets = ((meets >= 0) & (meets < height)).any(axis=1)  # (tiles, ky)
    low = meets.argmax(axis=1)
    high = len(taps) - meets[:, ::-1].argmax(axis=1)
    return (np.stack([low, np.where(meets.any(axis=1), high, low)], axis=1) * kernel_x).ravel()


@functools.lru_cache(maxsize=512)
def make_plan(
    walk: Walk, rows: int, pictures: int, channels: int, out_channels: int, size: tuple[int, int],
    channel_stride: int, skip: bool, thread_count: int,
) -> Plan:  # fmt: skip
    """Bands small enough for the cache, and enough of them for all threads; ``pictures`` counts groups of channels."""
    height, width, columns = walk.rows.size, walk.columns.size, TILES[rows]
    _, filter_places = walk.taps((0, 0))
    area = filter_places.size
    block = min(channel_block(area), channels)
    wanted = -(-TASKS_A_THREAD * thread_count // pictures)
    out_rows = max(1, -(-height // wanted))
    while out_rows > 1 and block * _packed(walk, out_rows)[0] > SCRATCH:
        out_rows = -(-out_rows // 2)
    bands = -(-height // out_rows)
    (each, taps), overlap = _packed(walk, out_rows), channels <= block
    channel = np.arange(block)[:, None]
    cuts = (out_rows, height - (bands - 1) * out_rows)
    vectors = [
        np.concatenate(both) for both in zip(*(_vectors(walk, cut, columns, overlap) for cut in cuts), strict=True)
    ]
    tap_ranges = [_tap_ranges(walk, cut, bands, columns, size[0], skip) for cut in cuts]
    tables = (
        (channel * each + taps).ravel(), (channel * channel_stride + filter_places).ravel(),
        *vectors, np.concatenate(tap_ranges),
    )  # fmt: skip
    words = (area, out_channels, height * width, width, channels, block, *size)
    first, last = (len(part) // 2 for part in tap_ranges)
    cut = (
        bands, out_rows, out_rows * walk.rows.step, walk.band_rows(out_rows), first, last,
        each // area if _is_sampled(walk) else walk.pitch, walk.rows.pad, walk.columns.pad, walk.rows.step,
        walk.columns.step,
    )  # fmt: skip
    tasks = pictures * bands
    is_small = tasks * out_rows * width * area * channels * out_channels < SMALL
    chunk = tasks if is_small else max(1, tasks // (8 * TASKS_A_THREAD * thread_count))
    samples = sample_table(walk, size) if _is_sampled(walk) else None
    return Plan(tasks, chunk, block * each + SLACK, *map(table, tables), samples, words, cut)


def append(
    program, out, x, weight, bias, walk: Walk, filters: Filters, groups: int, activation: int, rows: int, skip: bool
) -> None:
    """Append the row that computes out (n, o, …) from x (n, c, h, w) with tiles of ``rows`` output channels."""
    channels, out_channels = x.shape[1] // groups, out.shape[1] // groups
    plan = make_plan(
        walk, rows, x.shape[0] * groups, channels, out_channels, x.shape[2:], filters.channel_stride, skip,
        threads.get_num_threads(),
    )  # fmt: skip
    tables = (plan.taps, plan.weight_taps, plan.columns, plan.places, plan.counts, plan.tap_ranges)
    area, *words = plan.words
    args = Convolution(
        out, x, weight, bias, *tables, plan.samples, area, groups, *words, filters.group_stride, filters.out_stride,
        filters.channel_stride, *plan.cut, activation,
    )  # fmt: skip
    program.append(CONVOLUTIONS[rows], plan.tasks, args, chunk=plan.chunk, scratch=plan.scratch)
    for array in (*tables, plan.samples):
        if array is not None:
            program.keep(array)
