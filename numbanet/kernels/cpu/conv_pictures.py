"""Convolution with vectors over pictures, for small pictures and few output channels.

out[o, position] = Σ_tap weight[o, tap] · x[tap + position] for GROUP pictures at once: a tile is a few output channels
(rows, whose weights are broadcast from where they lie) by two vectors of pictures, at one position. So every position
has the taps that meet the picture and no others: no product with padding, no lane beyond the end of a row, any stride.
In the gradient for the input of LeNet's second layer half of all products are with padding, in AlexNet's last layers,
whose pictures are 3 × 3, two fifths. What it costs is transposing: pictures become lanes on the way in and out.

An output is the sum, in order, of one chain a block of channels over (channel, ky, kx), the bias added to the first:
the same sums as in ``conv_channels.py``, and so the same bits. A task is a band of rows of GROUP pictures.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.array import Array
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.caches import cache_bytes
from numbanet.kernels.cpu.conv_channels import Filters
from numbanet.kernels.cpu.gemm_pack import SMALL
from numbanet.kernels.cpu.geometry import Line, Walk, channel_block, line_of, table
from numbanet.kernels.cpu.kernel import Kernel, device_function, kernel
from numbanet.kernels.cpu.simd.lanes import transpose_eight
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.tile import LANES, add_bias_rows, multiples, outer, store_rows, zeros

COLUMNS = 2
GROUP = COLUMNS * LANES
"""Pictures of a tile."""
ROWS = (6, 4, 3, 1)
"""Output channels of a tile."""
SCRATCH = cache_bytes(2) // 8
"""float32 that the band and the results of a task may take, about: half of the second-level cache."""
TASKS_A_THREAD = 4


class PictureConvolution(NamedTuple):
    """Arguments of the convolution kernels."""

    out: F32
    x: F32
    weight: F32
    bias: F32
    taps: I32
    weight_taps: I32
    lists: I32
    row_places: I32
    row_kinds: I32
    column_places: I32
    column_kinds: I32
    sources: I32
    pictures: I64_FIELD
    groups: I64_FIELD
    out_channels: I64_FIELD
    out_height: I64_FIELD
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
    plane: I64_FIELD
    band_size: I64_FIELD
    activation: I64_FIELD


@device_function
def gather_pictures(out, x, picture_stride, pictures, count):
    """out[i · GROUP + picture] = x[picture · picture_stride + i] for i < count.

    Lanes beyond the pictures repeat the last one."""
    for first in range(0, GROUP, 8):
        rows = max(1, min(8, pictures - first))
        source = x + min(first, pictures - 1) * picture_stride
        for i in range(0, count, 8):
            # The last block is shifted back inside: what it writes twice is the same.
            at = min(i, count - 8)
            if at >= 0:
                transpose_eight(out + (at * GROUP + first), GROUP, source + at, picture_stride, rows)
            else:
                for j in range(count):
                    for picture in range(8):
                        out[j * GROUP + first + picture] = source[min(picture, rows - 1) * picture_stride + j]


@device_function
def scatter_pictures(out, x, picture_stride, pictures, count, block):
    """out[picture · picture_stride + i] = x[i · GROUP + picture] for i < count and the pictures that there are."""
    for first in range(0, pictures, 8):
        rows, target = min(8, pictures - first), out + first * picture_stride
        for i in range(0, count, 8):
            at = max(min(i, count - 8), 0)
            is_whole = rows == 8 and count >= 8
            place, pitch = (target + at, picture_stride) if is_whole else (block, 8)
            transpose_eight(place, pitch, x + (at * GROUP + first), GROUP, min(8, count - at))
            if not is_whole:
                for picture in range(rows):
                    for j in range(min(8, count - at)):
                        target[picture * picture_stride + at + j] = block[picture * 8 + j]


def make_convolution(rows: int) -> Kernel:
    """The convolution kernel whose tiles have this number of output channels."""

    def convolution(start, stop, row, scratch):
        """out = activation(x ⋆ weight + bias); a task is one band of one group of channels of GROUP pictures."""
        p = unpack(row, PictureConvolution)
        block, strides = workspace(row, scratch), multiples(p.out_stride, rows)
        band = block + 64
        result = band + p.band_size
        size, out_size = p.height * p.width, p.out_height * p.out_width
        for task in range(start, stop):
            cut = task % p.bands
            group = task // p.bands % p.groups
            first = task // (p.bands * p.groups) * GROUP
            pictures = min(GROUP, p.pictures - first)
            top, bottom = cut * p.out_rows, min((cut + 1) * p.out_rows, p.out_height)
            positions = (bottom - top) * p.out_width
            source, elements = p.sources[2 * cut] * p.width, p.sources[2 * cut + 1] * p.width
            for channel in range(0, p.channels, p.channel_block):
                channels = min(p.channel_block, p.channels - channel)
                activation = p.activation if channel + channels == p.channels else 0
                for c in range(channels):
                    x = p.x + (((first * p.groups + group) * p.channels + channel + c) * size + source)
                    gather_pictures(band + c * p.plane, x, p.groups * p.channels * size, pictures, elements)
                for line in range(0, p.out_channels, rows):
                    o = min(line, p.out_channels - rows)
                    weight = p.weight + (group * p.group_stride + o * p.out_stride + channel * p.channel_stride)
                    for y in range(top, bottom):
                        place = band + (p.row_places[y] - source) * GROUP
                        lines = result + (line * positions + (y - top) * p.out_width) * GROUP
                        for column in range(p.out_width):
                            number = 2 * (p.row_kinds[y] + p.column_kinds[column])
                            begin, count = p.lists[number], p.lists[number + 1]
                            x = place + p.column_places[column] * GROUP
                            acc = zeros(rows, COLUMNS)
                            for tap in range(begin, begin + channels * count):
                                acc = outer(acc, weight + p.weight_taps[tap], strides, x + p.taps[tap], LANES)
                            if channel == 0 and not is_null(p.bias):
                                acc = add_bias_rows(acc, p.bias + (group * p.out_channels + o), 0, rows)
                            store_rows(acc, lines + column * GROUP, positions * GROUP, channel, activation)
            for o in range(p.out_channels):
                # The last tile is shifted back inside: its lines begin where the others end.
                tile = o // rows * rows
                line = o if tile + rows <= p.out_channels else o + tile + rows - p.out_channels
                out = p.out + ((first * p.groups + group) * p.out_channels + o) * out_size + top * p.out_width
                scatter_pictures(
                    out, result + line * positions * GROUP, p.groups * p.out_channels * out_size, pictures, positions,
                    block,
                )  # fmt: skip
        return 0

    return kernel(PictureConvolution, f"picture_convolution_{rows}x{COLUMNS}")(convolution)


CONVOLUTIONS = {rows: make_convolution(rows) for rows in ROWS}


# --- planning --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Plan:
    """How one convolution is cut into bands, with its tables and the words that the shape decides."""

    tasks: int
    chunk: int
    scratch: int
    tables: tuple[Array, ...]
    words: tuple[int, ...]
    cut: tuple[int, ...]


def _lists(rows: Line, columns: Line, kernel_x: int, block: int, width: int, plane: int, channel_stride: int):
    """The taps of each pair of kinds for all channels of a block, their weights, and where the lists begin."""
    channel, taps, weight_taps, lists, begin = np.arange(block)[:, None], [], [], [], 0
    for ys in rows.taps:
        for xs in columns.taps:
            offsets = np.array([(y * width + x) * GROUP for y, _ in ys for x, _ in xs], np.int64)
            places = np.array([ky * kernel_x + kx for _, ky in ys for _, kx in xs], np.int64)
            taps.append((channel * plane + offsets).ravel())
            weight_taps.append((channel * channel_stride + places).ravel())
            lists += [begin, offsets.size]
            begin += block * offsets.size
    return np.concatenate(taps), np.concatenate(weight_taps), np.array(lists)


def _sources(rows: Line, out_rows: int) -> np.ndarray:
    """First row of the source and number of rows that each band of ``out_rows`` rows of output needs."""
    found = []
    for top in range(0, len(rows.places), out_rows):
        needed = [
            rows.places[y] + at
            for y in range(top, min(top + out_rows, len(rows.places)))
            for at, _ in rows.taps[rows.kinds[y]]
        ]
        found.append((min(needed), max(needed) - min(needed) + 1) if needed else (0, 0))
    return np.array(found)


@functools.lru_cache(maxsize=512)
def make_plan(
    walk: Walk, rows: int, pictures: int, groups: int, channels: int, out_channels: int, size: tuple[int, int],
    channel_stride: int, thread_count: int,
) -> Plan:  # fmt: skip
    """Bands small enough for the cache, and enough of them for all threads."""
    height, width = walk.rows.size, walk.columns.size
    row_line, column_line = line_of(walk.rows, size[0]), line_of(walk.columns, size[1])
    most_taps = max(1, *(len(walk.taps(segment)[0]) for segment in walk.segments))
    block, lines = min(channel_block(most_taps), channels), -(-out_channels // rows) * rows
    picture_groups = -(-pictures // GROUP)
    wanted = -(-TASKS_A_THREAD * thread_count // (picture_groups * groups))
    out_rows = max(1, -(-height // wanted))
    while True:
        sources = _sources(row_line, out_rows)
        plane = max(1, int(sources[:, 1].max())) * size[1] * GROUP
        scratch = block * plane + lines * out_rows * width * GROUP
        if scratch <= SCRATCH or out_rows == 1:
            break
        out_rows = -(-out_rows // 2)
    bands = len(sources)
    taps, weight_taps, lists = _lists(
        row_line, column_line, walk.columns.kernel, block, size[1], plane, channel_stride
    )  # fmt: skip
    tables = (
        taps, weight_taps, lists, row_line.places * size[1], row_line.kinds * len(column_line.taps),
        column_line.places, column_line.kinds, sources,
    )  # fmt: skip
    words = (pictures, groups, out_channels, height, width, channels, block, *size)
    tasks = picture_groups * groups * bands
    is_small = pictures * groups * height * width * most_taps * channels * out_channels < SMALL
    chunk = tasks if is_small else max(1, tasks // (8 * TASKS_A_THREAD * thread_count))
    cut = (bands, out_rows, plane, block * plane)
    return Plan(tasks, chunk, 64 + scratch, tuple(map(table, tables)), words, cut)


def append(
    program, out, x, weight, bias, walk: Walk, filters: Filters, groups: int, activation: int, rows: int
) -> None:
    """Append the row that computes out (n, o, …) from x (n, c, h, w) with tiles of ``rows`` output channels."""
    channels, out_channels = x.shape[1] // groups, out.shape[1] // groups
    plan = make_plan(
        walk, rows, x.shape[0], groups, channels, out_channels, x.shape[2:], filters.channel_stride,
        threads.get_num_threads(),
    )  # fmt: skip
    args = PictureConvolution(
        out, x, weight, bias, *plan.tables, *plan.words, filters.group_stride, filters.out_stride,
        filters.channel_stride, *plan.cut, activation,
    )  # fmt: skip
    program.append(CONVOLUTIONS[rows], plan.tasks, args, chunk=plan.chunk, scratch=plan.scratch)
    for array in plan.tables:
        program.keep(array)
