"""Convolution with vectors over the output channels: a product of gathered rows with packed weights, cut for caches.

out[o, position] = Σ_tap weight[o, tap] · band[tap + position] (see ``geometry.py``): a tile is ROWS positions, wherever
they lie (rows, whose scalars of the band are broadcast), by COLUMNS vectors of output channels. So all lanes work
whatever the width of the picture, its stride or its padding, and pictures of few positions share a tile.

A task packs a block of channels of its pictures, multiplies it with all panels of weights, goes on with the next block,
and turns the result from [position][o] to [o][position] at the end. The weights are packed in a level of their own. An
output is the sum, in order, of one chain a block of channels over (channel, ky, kx), the bias added to the first.
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
from numbanet.kernels.cpu.conv_parts import parts_of
from numbanet.kernels.cpu.gemm_pack import SMALL
from numbanet.kernels.cpu.geometry import Walk, channel_block, table, tap_counts
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.lanes import transpose_eight
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.tile import LANES, add_row, offsets, outer, store_rows, zeros
from numbanet.kernels.cpu.simd.transpose import transpose_corner
from numbanet.kernels.cpu.simd.vector import load, store

PANEL = 16
"""Output channels of a tile on any machine: many layers have no more."""
COLUMNS = PANEL // LANES
ROWS = {(32, 4): 6, (32, 8): 8, (32, 16): 8, (16, 4): 2, (16, 8): 6, (16, 16): 6}[target.registers(), LANES]
"""Positions of a tile: as many as leave registers for the operands, or as keep the multiply-adds busy."""
POSITIONS = 384
"""Output positions of a task, about: they share a pass over the weights, and their bands stay in the caches."""
TASKS_A_THREAD = 4
PARTED = 1.05
"""How much longer the products take where positions are parted: each part reads all weights again."""
SEGMENT, PART = 3, 7
"""Words that describe a segment, and a part of one, see ``_tables``."""


class ChannelConvolution(NamedTuple):
    """Arguments of the convolution."""

    out: F32
    x: F32
    weight: F32
    bias: F32
    taps: I32
    weight_taps: I32
    places: I32
    lines: I32
    parts: I32
    part_count: I64_FIELD
    pictures: I64_FIELD
    groups: I64_FIELD
    out_channels: I64_FIELD
    panels: I64_FIELD
    out_positions: I64_FIELD
    out_width: I64_FIELD
    channels: I64_FIELD
    channel_block: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    bunch: I64_FIELD
    bunches: I64_FIELD
    bands: I64_FIELD
    panel_blocks: I64_FIELD
    out_rows: I64_FIELD
    band_step: I64_FIELD
    band_rows: I64_FIELD
    band_size: I64_FIELD
    pitch: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    group_weights: I64_FIELD
    lines_count: I64_FIELD
    activation: I64_FIELD


class WeightPack(NamedTuple):
    """Arguments of pack_weights."""

    out: F32
    bias_out: F32
    weight: F32
    bias: F32
    places: I32
    segments: I32
    segment_count: I64_FIELD
    groups: I64_FIELD
    out_channels: I64_FIELD
    panels: I64_FIELD
    channels: I64_FIELD
    group_stride: I64_FIELD
    out_stride: I64_FIELD
    channel_stride: I64_FIELD
    group_weights: I64_FIELD
    is_plain: I64_FIELD


@kernel(WeightPack)
def pack_weights(start, stop, row, scratch):
    """out[group][segment][panel][tap][lane] = weight of output channel panel · PANEL + lane, 0 beyond the last one.

    A task is one panel of one group."""
    p = unpack(row, WeightPack)
    block = workspace(row, scratch)
    for task in range(start, stop):
        group = task // p.panels
        panel = task - group * p.panels
        first = panel * PANEL
        count = min(PANEL, p.out_channels - first)
        if not is_null(p.bias_out):
            for lane in range(PANEL):
                value = p.bias[group * p.out_channels + first + lane] if lane < count else np.float32(0)
                p.bias_out[task * PANEL + lane] = value
        weight = p.weight + (group * p.group_stride + first * p.out_stride)
        for segment in range(p.segment_count):
            words = p.segments + segment * SEGMENT
            area, first_tap, taps = words[0], words[1], p.channels * words[0]
            out = p.out + (group * p.group_weights + words[2] * p.panels * PANEL + panel * taps * PANEL)
            turned = 0
            if p.is_plain and count == PANEL:  # the taps of all channels follow each other
                turned = taps // 8 * 8
                for lane in range(0, PANEL, 8):
                    for tap in range(0, turned, 8):
                        source = weight + (lane * p.out_stride + tap)
                        transpose_eight(out + (tap * PANEL + lane), PANEL, source, p.out_stride, 8)
            for channel in range(turned // max(area, 1), p.channels):
                is_turned = 1 < p.out_stride <= min(p.channel_stride, 16) and count == PANEL
                if is_turned:  # whole filters follow each other, as in a gradient
                    filters = weight + channel * p.channel_stride
                    transpose_corner(block, PANEL, filters, p.out_stride, PANEL, p.out_stride)
                for tap in range(max(turned - channel * area, 0), area):
                    source = weight + (channel * p.channel_stride + p.places[first_tap + tap])
                    target = out + (channel * area + tap) * PANEL
                    if is_turned:
                        store(target, 0, load(block, np.int64(p.places[first_tap + tap]) * PANEL))
                    elif p.out_stride == 1 and count == PANEL:
                        store(target, 0, load(source, 0))
                    else:
                        for lane in range(count):
                            target[lane] = source[lane * p.out_stride]
                        for lane in range(count, PANEL):
                            target[lane] = np.float32(0)
    return 0


@device_function
def turn(out, turned, channels, plane, positions, block):
    """out[o][position] = turned[position][o] for o < channels; rows of out are ``plane`` apart."""
    for o in range(0, channels, 8):
        rows = min(8, channels - o)
        target, source = out + o * plane, turned + o
        for i in range(0, positions, 8):
            # The last block is shifted back inside: what it writes twice is the same.
            at = min(i, positions - 8)
            if rows == 8 and at >= 0:
                transpose_eight(target + at, plane, source + at * PANEL, PANEL, 8)
            else:
                at = max(at, 0)
                transpose_eight(block, 8, source + at * PANEL, PANEL, min(8, positions - at))
                for r in range(rows):
                    for j in range(min(8, positions - at)):
                        target[r * plane + at + j] = block[r * 8 + j]


@kernel(ChannelConvolution)
def channel_convolution(start, stop, row, scratch):
    """out = activation(x ⋆ weight + bias); a task is a bunch of pictures, or a band of one, by a block of panels."""
    p = unpack(row, ChannelConvolution)
    block = workspace(row, scratch)
    turned = block + 64
    for task in range(start, stop):
        cut = task // p.panel_blocks
        low = (task - cut * p.panel_blocks) * p.panels // p.panel_blocks
        high = (task - cut * p.panel_blocks + 1) * p.panels // p.panel_blocks
        bunch = cut // p.bands
        number = cut - bunch * p.bands  # of the band
        group, first = bunch // p.bunches, bunch % p.bunches * p.bunch
        pictures, is_last = min(p.bunch, p.pictures - first), number == p.bands - 1
        top = number * p.out_rows * p.out_width
        positions = min(p.out_rows * p.out_width, p.out_positions - top)
        band = turned + (high - low) * p.lines_count * PANEL
        for channel in range(0, p.channels, p.channel_block):
            channels = min(p.channel_block, p.channels - channel)
            activation = p.activation if channel + channels == p.channels else 0
            for i in range(pictures):
                x = p.x + (((first + i) * p.groups + group) * p.channels + channel) * p.height * p.width
                pack_band(
                    band + i * p.band_size, x, channels, p.height, p.width, number * p.band_step, p.band_rows, 1,
                    p.pitch, p.pad_y, p.pad_x,
                )  # fmt: skip
            for panel in range(low, high):
                lines = turned + (panel - low) * p.lines_count * PANEL
                for part in range(p.part_count):
                    words = p.parts + part * PART
                    begin, count, steps = words[0], pictures * words[2 if is_last else 1], channels * words[3]
                    taps, weight_taps = p.taps + words[4] * p.channel_block, p.weight_taps + words[4] * p.channel_block
                    first_weight = words[5] * (p.panels * p.channels) + (panel * p.channels + channel) * words[6]
                    weight = p.weight + (group * p.group_weights + first_weight * PANEL)
                    for tile in range(begin, begin + count, ROWS):
                        where = offsets(p.places, tile, ROWS)
                        acc = zeros(ROWS, COLUMNS)
                        for step in range(steps):
                            acc = outer(acc, band + taps[step], where, weight + weight_taps[step], LANES)
                        if channel == 0 and not is_null(p.bias):
                            acc = add_row(acc, p.bias + (group * p.panels + panel) * PANEL)
                        store_rows(acc, lines, offsets(p.lines, tile, ROWS), channel, activation)
                if channel + channels == p.channels:
                    for i in range(pictures):
                        o = ((first + i) * p.groups + group) * p.out_channels + panel * PANEL
                        turn(
                            p.out + (o * p.out_positions + top), lines + i * p.out_rows * p.out_width * PANEL,
                            min(PANEL, p.out_channels - panel * PANEL), p.out_positions, positions, block,
                        )  # fmt: skip
    return 0


# --- planning --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Plan:
    """How one convolution is cut into tasks, with its tables and the words of its rows that the shape decides."""

    tasks: int
    chunk: int
    scratch: int
    panels: int
    group_weights: int
    is_plain: bool
    segment_count: int
    part_count: int
    segments: Array
    parts: Array
    tap_places: Array
    tap_offsets: Array
    weight_taps: Array
    places: Array
    lines: Array
    words: tuple[int, ...]


def padded(out_channels: int) -> int:
    """Output channels of a group rounded up to whole panels."""
    return -(-out_channels // PANEL) * PANEL


def _cut(walk: Walk, pictures: int, panels: int, thread_count: int) -> tuple[int, int, int]:
    """Pictures of a bunch, output rows of a band, blocks of panels: tasks of POSITIONS or less, enough for all threads.

    ``pictures`` counts each group of channels as one."""
    height, width = walk.rows.size, walk.columns.size
    phases, wanted = walk.rows.phases, TASKS_A_THREAD * thread_count
    if height * width <= POSITIONS:
        bunch, out_rows = POSITIONS // (height * width), height
        if panels < wanted:
            bunch = max(1, min(bunch, pictures // wanted))
        bunch = -(-pictures // -(-pictures // bunch))
    else:
        bunch, bands = 1, -(-height * width // POSITIONS)
        out_rows = -(-height // (bands * phases)) * phases
    tasks = -(-pictures // bunch) * -(-height // out_rows)
    return bunch, out_rows, max(1, min(panels, -(-wanted // tasks)))


def _tables(
    walk: Walk,
    size: tuple[int, int],
    channels: int,
    block: int,
    bunch: int,
    out_rows: int,
    last_rows: int,
    band_size: int,
):
    """The tables of ``Plan``: segments, parts, tap_places, tap_offsets, weight_taps, places and lines; how many parts
    there are; and the weights of a panel's lane.

    A last tile has positions to spare, whose results go to a line behind the others. A segment's words: taps of a
    channel, taps and weights of those before. A part's: first place, positions of a picture (of a whole band, of the
    last one), taps of a channel, those of the parts before, the segment's weights before it and its taps."""
    picture, positions = np.arange(bunch)[:, None], out_rows * walk.columns.size
    channel, plane = np.arange(block)[:, None], walk.band_rows(out_rows) * walk.pitch
    segments, parts, tap_places, tap_offsets, weight_taps, places, lines = [], [], [], [], [], [], []
    first_place = first_tap = weights = 0
    for segment in walk.segments:
        taps, filter_places = walk.taps(segment)
        segments.append((taps.size, weights, weights * channels))
        tap_places.append(filter_places)
        for part in parts_of(walk, segment, size, out_rows, bunch, ROWS):
            last = np.count_nonzero(part.numbers < last_rows * walk.columns.size)
            parts.append((first_place, part.numbers.size, last, part.taps.size, first_tap, weights, taps.size))
            tap_offsets.append((channel * plane + taps[part.taps]).ravel())
            weight_taps.append((channel * taps.size + part.taps).ravel() * PANEL)
            places.append(np.pad((picture * band_size + part.offsets).ravel(), (0, ROWS), mode="edge"))
            numbers = (picture * positions + part.numbers).ravel()
            lines.append(np.pad(numbers, (0, ROWS), constant_values=bunch * positions) * PANEL)
            first_place, first_tap = first_place + places[-1].size, first_tap + part.taps.size
        weights += taps.size
    joined = [np.concatenate(one) for one in (tap_places, tap_offsets, weight_taps, places, lines)]
    tables = [table(one) for one in (np.array(segments), np.array(parts), *joined)]
    return tables, len(parts), weights * channels


