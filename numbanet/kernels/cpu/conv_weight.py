"""The gradient of a convolution for its weights and bias, with vectors over the output channels.

grad_weight[o, tap] = Σ_picture Σ_position grad[o, position] · band[tap + position] (see ``geometry.py``). With the
gradient turned to [position][o], a tile is ROWS taps (whose scalars of the band are broadcast) by COLUMNS vectors of
output channels, and a chain runs over about CHAIN positions: some rows of a picture, or some pictures. The chains are
added in order within a part of the batch, and the parts in order at the end; both are cut by the shape alone, so the
bits do not depend on threads or lanes. Where padding would take part in many products, a tile is ROWS channels of one
tap, whose chain runs over the positions at which it meets the picture. Layers with few output channels have
``conv_weight_rows.py``, depthwise ones ``conv_depthwise.py``.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.array import Array
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.band import SLACK, pack_band
from numbanet.kernels.cpu.conv_channels import COLUMNS, PANEL, ROWS, padded
from numbanet.kernels.cpu.gemm_pack import SMALL
from numbanet.kernels.cpu.geometry import Window, forward_walk, table
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.lanes import transpose_eight
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.tile import LANES, offsets, outer, store_rows, zeros
from numbanet.kernels.cpu.simd.transpose import transpose_block
from numbanet.kernels.cpu.simd.vector import load, splat, store, store_first

CHAIN = 256
"""Positions of a chain, about: their gradient for 16 output channels fills half of the first-level cache. A constant,
because the bits depend on it."""
MOST_PARTS = 32
PART_ELEMENTS = 1 << 18
"""Weights of all parts together, about: where there are many, blocks of channels make enough tasks."""
BAND = 1 << 14
"""float32 of a block of channels of a band, about (64 KB)."""
TASKS_A_THREAD = 4
MOST_MET = 0.9
"""Share of taps that meet the picture below which each tap has a list of its positions: below it, products with padding
take longer than the look at the list."""


class WeightGradient(NamedTuple):
    """Arguments of weight_gradient.

    A panel has ``rows`` rows of ``partial``: its taps, and what a last tile that is not full writes. Where many taps
    meet padding, ``meetings`` is not null and holds where a tap's own list of positions begins in ``places`` and
    ``steps``, and how many there are in a picture; ``taps`` are the places of channels then."""

    partial: F32
    partial_bias: F32
    grad: F32
    x: F32
    taps: I32
    places: I32
    steps: I32
    meetings: I32
    rows: I64_FIELD
    area: I64_FIELD
    groups: I64_FIELD
    pictures: I64_FIELD
    parts: I64_FIELD
    blocks: I64_FIELD
    channel_block: I64_FIELD
    channels: I64_FIELD
    out_channels: I64_FIELD
    panels: I64_FIELD
    positions: I64_FIELD
    out_width: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    bunch: I64_FIELD
    out_rows: I64_FIELD
    bands: I64_FIELD
    band_step: I64_FIELD
    band_rows: I64_FIELD
    band_size: I64_FIELD
    pitch: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD


class PartSum(NamedTuple):
    """Arguments of sum_parts."""

    out: F32
    bias_out: F32
    partial: F32
    partial_bias: F32
    parts: I64_FIELD
    groups: I64_FIELD
    rows: I64_FIELD
    taps: I64_FIELD
    out_channels: I64_FIELD
    panels: I64_FIELD


@device_function
def turn_gradient(out, grad, channels, plane, positions):
    """out[position][o] = grad[o][position] for o < channels; grad's rows are ``plane`` apart.

    The lanes beyond hold anything: no lane meets another."""
    whole = positions // 8 * 8
    for o in range(0, min(PANEL, channels), 8):
        rows, source = min(8, channels - o), grad + o * plane
        for i in range(0, whole, 8):
            transpose_eight(out + (i * PANEL + o), PANEL, source + i, plane, rows)
        for i in range(whole, positions):
            for lane in range(rows):
                out[i * PANEL + o + lane] = source[lane * plane + i]


@kernel(WeightGradient)
def weight_gradient(start, stop, row, scratch):
    """partial[part][group][panel][tap][lane]; a task is a block of channels of one group over one part of the batch."""
    p = unpack(row, WeightGradient)
    turned = workspace(row, scratch)
    most_steps = p.bunch * p.out_rows * p.out_width
    band = turned + p.panels * most_steps * PANEL
    for task in range(start, stop):
        part = task // (p.groups * p.blocks)
        group = task // p.blocks % p.groups
        channel = task % p.blocks * p.channel_block
        channels = min(p.channel_block, p.channels - channel)
        end = (part + 1) * p.pictures // p.parts
        add = 0
        for first in range(part * p.pictures // p.parts, end, p.bunch):
            pictures = min(p.bunch, end - first)
            for cut in range(p.bands):
                top = cut * p.out_rows * p.out_width
                positions = min(p.out_rows * p.out_width, p.positions - top)
                steps = pictures * positions
                for i in range(pictures):
                    number = (first + i) * p.groups + group
                    x = p.x + (number * p.channels + channel) * p.height * p.width
                    pack_band(
                        band + i * p.band_size, x, channels, p.height, p.width, cut * p.band_step, p.band_rows, 1,
                        p.pitch, p.pad_y, p.pad_x,
                    )  # fmt: skip
                    for panel in range(p.panels):
                        o = panel * PANEL
                        grad = p.grad + ((number * p.out_channels + o) * p.positions + top)
                        out = turned + (panel * most_steps + i * positions) * PANEL
                        turn_gradient(out, grad, p.out_channels - o, p.positions, positions)
                for panel in range(p.panels):
                    column = turned + panel * most_steps * PANEL
                    number = (part * p.groups + group) * p.panels + panel
                    total = p.partial + (number * p.rows + channel * p.area) * PANEL
                    if is_null(p.meetings):
                        add_taps(total, band, column, channels, steps, add, p)
                    else:
                        add_meetings(total, band, column, channels, pictures, add, p)
                    if channel == 0:
                        add_steps(p.partial_bias + number * PANEL, column, steps, add)
                add = 1
    return 0


@device_function(inlined=True)
def add_taps(total, band, column, channels, steps, add, p):
    """total[channel][tap] = Σ_step band · gradient (+ total if add) for all taps."""
    for tap in range(0, channels * p.area, ROWS):
        where = offsets(p.taps, tap, ROWS)
        acc = zeros(ROWS, COLUMNS)
        for step in range(steps):
            acc = outer(acc, band + p.places[step], where, column + step * PANEL, LANES)
        store_rows(acc, total + tap * PANEL, PANEL, add, 0)


@device_function(inlined=True)
def add_meetings(total, band, column, channels, pictures, add, p):
    """As add_taps, tap by tap: a tile is one of ROWS channels, and of the positions where it meets the picture."""
    for tap in range(p.area):
        begin = np.int64(p.meetings[2 * tap])
        end = begin + pictures * p.meetings[2 * tap + 1]
        for channel in range(0, channels, ROWS):
            where = offsets(p.taps, channel, ROWS)
            acc = zeros(ROWS, COLUMNS)
            for i in range(begin, end):
                acc = outer(acc, band + p.places[i], where, column + p.steps[i] * PANEL, LANES)
            store_rows(acc, total + (channel * p.area + tap) * PANEL, p.area * PANEL, add, 0)


@device_function
def add_steps(out, column, steps, add):
    """out = Σ_step column[step] (+ out if add)."""
    for lane in range(0, PANEL, 16):
        total = splat(np.float32(0))
        for step in range(steps):
            total = total + load(column, step * PANEL + lane)
        if add:
            total = load(out, lane) + total
        store(out, lane, total)


@kernel(PartSum)
def sum_parts(start, stop, row, scratch):
    """out[o][tap] = Σ_part partial[part][group][panel][tap][lane], in order; a task is one panel of one group."""
    p = unpack(row, PartSum)
    block = workspace(row, scratch)
    turned = block + 256
    numbers = p.groups * p.panels
    for task in range(start, stop):
        group = task // p.panels
        first = (task - group * p.panels) * PANEL
        for lane in range(0, PANEL, 16):
            count = min(16, p.out_channels - first - lane)
            if count <= 0:
                continue
            o = group * p.out_channels + first + lane
            for tap in range(0, p.taps, 16):
                valid = min(16, p.taps - tap)
                for i in range(valid):
                    at = (task * p.rows + tap + i) * PANEL + lane
                    total = load(p.partial, at)
                    for part in range(1, p.parts):
                        total = total + load(p.partial, at + part * numbers * p.rows * PANEL)
                    store(block, i * 16, total)
                transpose_block(turned, 16, block, 16, valid)
                for i in range(count):
                    store_first(p.out, (o + i) * p.taps + tap, load(turned, i * 16), valid)
            if not is_null(p.bias_out):
                at = task * PANEL + lane
                total = load(p.partial_bias, at)
                for part in range(1, p.parts):
                    total = total + load(p.partial_bias, at + part * numbers * PANEL)
                store_first(p.bias_out, o, total, count)
    return 0


# --- planning --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Plan:
    """How one gradient is cut, with its tables and the words that the shape decides."""

    parts: int
    blocks: int
    scratch: int
    tables: tuple[Array | None, ...]
    words: tuple[int, ...]


def chain_cut(window: Window) -> tuple[int, int]:
    """Pictures and output rows of a chain: CHAIN positions, about."""
    if window.positions <= CHAIN:
        return max(1, CHAIN // window.positions), window.out_height
    bands = -(-window.positions // CHAIN)
    return 1, -(-window.out_height // bands)


def parts_of(pictures: int, weights: int) -> int:
    """Parts of the batch, by the shape alone."""
    return max(1, min(pictures, MOST_PARTS, PART_ELEMENTS // weights))


@functools.lru_cache(maxsize=512)
def make_plan(window: Window, pictures: int, groups: int, channels: int, out_channels: int, thread_count: int) -> Plan:
    """The cut and the tables; blocks of channels are whole tiles, small enough for the cache and enough for threads."""
    walk, area = forward_walk(window), window.area
    bunch, out_rows = chain_cut(window)
    parts = parts_of(pictures, out_channels * channels * area)
    bunch = min(bunch, -(-pictures // parts))
    bands, band_rows = -(-window.out_height // out_rows), walk.band_rows(out_rows)
    plane = band_rows * walk.pitch
    wanted = -(-TASKS_A_THREAD * thread_count // (parts * groups))
    most = max(1, min(BAND // (plane * bunch), -(-channels // wanted)))
    block = min(channels, -(-most // ROWS) * ROWS)
    blocks, panels = -(-channels // block), padded(out_channels) // PANEL
    band_size = block * plane + SLACK
    starts = np.arange(block) * plane
    tap_places, (offset, _) = walk.taps((0, 0))[0], walk.places((0, 0), out_rows)
    met, spare = axes_that_meet(window), ROWS
    share = met[0].mean() * met[1].mean()
    if bands == 1 and share * -(-channels // ROWS) * ROWS < MOST_MET * channels:
        spare = ROWS * area
        which = [np.flatnonzero(np.outer(*one)) for one in itertools.product(*met)]
        each = np.arange(bunch)[:, None]
        places = [each * band_size + (offset[one] + at) for one, at in zip(which, tap_places, strict=True)]
        steps = [each * window.positions + one for one in which]
        counts = np.array([one.size for one in which])
        begins = np.cumsum(bunch * counts) - bunch * counts
        tables = _tables(starts, places, steps, np.stack([begins, counts], 1))
    else:
        tables = _tables((starts[:, None] + tap_places).ravel(), [each * band_size + offset for each in range(bunch)])
    words = (
        channels * area + spare, area, groups, pictures, parts, blocks, block, channels, out_channels, panels,
        window.positions, window.out_width, window.height, window.width, bunch, out_rows, bands,
        out_rows * walk.rows.step, band_rows, band_size, walk.pitch, walk.rows.pad, walk.columns.pad,
    )  # fmt: skip
    scratch = panels * bunch * out_rows * window.out_width * PANEL + bunch * band_size
    return Plan(parts, blocks, scratch, tables, words)


def axes_that_meet(window: Window) -> list[np.ndarray]:
    """For each axis: whether a tap (row) meets the picture, and not its padding, at a position (column)."""
    axes = []
    for axis, size in enumerate((window.height, window.width)):
        taps, positions = np.arange(window.kernel[axis])[:, None], np.arange(window.out_size[axis])
        at = taps * window.dilation[axis] + positions * window.stride[axis] - window.padding[axis]
        axes.append((at >= 0) & (at < size))
    return axes


def _tables(taps, places, steps=None, meetings=None) -> tuple[Array | None, ...]:
    """Those of the kernel; a tile of taps may begin at any of them."""
    lists = [None if one is None else table(np.concatenate(one, None)) for one in (places, steps)]
    return table(np.pad(taps, (0, ROWS), mode="edge")), *lists, None if meetings is None else table(meetings)


def append(program, out, bias_out, grad, x, window: Window, groups: int) -> None:
    """Append the rows that compute out (o, c / groups, kh, kw), and bias_out (o,) or None, from grad and x."""
    channels, out_channels, taps = x.shape[1] // groups, out.shape[0] // groups, out.size // out.shape[0]
    plan = make_plan(window, x.shape[0], groups, channels, out_channels, threads.get_num_threads())
    panels = padded(out_channels) // PANEL
    rows = plan.words[0]
    partial = program.workspace((plan.parts * groups * panels * rows * PANEL,))
    partial_bias = program.workspace((plan.parts * groups * panels * PANEL,))
    args = WeightGradient(partial, partial_bias, grad, x, *plan.tables, *plan.words)
    for one in plan.tables:
        if one is not None:
            program.keep(one)
    tasks = plan.parts * groups * plan.blocks
    chunk = tasks if grad.size * taps < SMALL else 1
    program.append(weight_gradient, tasks, args, chunk=chunk, scratch=plan.scratch)
    sums = PartSum(out, bias_out, partial, partial_bias, plan.parts, groups, rows, taps, out_channels, panels)
    tasks = groups * panels
    program.append(sum_parts, tasks, sums, chunk=tasks if partial.size < SMALL else 1, scratch=512)
