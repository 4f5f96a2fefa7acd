"""Convolution of 3 × 3 filters by Winograd's minimal filtering F(2×2, 3×3): 16 products where a direct one has 36.

Lavin, Gray 2016. For tiles d of 4 × 4 inputs and the 2 × 2 outputs y in their middle,

    y = Aᵀ · [Σ_c (G·g_c·Gᵀ) ⊙ (Bᵀ·d_c·B)] · A,    Bᵀ = (1 0 −1 0; 0 1 1 0; 0 −1 1 0; 0 1 0 −1),
    G = (1 0 0; ½ ½ ½; ½ −½ ½; 0 0 1),    Aᵀ = (1 1 1 0; 0 1 −1 −1),

so the sum over channels is 16 matrix products, which run on register tiles: rows are picture tiles, columns vectors of
output channels. The gradient for the input is the same with flipped filters. Each product is one chain over the
channels; the order of all other sums is written here, so the bits know neither lanes nor threads. They differ from the
direct forms' bits, and the error is larger: within 16·ε·Σ|x||w|. NaN and infinity reach all outputs of their tile.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.band import SLACK, pack_band
from numbanet.kernels.cpu.caches import cache_bytes
from numbanet.kernels.cpu.conv_channels import COLUMNS, PANEL, ROWS, Filters, padded, turn
from numbanet.kernels.cpu.geometry import Walk, table
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.tile import LANES, RELU, offsets, outer, store_rows, zeros
from numbanet.kernels.cpu.simd.vector import every_second, load, select, splat, store

POINTS = 16
LEAST_CHANNELS, MOST_CHANNELS = 16, 128
"""Channels on both sides between which it wins: with fewer the transforms cost more than they save, with more the
transformed tiles leave the cache."""
MOST_TILES = 128
FEW_TILES = 2 * ROWS
"""Tiles whose products are turned into outputs at a time, while they lie in the first-level cache, where the filters
of a panel lie there too; where they do not, each is read for all tiles of a task."""
TRANSFORMED = 1 << 16
"""float32 of the transformed inputs of a task, about (256 KB)."""
TASKS_A_THREAD = 4
LINE = 16
"""float32 of a cache line. Channels are an odd number of lines apart, and points one line more than their channels
take: else the lines that belong to one tile would all fall into the same few places of the first-level cache."""


class Winograd(NamedTuple):
    """Arguments of winograd_convolution."""

    out: F32
    x: F32
    weight: F32
    bias: F32
    places: I32
    pictures: I64_FIELD
    out_channels: I64_FIELD
    panels: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    bunch: I64_FIELD
    bands: I64_FIELD
    out_rows: I64_FIELD
    band_rows: I64_FIELD
    pitch: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    space: I64_FIELD
    point_stride: I64_FIELD
    tiles: I64_FIELD
    block: I64_FIELD
    activation: I64_FIELD


class FilterTransform(NamedTuple):
    """Arguments of transform_filters."""

    out: F32
    weight: F32
    places: I32
    out_channels: I64_FIELD
    channels: I64_FIELD
    out_stride: I64_FIELD
    channel_stride: I64_FIELD


@device_function
def filter_line(a, b, c):
    """G · (a, b, c)."""
    half = splat(np.float32(0.5))
    ends = a + c
    return a, (ends + b) * half, (ends - b) * half, c


@device_function
def input_line(a, b, c, d):
    """Bᵀ · (a, b, c, d)."""
    return a - c, b + c, c - b, b - d


@device_function
def output_line(a, b, c, d):
    """Aᵀ · (a, b, c, d)."""
    return a + b + c, b - c - d


@kernel(FilterTransform)
def transform_filters(start, stop, row, scratch):
    """out[panel][point][channel][lane] = (G·g·Gᵀ)[point] of the filter of an output channel; a task is one panel."""
    p = unpack(row, FilterTransform)
    taps = workspace(row, scratch)
    for panel in range(start, stop):
        for o in range(0, PANEL, 16):
            first = panel * PANEL + o
            count = max(min(16, p.out_channels - first), 0)
            for channel in range(p.channels):
                weight = p.weight + (first * p.out_stride + channel * p.channel_stride)
                for tap in range(9):
                    for lane in range(count):
                        taps[tap * 16 + lane] = weight[lane * p.out_stride + p.places[tap]]
                    for lane in range(count, 16):
                        taps[tap * 16 + lane] = np.float32(0)
                a = filter_line(load(taps, 0), load(taps, 48), load(taps, 96))
                b = filter_line(load(taps, 16), load(taps, 64), load(taps, 112))
                c = filter_line(load(taps, 32), load(taps, 80), load(taps, 128))
                for i in range(4):
                    line = filter_line(a[i], b[i], c[i])
                    for j in range(4):
                        at = ((panel * POINTS + i * 4 + j) * p.channels + channel) * PANEL + o
                        store(p.out, at, line[j])
    return 0


@device_function
def columns_of(row):
    """The four columns of 16 neighbouring tiles in a row of the band: x, x + 1, x + 2, x + 3 for x = 0, 2, 4, …"""
    low, high, low2, high2 = load(row, 0), load(row, 16), load(row, 2), load(row, 18)
    return (
        every_second(low, high, 0),
        every_second(low, high, 1),
        every_second(low2, high2, 0),
        every_second(low2, high2, 1),
    )


@device_function
def store_points(out, line0, line1, line2, line3, stride):
    """out[point] = the sixteen points, ``stride`` apart."""
    for j in range(4):
        store(out, j * stride, line0[j])
        store(out, (4 + j) * stride, line1[j])
        store(out, (8 + j) * stride, line2[j])
        store(out, (12 + j) * stride, line3[j])


@device_function
def transform_inputs(out, even, odd, slots, pitch, point_stride):
    """out[point][slot] = (Bᵀ·d·B)[point] of one channel, where slot y · pitch / 2 + x is the tile at row y, column x.

    ``even`` and ``odd`` hold every second row of the padded pictures each, so that the tiles of all rows are one
    sequence (with a column of none between the rows, and a row of none between the pictures)."""
    for slot in range(0, slots, 16):
        upper, lower = even + 2 * slot, odd + 2 * slot
        a, b, c, d = columns_of(upper), columns_of(lower), columns_of(upper + pitch), columns_of(lower + pitch)
        line0 = input_line(a[0] - c[0], a[1] - c[1], a[2] - c[2], a[3] - c[3])
        line1 = input_line(b[0] + c[0], b[1] + c[1], b[2] + c[2], b[3] + c[3])
        line2 = input_line(c[0] - b[0], c[1] - b[1], c[2] - b[2], c[3] - b[3])
        line3 = input_line(b[0] - d[0], b[1] - d[1], b[2] - d[2], b[3] - d[3])
        store_points(out + slot, line0, line1, line2, line3, point_stride)


@device_function
def transform_outputs(out, products, bias, first, tiles, block, columns, activation):
    """out[y · 2 · columns + x][o] = activation(Aᵀ·m·A + bias) of the tiles from ``first`` on, one panel; columns of
    tiles and pictures follow each other row by row."""
    step = block * PANEL
    for tile in range(tiles):
        number = first + tile
        corner = (4 * number - 2 * (number % columns)) * PANEL
        for o in range(0, PANEL, 16):
            m = products + (tile * PANEL + o)
            a = output_line(load(m, 0), load(m, 4 * step), load(m, 8 * step), load(m, 12 * step))
            b = output_line(load(m, step), load(m, 5 * step), load(m, 9 * step), load(m, 13 * step))
            c = output_line(load(m, 2 * step), load(m, 6 * step), load(m, 10 * step), load(m, 14 * step))
            d = output_line(load(m, 3 * step), load(m, 7 * step), load(m, 11 * step), load(m, 15 * step))
            for i in range(2):
                left, right = output_line(a[i], b[i], c[i], d[i])
                at = corner + 2 * i * columns * PANEL + o
                store(out, at, finished(left, bias, o, activation))
                store(out, at + PANEL, finished(right, bias, o, activation))


@device_function
def finished(value, bias, o, activation):
    """activation(value + bias)."""
    if not is_null(bias):
        value = value + load(bias, o)
    if activation == RELU:
        zero = splat(np.float32(0))
        value = select(value < zero, zero, value)
    return value


@kernel(Winograd)
def winograd_convolution(start, stop, row, scratch):
    """out = activation(x ⋆ weight + bias); a task is a bunch of pictures, or a band of rows of one."""
    p = unpack(row, Winograd)
    block = workspace(row, scratch)
    turned = block + 64
    bias = turned + 4 * p.tiles * PANEL
    products = bias + PANEL
    transformed = products + POINTS * p.block * PANEL
    even = transformed + POINTS * p.point_stride
    columns, size = p.pitch // 2 - 1, p.band_rows * p.pitch
    odd = even + p.bunch * size + SLACK
    for task in range(start, stop):
        bunch = task // p.bands
        top = (task - bunch * p.bands) * p.out_rows
        first = bunch * p.bunch
        pictures, height = min(p.bunch, p.pictures - first), min(p.out_rows, p.out_height - top)
        rows = (height + 1) // 2
        tiles = pictures * rows * columns
        for channel in range(p.channels):
            for i in range(pictures):
                x = p.x + ((first + i) * p.channels + channel) * p.height * p.width
                pack_band(even + i * size, x, 1, p.height, p.width, top, p.band_rows, 2, p.pitch, p.pad_y, p.pad_x)
                pack_band(odd + i * size, x, 1, p.height, p.width, top + 1, p.band_rows, 2, p.pitch, p.pad_y, p.pad_x)
            slots = (pictures * p.band_rows - 1) * (columns + 1)
            transform_inputs(transformed + channel * p.space, even, odd, slots, p.pitch, p.point_stride)
        for panel in range(p.panels):
            weight = p.weight + panel * POINTS * p.channels * PANEL
            o = panel * PANEL
            if not is_null(p.bias):
                for lane in range(PANEL):
                    bias[lane] = p.bias[o + lane] if o + lane < p.out_channels else np.float32(0)
            for begin in range(0, tiles, p.block):
                count = min(p.block, tiles - begin)
                for point in range(POINTS):
                    a, b = transformed + point * p.point_stride, weight + point * p.channels * PANEL
                    for tile in range(0, count, ROWS):
                        where = offsets(p.places, begin + tile, ROWS)
                        acc = zeros(ROWS, COLUMNS)
                        for channel in range(p.channels):
                            acc = outer(acc, a + channel * p.space, where, b + channel * PANEL, LANES)
                        store_rows(acc, products + (point * p.block + tile) * PANEL, PANEL, 0, 0)
                transform_outputs(
                    turned, products, p.bias if is_null(p.bias) else bias, begin, count, p.block, columns, p.activation
                )
            channels, line = min(PANEL, p.out_channels - o), 2 * columns
            for i in range(pictures):
                lines = turned + i * rows * 2 * line * PANEL
                out = p.out + ((first + i) * p.out_channels + o) * p.out_height * p.out_width + top * p.out_width
                if line == p.out_width:
                    turn(out, lines, channels, p.out_height * p.out_width, height * line, block)
                else:
                    for y in range(height):
                        part = lines + y * line * PANEL
                        turn(out + y * p.out_width, part, channels, p.out_height * p.out_width, p.out_width, block)
    return 0


# --- planning --------------------------------------------------------------------------------------------------------
def wins(walk: Walk, channels: int, out_channels: int, groups: int) -> bool:
    """Whether it takes the convolution and is quicker: by the shape alone, for the bits differ."""
    fits = groups == 1 and all(
        axis.phases == axis.step == 1 and axis.reach == axis.kernel == 3 and axis.size >= 4
        for axis in (walk.rows, walk.columns)
    )
    return fits and min(channels, out_channels) >= LEAST_CHANNELS and channels <= MOST_CHANNELS


@functools.lru_cache(maxsize=512)
def make_plan(walk: Walk, pictures: int, channels: int, out_channels: int, size: tuple[int, int], thread_count: int):
    """Tasks, how many are claimed at once, scratch, the places of taps and of tiles, and the words of a row."""
    height, width, columns = walk.rows.size, walk.columns.size, (walk.columns.size + 1) // 2
    rows, wanted = (height + 1) // 2, TASKS_A_THREAD * thread_count
    most = min(MOST_TILES, TRANSFORMED // (POINTS * channels))
    if rows * columns <= most:
        bunch = max(1, min(most // (rows * columns), pictures // wanted))
        out_rows = 2 * rows
    else:
        bunch = 1
        bands = -(-rows // max(1, most // columns))
        out_rows = 2 * -(-rows // bands)
    bunches, bands = -(-pictures // bunch), -(-height // out_rows)
    rows = out_rows // 2
    tiles = bunch * rows * columns + ROWS
    pitch, band_rows = 2 * columns + 2, rows + 1
    filters = 4 * POINTS * channels * PANEL
    block = FEW_TILES if filters <= cache_bytes(1) else tiles
    slots = band_rows * (columns + 1)  # of a picture; those behind the last row are none
    space = LINE * (-(-bunch * slots // LINE) | 1)
    point_stride = channels * space + LINE
    places = np.arange(bunch)[:, None, None] * slots + np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)
    words = (
        pictures, out_channels, padded(out_channels) // PANEL, height, width, channels, *size, bunch, bands, out_rows,
        band_rows, pitch, walk.rows.pad, walk.columns.pad, space, point_stride, tiles, block,
    )  # fmt: skip
    scratch = (
        64
        + 4 * tiles * PANEL
        + PANEL
        + POINTS * (block * PANEL + point_stride)
        + 2 * (bunch * band_rows * pitch + SLACK)
    )
    tasks = bunches * bands
    tables = table(walk.taps((0, 0))[1]), table(np.pad(places.ravel(), (0, ROWS), mode="edge"))
    return tasks, max(1, tasks // (8 * wanted)), scratch, *tables, words


def append(program, out, x, weight, bias, walk: Walk, filters: Filters, activation: int) -> None:
    """Append the rows that compute out (n, o, …) from x (n, c, h, w)."""
    channels, out_channels = x.shape[1], out.shape[1]
    plan = make_plan(walk, x.shape[0], channels, out_channels, x.shape[2:], threads.get_num_threads())
    tasks, chunk, scratch, taps, places, words = plan
    panels = padded(out_channels) // PANEL
    transformed = program.workspace((panels * POINTS * channels * PANEL,))
    args = FilterTransform(
        transformed, weight, program.keep(taps), out_channels, channels, filters.out_stride, filters.channel_stride
    )
    program.append(transform_filters, panels, args, scratch=9 * 16)
    args = Winograd(out, x, transformed, bias, program.keep(places), *words, activation)
    program.append(winograd_convolution, tasks, args, chunk=chunk, scratch=scratch)
