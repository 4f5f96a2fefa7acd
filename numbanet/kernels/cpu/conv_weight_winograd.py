"""The gradient of 3 × 3 filters by Winograd's minimal filtering: the adjoint of ``conv_winograd.py``.

It takes 16 products where a direct one has 36. With the matrices G, B and A given there, for tiles d of 4 × 4 inputs
and the gradients g of the 2 × 2 outputs in their middle,

    gradient[o, c] = Gᵀ · [Σ_tile (A·g_o·Aᵀ) ⊙ (Bᵀ·d_c·B)] · G,

so the sum over tiles is 16 matrix products on register tiles: rows are output channels, columns vectors of input
channels. Inputs and gradients are turned to [position][channel] first, so the lanes of the transforms are channels and
no tile is wasted. A chain runs over the tiles of a block (some pictures, or some rows of one); blocks are added in
order within a part of the batch, and the parts in order at the end; all three are cut by the shape alone, so the bits
depend neither on threads nor on lanes. The error is larger than that of the direct forms: within 16·ε·Σ|x||grad|.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.cpu import conv_winograd
from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.conv_channels import COLUMNS, PANEL, ROWS, padded
from numbanet.kernels.cpu.conv_winograd import POINTS, input_line, store_points
from numbanet.kernels.cpu.geometry import Window, forward_walk
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.lanes import transpose_eight
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.tile import LANES, outer, store_tile, zeros
from numbanet.kernels.cpu.simd.transpose import transpose_block
from numbanet.kernels.cpu.simd.vector import load, splat, store, store_first

MOST_CHANNELS = 128
"""Channels on both sides up to which it wins: with more, the sums of all points leave the cache."""
BLOCK = 1 << 12
"""Channels of both sides times tiles of a block: with all points transformed, half of a second-level cache of 512 KB. A
constant, because the bits depend on it."""
MOST_PARTS = 32
PART_ELEMENTS = 1 << 19
"""float32 of the sums of all parts together, about."""
TASKS_A_THREAD = 4


class WinogradGradient(NamedTuple):
    """Arguments of winograd_weight_gradient."""

    partial: F32
    grad: F32
    x: F32
    pictures: I64_FIELD
    parts: I64_FIELD
    blocks: I64_FIELD
    channels: I64_FIELD
    out_channels: I64_FIELD
    panels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    bunch: I64_FIELD
    rows: I64_FIELD
    columns: I64_FIELD
    tiles: I64_FIELD


class WinogradSum(NamedTuple):
    """Arguments of winograd_weights."""

    out: F32
    partial: F32
    parts: I64_FIELD
    channels: I64_FIELD
    out_channels: I64_FIELD
    panels: I64_FIELD


@device_function
def turn_band(out, x, channels, plane, height, width, first, rows, pitch, pad_x):
    """out[row][column][lane] = x[lane][first + row][column − pad_x] for ``channels`` lanes of a panel; x's channels are
    ``plane`` apart. Outside x are zeros; the lanes beyond hold anything: no lane meets another."""
    zero = splat(np.float32(0))
    for row in range(rows):
        line, y = out + row * pitch * PANEL, first + row
        inside = 0 <= y < height
        begin = min(pad_x, pitch) if inside else pitch
        end = min(pad_x + width, pitch) if inside else pitch
        for at in range(0, begin * PANEL, 16):
            store(line, at, zero)
        for at in range(end * PANEL, pitch * PANEL, 16):
            store(line, at, zero)
        if not inside:
            continue
        for lane in range(0, channels, 8):
            source, lanes = x + (lane * plane + y * width), min(8, channels - lane)
            for i in range(0, end - begin, 8):
                # The last block is shifted back inside: what it writes twice is the same.
                at = min(i, end - begin - 8)
                if at >= 0:
                    transpose_eight(line + ((begin + at) * PANEL + lane), PANEL, source + at, plane, lanes)
                else:
                    for k in range(end - begin):
                        for r in range(lanes):
                            line[(begin + k) * PANEL + lane + r] = source[r * plane + k]


@device_function
def gradient_line(a, b):
    """A · (a, b)."""
    return a, a + b, a - b, splat(np.float32(0)) - b


@device_function
def filter_sum(a, b, c, d):
    """Gᵀ · (a, b, c, d)."""
    half = splat(np.float32(0.5))
    total = (b + c) * half
    return a + total, (b - c) * half, total + d


@device_function
def transform_inputs(out, band, rows, columns, stride):
    """out[point][tile][lane] = (Bᵀ·d·B)[point] of a panel of channels; ``stride`` between points."""
    pitch = (2 * columns + 2) * PANEL
    for y in range(rows):
        for x in range(columns):
            for lane in range(0, PANEL, 16):
                d = band + (2 * y * pitch + 2 * x * PANEL + lane)
                e, f, g = d + pitch, d + 2 * pitch, d + 3 * pitch
                a = input_line(load(d, 0), load(e, 0), load(f, 0), load(g, 0))
                b = input_line(load(d, PANEL), load(e, PANEL), load(f, PANEL), load(g, PANEL))
                c = input_line(load(d, 2 * PANEL), load(e, 2 * PANEL), load(f, 2 * PANEL), load(g, 2 * PANEL))
                h = input_line(load(d, 3 * PANEL), load(e, 3 * PANEL), load(f, 3 * PANEL), load(g, 3 * PANEL))
                store_points(
                    out + ((y * columns + x) * PANEL + lane), input_line(a[0], b[0], c[0], h[0]),
                    input_line(a[1], b[1], c[1], h[1]), input_line(a[2], b[2], c[2], h[2]),
                    input_line(a[3], b[3], c[3], h[3]), stride,
                )  # fmt: skip


@device_function
def transform_gradients(out, band, rows, columns, width, stride):
    """out[point][tile · width + lane] = (A·g·Aᵀ)[point] of a panel of output channels; ``stride`` between points."""
    pitch = 2 * columns * PANEL
    for y in range(rows):
        for x in range(columns):
            for lane in range(0, PANEL, 16):
                g = band + (2 * y * pitch + 2 * x * PANEL + lane)
                a = gradient_line(load(g, 0), load(g, pitch))
                b = gradient_line(load(g, PANEL), load(g, pitch + PANEL))
                store_points(
                    out + ((y * columns + x) * width + lane), gradient_line(a[0], b[0]), gradient_line(a[1], b[1]),
                    gradient_line(a[2], b[2]), gradient_line(a[3], b[3]), stride,
                )  # fmt: skip


@kernel(WinogradGradient)
def winograd_weight_gradient(start, stop, row, scratch):
    """partial[part][panel][point][o][lane]; a task is a block of panels of channels over one part of the batch."""
    p = unpack(row, WinogradGradient)
    gradients = workspace(row, scratch)
    out_width = (p.out_channels + PANEL - 1) // PANEL * PANEL
    gradient_stride, input_stride = p.tiles * out_width + 16, p.tiles * PANEL + 16
    inputs = gradients + POINTS * gradient_stride
    band = inputs + POINTS * input_stride
    plane, out_plane = p.height * p.width, p.out_height * p.out_width
    for task in range(start, stop):
        part = task // p.blocks
        block = task - part * p.blocks
        low, high = block * p.panels // p.blocks, (block + 1) * p.panels // p.blocks
        end = (part + 1) * p.pictures // p.parts
        add = 0
        for first in range(part * p.pictures // p.parts, end, p.bunch):
            pictures = min(p.bunch, end - first)
            for top in range(0, (p.out_height + 1) // 2, p.rows):
                rows = min(p.rows, (p.out_height + 1) // 2 - top)
                each = rows * p.columns
                for o in range(0, p.out_channels, PANEL):
                    for i in range(pictures):
                        grad = p.grad + ((first + i) * p.out_channels + o) * out_plane
                        turn_band(
                            band, grad, min(PANEL, p.out_channels - o), out_plane, p.out_height, p.out_width, 2 * top,
                            2 * rows, 2 * p.columns, 0,
                        )  # fmt: skip
                        out = gradients + (i * each * out_width + o)
                        transform_gradients(out, band, rows, p.columns, out_width, gradient_stride)
                for panel in range(low, high):
                    c = panel * PANEL
                    for i in range(pictures):
                        x = p.x + ((first + i) * p.channels + c) * plane
                        turn_band(
                            band, x, min(PANEL, p.channels - c), plane, p.height, p.width, 2 * top - p.pad_y,
                            2 * rows + 2, 2 * p.columns + 2, p.pad_x,
                        )  # fmt: skip
                        transform_inputs(inputs + i * each * PANEL, band, rows, p.columns, input_stride)
                    for point in range(POINTS):
                        a, b = gradients + point * gradient_stride, inputs + point * input_stride
                        number = (part * p.panels + panel) * POINTS + point
                        total = p.partial + number * p.out_channels * PANEL
                        for line in range(0, p.out_channels, ROWS):
                            o = min(line, p.out_channels - ROWS)
                            acc = zeros(ROWS, COLUMNS)
                            for tile in range(pictures * each):
                                acc = outer(acc, a + (tile * out_width + o), 1, b + tile * PANEL, LANES)
                            store_tile(acc, total + o * PANEL, PANEL, line - o, ROWS, 0, PANEL, add, 0)
                add = 1
    return 0


@kernel(WinogradSum)
def winograd_weights(start, stop, row, scratch):
    """out[o][c] = Gᵀ·(Σ_part partial[part][panel][point][o][lane])·G, in order; a task is an output channel."""
    p = unpack(row, WinogradSum)
    block = workspace(row, scratch)
    turned, point = block + 256, p.out_channels * PANEL
    for o in range(start, stop):
        for c in range(0, p.channels, 16):
            panel = c // PANEL
            for i in range(POINTS):
                at = (panel * POINTS + i) * point + o * PANEL + c - panel * PANEL
                total = load(p.partial, at)
                for part in range(1, p.parts):
                    total = total + load(p.partial, at + part * p.panels * POINTS * point)
                store(block, i * 16, total)
            columns = (
                filter_sum(load(block, 0), load(block, 64), load(block, 128), load(block, 192)),
                filter_sum(load(block, 16), load(block, 80), load(block, 144), load(block, 208)),
                filter_sum(load(block, 32), load(block, 96), load(block, 160), load(block, 224)),
                filter_sum(load(block, 48), load(block, 112), load(block, 176), load(block, 240)),
            )
            for i in range(3):
                line = filter_sum(columns[0][i], columns[1][i], columns[2][i], columns[3][i])
                for j in range(3):
                    store(block, (3 * i + j) * 16, line[j])
            transpose_block(turned, 16, block, 16, 9)
            for lane in range(min(16, p.channels - c)):
                store_first(p.out, (o * p.channels + c + lane) * 9, load(turned, lane * 16), 9)
    return 0


# --- planning --------------------------------------------------------------------------------------------------------
def wins(window: Window, channels: int, out_channels: int, groups: int) -> bool:
    """Whether it takes the gradient and is quicker: by the shape alone, for the bits differ."""
    fits = conv_winograd.wins(forward_walk(window), channels, out_channels, groups)
    return fits and max(channels, out_channels) <= MOST_CHANNELS


@functools.lru_cache(maxsize=512)
def make_plan(
    window: Window, pictures: int, channels: int, out_channels: int, thread_count: int
) -> tuple[int, int, int, tuple[int, ...], int]:
    """Parts, blocks of panels, scratch, the words of a row, and float32 of a part's sums. Blocks alone know threads."""
    rows, columns = (window.out_height + 1) // 2, (window.out_width + 1) // 2
    panels, out_width = padded(channels) // PANEL, padded(out_channels)
    sums = POINTS * out_channels * panels * PANEL
    parts = max(1, min(pictures, MOST_PARTS, PART_ELEMENTS // (POINTS * out_channels * channels)))
    most = BLOCK // (channels + out_channels)
    if rows * columns <= most:
        bunch = min(most // (rows * columns), -(-pictures // parts))
    else:
        bunch, bands = 1, -(-rows // max(1, most // columns))
        rows = -(-rows // bands)
    tiles = bunch * rows * columns
    blocks = min(panels, -(-TASKS_A_THREAD * thread_count // parts))
    words = (
        pictures, parts, blocks, channels, out_channels, panels, window.height, window.width, window.out_height,
        window.out_width, *window.padding, bunch, rows, columns, tiles,
    )  # fmt: skip
    band = (2 * rows + 2) * (2 * columns + 2) * PANEL
    scratch = POINTS * (tiles * (out_width + PANEL) + 32) + band
    return parts, blocks, scratch, words, sums


def append(program, out, bias_out, grad, x, window: Window) -> None:
    """Append the rows that compute out (o, c, 3, 3), and bias_out (o,) or None, from grad (n, o, …) and x (n, c, …)."""
    channels, out_channels = x.shape[1], grad.shape[1]
    parts, blocks, scratch, words, sums = make_plan(
        window, x.shape[0], channels, out_channels, threads.get_num_threads()
    )
    partial = program.workspace((parts * sums,))
    program.append(
        winograd_weight_gradient, parts * blocks, WinogradGradient(partial, grad, x, *words), scratch=scratch
    )
    args = WinogradSum(out, partial, parts, channels, out_channels, padded(channels) // PANEL)
    program.append(winograd_weights, out_channels, args, scratch=512)
    if bias_out is not None:
        program.reduce(bias_out.view((1, out_channels, 1, 1)), grad, (0, 2, 3), "sum")