@functools.lru_cache(maxsize=512)
def useful_share(walk: Walk, size: tuple[int, int]) -> float:
    """Share of the products in tiles that meet the picture, which has this size, and are of some position."""
    (_, met_ys), (_, met_xs) = tap_counts(walk.rows, size[0]), tap_counts(walk.columns, size[1])
    positions = walk.rows.size * walk.columns.size
    pictures, out_rows = max(1, POSITIONS // positions), walk.rows.size
    if positions > POSITIONS:  # a band, whose tiles are full
        out_rows -= 1
    parts = [part for segment in walk.segments for part in parts_of(walk, segment, size, out_rows, pictures, ROWS)]
    if positions > POSITIONS:
        done = positions * sum(part.taps.size for part in parts) / len(parts)
    else:
        done = sum(-(-pictures * part.numbers.size // ROWS) * ROWS * part.taps.size for part in parts)
        done *= PARTED if len(parts) > len(walk.segments) else 1.0
    return pictures * positions * met_ys * met_xs / max(done, 1e-9)


@functools.lru_cache(maxsize=512)
def make_plan(
    walk: Walk, pictures: int, groups: int, channels: int, out_channels: int, size: tuple[int, int], thread_count: int
) -> Plan:
    """The cut and the tables for out (pictures, groups · out_channels, …) from groups of ``channels`` of this size."""
    panels, height = padded(out_channels) // PANEL, walk.rows.size
    bunch, out_rows, panel_blocks = _cut(walk, pictures * groups, panels, thread_count)
    bunch = min(bunch, pictures)
    bands, bunches = -(-height // out_rows), -(-pictures // bunch)
    block = channel_block(max(1, *(len(walk.taps(segment)[0]) for segment in walk.segments)))
    band_rows, positions = walk.band_rows(out_rows), out_rows * walk.columns.size
    band_size = min(block, channels) * band_rows * walk.pitch + SLACK
    last_rows = height - (bands - 1) * out_rows
    tables, parts, weights = _tables(walk, size, channels, block, bunch, out_rows, last_rows, band_size)
    group_weights = weights * panels * PANEL
    tasks = groups * bunches * bands * panel_blocks
    words = (
        pictures, groups, out_channels, panels, height * walk.columns.size, walk.columns.size, channels, block, *size,
        bunch, bunches, bands, panel_blocks, out_rows, out_rows // walk.rows.phases * walk.rows.step, band_rows,
        band_size, walk.pitch, walk.rows.pad, walk.columns.pad, group_weights, bunch * positions + 1,
    )  # fmt: skip
    is_small = pictures * height * walk.columns.size * groups * weights * out_channels < SMALL
    chunk = tasks if is_small else max(1, tasks // (8 * TASKS_A_THREAD * thread_count))
    scratch = 64 + -(-panels // panel_blocks) * (bunch * positions + 1) * PANEL + bunch * band_size
    taps = walk.taps((0, 0))[1]
    is_plain = len(walk.segments) == 1 and np.array_equal(taps, np.arange(taps.size))
    return Plan(tasks, chunk, scratch, panels, group_weights, is_plain, len(walk.segments), parts, *tables, words)


@dataclass(frozen=True)
class Filters:
    """Where a convolution finds its weights: strides between groups, output channels and input channels."""

    group_stride: int
    out_stride: int
    channel_stride: int


def append(program, out, x, weight, bias, walk: Walk, filters: Filters, groups: int, activation: int) -> None:
    """Append the rows that compute out (n, o, …) from x (n, c, h, w)."""
    channels, out_channels = x.shape[1] // groups, out.shape[1] // groups
    plan = make_plan(walk, x.shape[0], groups, channels, out_channels, x.shape[2:], threads.get_num_threads())
    packed = program.workspace((groups * plan.group_weights + PANEL,))  # never empty
    packed_bias = None if bias is None else program.workspace((groups * plan.panels * PANEL,))
    pack = WeightPack(
        packed, packed_bias, weight, bias, plan.tap_places, plan.segments, plan.segment_count, groups, out_channels,
        plan.panels, channels, filters.group_stride, filters.out_stride, filters.channel_stride, plan.group_weights,
        int(plan.is_plain and filters.channel_stride == plan.tap_places.size),
    )  # fmt: skip
    tasks = groups * plan.panels
    program.append(pack_weights, tasks, pack, chunk=tasks if packed.size < 1 << 14 else 1, scratch=16 * PANEL)
    args = ChannelConvolution(
        out, x, packed, packed_bias, plan.tap_offsets, plan.weight_taps, plan.places, plan.lines, plan.parts,
        plan.part_count, *plan.words, activation,
    )  # fmt: skip
    program.append(channel_convolution, plan.tasks, args, chunk=plan.chunk, scratch=plan.scratch)
    for array in (
        plan.segments, plan.parts, plan.tap_places, plan.tap_offsets, plan.weight_taps, plan.places, plan.lines
    ):  # fmt: skip
        program.keep(array)
