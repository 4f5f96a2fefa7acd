"""Two-dimensional convolution, direct on register tiles, and its gradient for the input, which is one too.

out[o, y, x] = Σ_tap weight[o, tap] · band[offset(tap) + place(y, x)]: a tile is a few output channels (rows, whose
weights are broadcast) by a few vectors of neighbouring positions. Each output is one chain over the taps in the order
(channel, ky, kx), whatever the tile, the lanes or the threads. A task packs one band of one picture (see ``band.py``)
and does all its output channels from there.

The gradient for the input is, for stride 1, the convolution of the padded gradient with the flipped weights, read
where they lie: only the tables differ. For other strides ``conv_columns.py`` does it. The gradient for the weights is
in ``conv_weight.py``.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.array import Array
from numbanet.kernels.cpu import conv_channels, conv_columns, target
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.band import SLACK, Window, pack_band, table, tap_table
from numbanet.kernels.cpu.conv_weight import conv2d_weight_grad
from numbanet.kernels.cpu.gemm import ACTIVATIONS, SMALL
from numbanet.kernels.cpu.kernel import Kernel, kernel
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.tile import LANES, add_bias_rows, offsets, outer, store_columns, zeros

SCRATCH = 1 << 18
"""float32 that a band may take (1 MB): it should stay in the second-level cache."""
TASKS_A_THREAD = 4
FORMS = ("positions", "channels")
if target.registers() == 32:
    TILES = {8: (2, 0.62), 6: (3, 0.62), 4: (4, 0.55), 2: (4, 0.4), 1: (4, 0.25)}
else:
    TILES = {6: (2, 0.75), 4: (3, 0.7), 2: (4, 0.55), 1: (4, 0.3)}
"""Output channels of a tile, its vectors of positions, and the share of the processor's peak that it reaches. Fewer
accumulators than there are registers: the compiler loads a step's scalars ahead and would spill (measured: 8 × 3 and
6 × 4 tiles run at 0.6 times the speed of 8 × 2 and 6 × 3)."""


class Convolution(NamedTuple):
    """Arguments of the convolution kernels; the names are those of Window and Plan."""

    out: F32
    x: F32
    weight: F32
    bias: F32
    taps: I32
    weight_taps: I32
    columns: I32
    places: I32
    counts: I32
    tap_count: I64_FIELD
    groups: I64_FIELD
    out_channels: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    weight_group: I64_FIELD
    weight_row: I64_FIELD
    bands: I64_FIELD
    out_rows: I64_FIELD
    band_rows: I64_FIELD
    full_tiles: I64_FIELD
    last_tiles: I64_FIELD
    phase_width: I64_FIELD
    phases: I64_FIELD
    stride_y: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    activation: I64_FIELD


def make_convolution(rows: int) -> Kernel:
    """The convolution kernel whose tiles have this number of output channels."""
    columns = TILES[rows][0]

    def convolution(start, stop, row, scratch):
        """out = activation(x ⋆ weight + bias); a task is one band of one group of channels of one picture."""
        p = unpack(row, Convolution)
        band = workspace(row, scratch)
        for task in range(start, stop):
            number = task // p.bands  # of the group, counted over all pictures
            top = (task - number * p.bands) * p.out_rows
            group = number % p.groups
            picture = p.x + number * p.channels * p.height * p.width
            pack_band(
                band, picture, p.channels, p.height, p.width, top * p.stride_y, p.band_rows, p.phase_width, p.phases,
                p.pad_y, p.pad_x,
            )  # fmt: skip
            plane = p.out_height * p.out_width
            out = p.out + (number * p.out_channels * plane + top * p.out_width)
            is_last = top + p.out_rows >= p.out_height
            begin = p.full_tiles * columns if is_last else 0
            end = begin + (p.last_tiles if is_last else p.full_tiles) * columns
            for line in range(0, p.out_channels, rows):
                first = min(line, p.out_channels - rows)
                weight = p.weight + (group * p.weight_group + first * p.weight_row)
                for column in range(begin, end, columns):
                    where = offsets(p.columns, column, columns)
                    acc = zeros(rows, columns)
                    for tap in range(p.tap_count):
                        acc = outer(acc, weight + p.weight_taps[tap], p.weight_row, band + p.taps[tap], where)
                    if not is_null(p.bias):
                        acc = add_bias_rows(acc, p.bias + (group * p.out_channels + first), line - first, rows)
                    places, counts = offsets(p.places, column, columns), offsets(p.counts, column, columns)
                    store_columns(acc, out + first * plane, plane, line - first, rows, places, counts, p.activation)
        return 0

    return kernel(Convolution, f"convolution_{rows}x{columns}")(convolution)


CONVOLUTIONS = {rows: make_convolution(rows) for rows in TILES}


def efficiency(rows: int, out_channels: int, out_width: int) -> float:
    """Share of a tile's multiply-adds that count, times what its shape reaches of the processor's peak.

    A last tile that is shifted back does some rows twice: 10 channels are two tiles of 6 (12 rows), not two of 8.
    """
    channels, lanes = -(-out_channels // rows) * rows, -(-out_width // LANES) * LANES
    return TILES[rows][1] * out_channels / channels * out_width / lanes


@functools.lru_cache(maxsize=512)
def choose(out_channels: int, out_width: int) -> tuple[str, int]:
    """The form and the rows of its tile for a convolution: the one that wastes the fewest lanes and rows.

    Vectors run over positions ("positions", this file) where the picture is wide, over output channels ("channels",
    ``conv_channels.py``) where there are many of them. Both give the same bits. ``NUMBANET_CONV`` forces a form.
    """
    rows = max((r for r in TILES if r <= out_channels), key=lambda r: efficiency(r, out_channels, out_width))
    channel_rows = conv_channels.best_rows(out_channels, out_width)
    forced = os.environ.get("NUMBANET_CONV", "")
    if forced not in ("", *FORMS):
        raise ValueError(f"NUMBANET_CONV is {forced!r}; it must be one of {', '.join(FORMS)} (or unset)")
    here = efficiency(rows, out_channels, out_width)
    there = conv_channels.efficiency(channel_rows, out_channels, out_width)
    form = forced or ("channels" if there > here else "positions")
    return form, channel_rows if form == "channels" else rows


@dataclass(frozen=True)
class Plan:
    """How one convolution is cut into bands and tiles, with its tables (those of the form "positions")."""

    form: str
    rows: int
    out_rows: int
    bands: int
    band_rows: int
    scratch: int
    full_tiles: int
    last_tiles: int
    columns: Array
    places: Array
    counts: Array


@functools.lru_cache(maxsize=512)
def make_plan(window: Window, pictures: int, channels: int, out_channels: int, thread_count: int) -> Plan:
    """Bands small enough for the cache, and enough of them for all threads."""
    form, rows = choose(out_channels, window.out_width)

    def scratch(out_rows: int) -> int:
        band = channels * window.band_rows(out_rows) * window.pitch
        if form == "channels":
            return conv_channels.scratch_floats(rows, out_channels, out_rows * window.out_width, band)
        return band + SLACK

    out_rows = window.out_height
    wanted = -(-TASKS_A_THREAD * thread_count // pictures)
    if wanted > 1:
        out_rows = max(1, -(-window.out_height // wanted))
    while out_rows > 1 and scratch(out_rows) > SCRATCH:
        out_rows = -(-out_rows // 2)
    bands = -(-window.out_height // out_rows)
    columns = TILES[rows][0] if form == "positions" else 1
    full = _columns(window, out_rows, columns)
    last = _columns(window, window.out_height - (bands - 1) * out_rows, columns)
    tables = [table(np.concatenate(parts)) for parts in zip(full, last, strict=True)]
    tiles = (full[0].size // columns, last[0].size // columns)
    return Plan(form, rows, out_rows, bands, window.band_rows(out_rows), scratch(out_rows), *tiles, *tables)


def _columns(window: Window, out_rows: int, multiple: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each vector of output positions in a band: its offset in the band, its place in the output, its valid lanes.

    The last is repeated, with no valid lane, up to a multiple of the tile's columns."""
    row, vector = np.divmod(np.arange(out_rows * -(-window.out_width // LANES)), -(-window.out_width // LANES))
    offset = row * window.stride[0] * window.pitch + vector * LANES
    place = row * window.out_width + vector * LANES
    count = np.minimum(window.out_width - vector * LANES, LANES)
    extra = -row.size % multiple
    padded = (
        np.pad(offset, (0, extra), mode="edge"),
        np.pad(place, (0, extra), mode="edge"),
        np.pad(count, (0, extra)),
    )
    return tuple(values.astype(np.int32) for values in padded)


def _append(program, out, x, weight, bias, window, groups, weight_taps, weight_row, activation):
    """Append one convolution row: out (n, o, oh, ow) from x (n, c, h, w), both cut into groups of channels."""
    pictures, channels, out_channels = x.shape[0] * groups, x.shape[1] // groups, out.shape[1] // groups
    plan = make_plan(window, pictures, channels, out_channels, threads.get_num_threads())
    taps = tap_table(window, channels, plan.band_rows)
    tasks = pictures * plan.bands
    chunk = tasks if out.size * taps.size < SMALL else max(1, tasks // (8 * TASKS_A_THREAD * threads.get_num_threads()))
    geometry = (
        window.phase_width, window.stride[1], window.stride[0], *window.padding, ACTIVATIONS[activation],
    )  # fmt: skip
    if plan.form == "channels":
        packed = conv_channels.append_weights(program, weight, weight_taps, weight_row, groups, out_channels, plan.rows)
        which = conv_channels.KERNELS_BY_ROWS[plan.rows]
        args = conv_channels.ChannelConvolution(
            out, x, packed, bias, taps, taps.size, groups, out_channels, packed.shape[2], window.out_height,
            window.out_width, channels, window.height, window.width, plan.bands, plan.out_rows, plan.band_rows,
            *geometry,
        )  # fmt: skip
    else:
        which = CONVOLUTIONS[plan.rows]
        args = Convolution(
            out, x, weight, bias, taps, weight_taps, plan.columns, plan.places, plan.counts, taps.size, groups,
            out_channels, window.out_height, window.out_width, channels, window.height, window.width,
            weight.size // groups, weight_row, plan.bands, plan.out_rows, plan.band_rows, plan.full_tiles,
            plan.last_tiles, *geometry,
        )  # fmt: skip
    program.append(which, tasks, args, chunk=chunk, scratch=plan.scratch)
    for array in (taps, weight_taps, plan.columns, plan.places, plan.counts):
        program.keep(array)


@functools.lru_cache(maxsize=512)
def forward_window(shape, out_shape, kernel_size, stride, padding, dilation) -> Window:
    """The geometry of a convolution as it is called."""
    return Window(*shape[2:], *out_shape[2:], kernel_size, stride, padding, dilation)


@functools.lru_cache(maxsize=512)
def gradient_window(window: Window) -> Window:
    """The geometry of the gradient for the input of a convolution of stride 1."""
    pad = tuple((k - 1) * d - p for k, d, p in zip(window.kernel, window.dilation, window.padding, strict=True))
    outer_size, inner_size = (window.out_height, window.out_width), (window.height, window.width)
    return Window(*outer_size, *inner_size, window.kernel, (1, 1), pad, window.dilation)


@functools.lru_cache(maxsize=512)
def forward_weight_taps(taps: int) -> Array:
    """Place of each tap in a row of weights: they follow each other."""
    return table(np.arange(taps, dtype=np.int32))


@functools.lru_cache(maxsize=512)
def gradient_weight_taps(out_channels: int, channels: int, kernel_size: tuple[int, int]) -> Array:
    """Place of each tap (o, ky, kx) of the flipped weights, from weight[0, c, 0, 0]."""
    ky, kx = kernel_size
    o = np.arange(out_channels)[:, None] * (channels * ky * kx)
    return table((o + np.arange(ky * kx)[::-1]).astype(np.int32).ravel())


def conv2d(program, out, x, weight, bias, stride, padding, dilation, groups, activation=None):
    reason = float32_contiguous(out, x, weight, bias)
    if reason is None and out.size:
        if weight.shape[1] == 0:
            return "an empty sum"
        window = forward_window(x.shape, out.shape, weight.shape[2:], stride, padding, dilation)
        taps = weight.size // weight.shape[0]
        _append(program, out, x, weight, bias, window, groups, forward_weight_taps(taps), taps, activation)
    return reason


def conv2d_input_grad(program, out, grad, weight, stride, padding, dilation, groups):
    reason = float32_contiguous(out, grad, weight)
    if reason is None and out.size:
        if grad.size == 0:
            return "an empty sum"
        window = forward_window(out.shape, grad.shape, weight.shape[2:], stride, padding, dilation)
        if stride != (1, 1):
            conv_columns.append_columns(program, out, grad, weight, window, groups)
        else:
            area = window.kernel[0] * window.kernel[1]
            taps = gradient_weight_taps(grad.shape[1] // groups, weight.shape[1], window.kernel)
            _append(program, out, grad, weight, None, gradient_window(window), groups, taps, area, None)
    return reason


FUNCTIONS = (conv2d, conv2d_input_grad, conv2d_weight_grad)
