"""Depthwise convolution, one filter a channel, and its gradients: passes over planes in 16 lanes of columns.

Nothing is shared between channels, so no tile of several would do more than one: memory and the fixed cost of a plane
decide. Four rows go together, since a chain alone would wait for itself. The most common ones, 3 × 3 filters with
stride 1 and a padding of 1, have ``conv_depthwise_3x3.py``.
Forward and gradient for the input are one walk (``geometry.py``) with the same chains as the other forms, and so the
same bits. The columns of a band are split by their phase modulo the stride, so that loads are of whole vectors; the
phases of a gradient are interleaved when its rows are written.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.cpu import conv_depthwise_3x3, target
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.band import SLACK, pack_band
from numbanet.kernels.cpu.conv_weight_rows import CHUNK, Parts, add_parts
from numbanet.kernels.cpu.gemm_pack import SMALL
from numbanet.kernels.cpu.geometry import Walk, Window, forward_walk, table
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.tile import LANES, RELU, inner, offsets
from numbanet.kernels.cpu.simd.tile_load import load_sums, store_sums
from numbanet.kernels.cpu.simd.vector import (
    every_second,
    fma,
    interleave,
    lane_sum,
    load,
    load_first,
    select,
    splat,
    store,
    store_first,
)

BAND = 1 << 15
"""float32 that a band may take (128 KB), about."""
MOST_PARTS = 32
TAPS = 9 if target.registers() == 32 and LANES == 16 else 3
"""Taps whose sums are held in registers at once."""
TASKS_A_THREAD = 8


class Depthwise(NamedTuple):
    """Arguments of depthwise_convolution."""

    out: F32
    x: F32
    weight: F32
    bias: F32
    taps: I32
    places: I32
    segments: I32
    area: I64_FIELD
    channels: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    bands: I64_FIELD
    out_rows: I64_FIELD
    band_step: I64_FIELD
    band_rows: I64_FIELD
    pitch: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    step_y: I64_FIELD
    step_x: I64_FIELD
    phases_y: I64_FIELD
    phases_x: I64_FIELD
    activation: I64_FIELD


class DepthwiseWeights(NamedTuple):
    """Arguments of depthwise_weight_gradient."""

    partial: F32
    grad: F32
    x: F32
    taps: I32
    area: I64_FIELD
    pictures: I64_FIELD
    channels: I64_FIELD
    parts: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    bands: I64_FIELD
    out_rows: I64_FIELD
    band_rows: I64_FIELD
    pitch: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    step_y: I64_FIELD
    step_x: I64_FIELD


@device_function
def split_phases(out, band, rows, pitch, phases):
    """out[row][phase][j] = band[row][j · phases + phase]; ``pitch`` is a multiple of the phases."""
    width = pitch // phases
    for row in range(rows):
        source, target = band + row * pitch, out + row * pitch
        if phases == 2:
            # Whole vectors: the even columns run over into the odd ones', which follow, and these into the next row's.
            for j in range(0, width, 16):
                store(target, j, every_second(load(source, 2 * j), load(source, 2 * j + 16), 0))
            for j in range(0, width, 16):
                store(target, width + j, every_second(load(source, 2 * j), load(source, 2 * j + 16), 1))
        else:
            for j in range(width):
                for phase in range(phases):
                    target[phase * width + j] = source[j * phases + phase]


@device_function
def merge_phases(out, lines, space, width, phases):
    """out[j · phases + phase] = lines[phase · space + j] for the first ``width`` elements of out."""
    if phases == 2:
        for i in range(0, width, 32):
            even, odd = load(lines, i // 2), load(lines, space + i // 2)
            store_first(out, i, interleave(even, odd, 0), width - i)
            store_first(out, i + 16, interleave(even, odd, 1), width - i - 16)
    else:
        for i in range(width):
            out[i] = lines[i % phases * space + i // phases]


@kernel(Depthwise)
def depthwise_convolution(start, stop, row, scratch):
    """out = activation(x ⋆ weight + bias), channel by channel; a task is a band of rows of one plane."""
    p = unpack(row, Depthwise)
    packed = workspace(row, scratch)
    size = p.band_rows * p.pitch + SLACK
    space = (p.out_width + p.phases_x - 1) // p.phases_x + 16
    lines = packed + size
    spread = lines + 4 * p.phases_x * space
    for task in range(start, stop):
        number = task // p.bands
        cut = task - number * p.bands
        channel = number % p.channels
        top = cut * p.out_rows
        x, weight = p.x + number * p.height * p.width, p.weight + channel * p.area
        pack_band(packed, x, 1, p.height, p.width, cut * p.band_step, p.band_rows, 1, p.pitch, p.pad_y, p.pad_x)
        band = packed
        if p.step_x > 1:
            split_phases(spread, packed, p.band_rows, p.pitch, p.step_x)
            band = spread
        bias = np.float32(0) if is_null(p.bias) else p.bias[channel]
        plane = p.out + (number * p.out_height + top) * p.out_width
        rows = min(p.out_rows, p.out_height - top)
        for phase_y in range(min(p.phases_y, rows)):
            last_row = phase_y + (rows - 1 - phase_y) // p.phases_y * p.phases_y
            for y in range(phase_y, rows, 4 * p.phases_y):
                y1, y2 = min(y + p.phases_y, last_row), min(y + 2 * p.phases_y, last_row)
                y3 = min(y + 3 * p.phases_y, last_row)
                line, line1 = row_of(band, y, p), row_of(band, y1, p)
                line2, line3 = row_of(band, y2, p), row_of(band, y3, p)
                for phase in range(p.phases_x):
                    segment = (phase_y * p.phases_x + phase) * 2
                    first, last = p.segments[segment], p.segments[segment] + p.segments[segment + 1]
                    width = (p.out_width - phase + p.phases_x - 1) // p.phases_x
                    for i in range(0, width, 16):
                        begin = max(min(i, width - 16), 0)
                        total = total1 = total2 = total3 = splat(np.float32(0))
                        for tap in range(first, last):
                            at, w = p.taps[tap] + begin, splat(weight[p.places[tap]])
                            total = fma(w, load(line, at), total)
                            total1 = fma(w, load(line1, at), total1)
                            total2 = fma(w, load(line2, at), total2)
                            total3 = fma(w, load(line3, at), total3)
                        at = phase * space + begin
                        finish(total, plane, lines, y, at, 0, space, width, bias, p)
                        finish(total1, plane, lines, y1, at, 1, space, width, bias, p)
                        finish(total2, plane, lines, y2, at, 2, space, width, bias, p)
                        finish(total3, plane, lines, y3, at, 3, space, width, bias, p)
                if p.phases_x > 1:
                    for r in range((last_row - y) // p.phases_y + 1 if y3 == last_row else 4):
                        out = plane + (y + r * p.phases_y) * p.out_width
                        merge_phases(out, lines + r * p.phases_x * space, space, p.out_width, p.phases_x)
    return 0


@device_function
def row_of(band, y, p):
    """Where the band of output row y begins."""
    return band + y // p.phases_y * p.step_y * p.pitch


@device_function
def finish(total, plane, lines, y, at, r, space, width, bias, p):
    """activation(total + bias) to row y of the plane, or to the r-th group of lines that wait to be merged."""
    if not is_null(p.bias):
        total = total + splat(bias)
    if p.activation == RELU:
        total = select(total < splat(np.float32(0)), splat(np.float32(0)), total)
    if p.phases_x > 1:
        store(lines, r * p.phases_x * space + at, total)
    elif width >= 16:
        store(plane, y * p.out_width + at, total)
    else:
        store_first(plane, y * p.out_width, total, width)


@kernel(DepthwiseWeights)
def depthwise_weight_gradient(start, stop, row, scratch):
    """partial[part][channel · tap, then channel]; a task is a part of the batch of one channel."""
    p = unpack(row, DepthwiseWeights)
    sums = workspace(row, scratch)
    packed = sums + (p.area + TAPS) * 16
    spread = packed + p.band_rows * p.pitch + SLACK
    plane, weights = p.out_height * p.out_width, p.channels * p.area
    for task in range(start, stop):
        part = task // p.channels
        channel = task - part * p.channels
        for i in range(0, (p.area + TAPS) * 16, 16):
            store(sums, i, splat(np.float32(0)))
        for picture in range(part * p.pictures // p.parts, (part + 1) * p.pictures // p.parts):
            number = picture * p.channels + channel
            x = p.x + number * p.height * p.width
            for cut in range(p.bands):
                top = cut * p.out_rows
                rows = min(p.out_rows, p.out_height - top)
                grad = p.grad + (number * plane + top * p.out_width)
                pack_band(packed, x, 1, p.height, p.width, top * p.step_y, p.band_rows, 1, p.pitch, p.pad_y, p.pad_x)
                band = packed
                if p.step_x > 1:
                    split_phases(spread, packed, p.band_rows, p.pitch, p.step_x)
                    band = spread
                for tap in range(0, p.area, TAPS):
                    add_products(sums + (16 + tap * 16), grad, band, p.taps, tap, rows, p.out_width, p.step_y * p.pitch)
                total = load(sums, 0)
                for i in range(0, rows * p.out_width, 16):
                    total = total + load_first(grad, i, rows * p.out_width - i)
                store(sums, 0, total)
        out = p.partial + part * (weights + p.channels)
        out[weights + channel] = lane_sum(load(sums, 0))
        for tap in range(p.area):
            out[channel * p.area + tap] = lane_sum(load(sums, 16 + tap * 16))
    return 0


@device_function
def add_products(sums, grad, band, taps, tap, rows, width, pitch):
    """sums[t] += Σ grad[y][x] · band[taps[tap + t] + y · pitch + x] in 16 lanes, for TAPS of them."""
    where = offsets(taps, tap, TAPS)
    acc = load_sums(sums, TAPS)
    for y in range(rows):
        a, b = grad + y * width, band + y * pitch
        for i in range(0, width - 15, 16):
            acc = inner(acc, b + i, where, a + i, 0, 16)
        i = width // 16 * 16
        if i < width:
            acc = inner(acc, b + i, where, a + i, 0, width - i)
    store_sums(acc, sums)


# --- planning --------------------------------------------------------------------------------------------------------
@functools.lru_cache(maxsize=512)
def make_plan(walk: Walk, planes: int, channels: int, size: tuple[int, int], thread_count: int) -> tuple:
    """Tasks, how many are claimed at once, scratch, the tables, and the words of a row."""
    rows, columns = walk.rows, walk.columns
    step, height, width = columns.step, rows.size, columns.size
    pitch = -(-walk.pitch // step) * step
    out_rows = height
    while out_rows > rows.phases and walk.band_rows(out_rows) * pitch > BAND:
        out_rows = -(-out_rows // (2 * rows.phases)) * rows.phases
    bands, band_rows = -(-height // out_rows), walk.band_rows(out_rows)
    taps, places, segments = [], [], []
    for segment in walk.segments:
        ys, xs = rows.taps[segment[0]], columns.taps[segment[1]]
        segments.append((len(taps), len(ys) * len(xs)))
        taps += [y * pitch + x % step * (pitch // step) + x // step for y, _ in ys for x, _ in xs]
        places += [ky * columns.kernel + kx for _, ky in ys for _, kx in xs]
    words = (
        rows.kernel * columns.kernel, channels, height, width, *size, bands, out_rows,
        out_rows // rows.phases * rows.step, band_rows, pitch, rows.pad, columns.pad, rows.step, step, rows.phases,
        columns.phases,
    )  # fmt: skip
    band_size = band_rows * pitch + SLACK
    scratch = band_size * (2 if step > 1 else 1) + 4 * columns.phases * (-(-width // columns.phases) + 16)
    tasks = planes * bands
    chunk = tasks if planes * height * width * len(taps) < SMALL else max(1, tasks // (TASKS_A_THREAD * thread_count))
    tables = (np.array(taps, np.int32), np.array(places, np.int32), np.array(segments, np.int32))
    return tasks, chunk, scratch, *map(table, tables), words


def append(program, out, x, weight, bias, walk: Walk, activation: int) -> None:
    """Append the row that computes out (n, c, …) from x (n, c, h, w) and weight (c, 1, kh, kw)."""
    if conv_depthwise_3x3.takes(walk, x.shape[2:]):
        conv_depthwise_3x3.append(program, out, x, weight, bias, walk, activation)
        return
    planes, channels = x.shape[0] * x.shape[1], x.shape[1]
    plan = make_plan(walk, planes, channels, x.shape[2:], threads.get_num_threads())
    tasks, chunk, scratch, taps, places, segments, words = plan
    args = Depthwise(out, x, weight, bias, taps, places, segments, *words, activation)
    program.append(depthwise_convolution, tasks, args, chunk=chunk, scratch=scratch)
    for array in (taps, places, segments):
        program.keep(array)


@functools.lru_cache(maxsize=512)
def make_weight_plan(window: Window, pictures: int, channels: int, parts: int) -> tuple:
    """Scratch, the table of taps, and the words of a row: all by the shape."""
    walk = forward_walk(window)
    step = walk.columns.step
    pitch = -(-walk.pitch // step) * step
    out_rows = window.out_height
    while out_rows > 1 and walk.band_rows(out_rows) * pitch > BAND:
        out_rows = -(-out_rows // 2)
    bands, band_rows = -(-window.out_height // out_rows), walk.band_rows(out_rows)
    taps = [
        y * pitch + x % step * (pitch // step) + x // step
        for y, _ in walk.rows.taps[0]
        for x, _ in walk.columns.taps[0]
    ]
    words = (
        window.area, pictures, channels, parts, window.out_height, window.out_width, window.height, window.width, bands,
        out_rows, band_rows, pitch, walk.rows.pad, walk.columns.pad, walk.rows.step, step,
    )  # fmt: skip
    taps += [taps[-1]] * (-len(taps) % TAPS)
    scratch = (window.area + TAPS) * 16 + 2 * (band_rows * pitch + SLACK)
    return scratch, table(np.array(taps, np.int32)), words


def append_weights(program, out, bias_out, grad, x, window: Window) -> None:
    """Append the rows that compute out (c, 1, kh, kw) and bias_out (or None) from grad and x (n, c, …)."""
    pictures, channels = x.shape[:2]
    parts = max(1, min(pictures, MOST_PARTS, -(-256 // channels)))
    elements = out.size + channels
    partial = program.workspace((parts, elements))
    tasks = parts * channels
    chunk = tasks if grad.size * window.area < SMALL else max(1, tasks // (TASKS_A_THREAD * threads.get_num_threads()))
    if conv_depthwise_3x3.takes(forward_walk(window), x.shape[2:]):
        args = conv_depthwise_3x3.Weights3x3(partial, grad, x, pictures, channels, parts, *x.shape[2:])
        program.append(conv_depthwise_3x3.depthwise_3x3_weights, tasks, args, chunk=chunk)
    else:
        scratch, taps, words = make_weight_plan(window, pictures, channels, parts)
        args = DepthwiseWeights(partial, grad, x, program.keep(taps), *words)
        program.append(depthwise_weight_gradient, tasks, args, chunk=chunk, scratch=scratch)
    tasks = -(-elements // CHUNK)
    sums = Parts(out, bias_out, partial, parts, out.size, channels)
    program.append(add_parts, tasks, sums, chunk=tasks if parts * elements < SMALL else 1)
