"""Augmentations that look at a pixel's neighbours: Gaussian blur and Sobel's edges."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.augment_common import REFLECT, bytes_contiguous, chunk_of, folded, nearest_bits, rounded
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.lanes import load_bytes, store_bytes
from numbanet.kernels.cpu.simd.pointers import F32, INT64, U8
from numbanet.kernels.cpu.simd.vector import load, splat, store, to_float

ONE, ZERO, PART = np.float32(1), np.float32(0), np.float32(1 / 32)


class Blur(NamedTuple):
    """Planes out (n · channels, height, width) of planes x; ``taps`` weights a picture."""

    out: U8
    x: U8
    weights: F32
    taps: I64_FIELD
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD


class Sobel(NamedTuple):
    """Planes out (n · channels, height, width) of planes x, filtered where the picture's number is not 0."""

    out: U8
    x: U8
    chosen: INT64
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD


@device_function
def down_columns(line, x, weights, i, p):
    """Row i of a plane, each column weighted with its neighbours above and below."""
    radius, whole = p.taps // 2, p.width // 16 * 16
    for j in range(0, whole, 16):
        total = splat(ZERO)
        for k in range(p.taps):
            above = x + folded(i + k - radius, p.height, REFLECT) * p.width
            total = total + to_float(load_bytes(above, j, j + 8)) * splat(weights[k])
        store(line, j, total)
    for j in range(whole, p.width):
        rest = ZERO
        for k in range(p.taps):
            above = x + folded(i + k - radius, p.height, REFLECT) * p.width
            rest = rest + np.float32(above[j]) * weights[k]
        line[j] = rest


@device_function
def along_line(out, line, weights, p):
    """Each pixel of a line weighted with its neighbours; ``line`` begins with the reflected ones."""
    whole = p.width // 16 * 16
    for j in range(0, whole, 16):
        total = splat(ZERO)
        for k in range(p.taps):
            total = total + load(line, j + k) * splat(weights[k])
        store_bytes(out, j, j + 8, nearest_bits(total))
    for j in range(whole, p.width):
        rest = ZERO
        for k in range(p.taps):
            rest = rest + line[j + k] * weights[k]
        out[j] = np.uint8(np.int32(rounded(rest)))


@kernel(Blur)
def blur_planes(start, stop, row, scratch):
    """Down the columns into a line with reflected ends, then along it; a task is a plane."""
    p = unpack(row, Blur)
    radius = p.taps // 2
    line = workspace(row, scratch)
    for plane in range(start, stop):
        weights = p.weights + plane // p.channels * p.taps
        x, out = p.x + plane * p.height * p.width, p.out + plane * p.height * p.width
        if weights[radius] == ONE:
            for i in range(p.height * p.width):
                out[i] = x[i]
            continue
        for i in range(p.height):
            down_columns(line + radius, x, weights, i, p)
            for j in range(radius):
                line[j] = line[radius + folded(j - radius, p.width, REFLECT)]
                line[radius + p.width + j] = line[radius + folded(p.width + j, p.width, REFLECT)]
            along_line(out + i * p.width, line, weights, p)
    return 0


@kernel(Sobel)
def sobel_planes(start, stop, row, scratch):
    """out = √((h² + v²) / 32), h and v being Sobel's two sums; a task is a plane, whose edge pixels are repeated."""
    p = unpack(row, Sobel)
    for plane in range(start, stop):
        x, out = p.x + plane * p.height * p.width, p.out + plane * p.height * p.width
        if p.chosen[plane // p.channels] == 0:
            for i in range(p.height * p.width):
                out[i] = x[i]
            continue
        for i in range(p.height):
            above, here = x + max(i - 1, 0) * p.width, x + i * p.width
            below = x + min(i + 1, p.height - 1) * p.width
            for j in range(p.width):
                left, right = max(j - 1, 0), min(j + 1, p.width - 1)
                a, b, c = np.int32(above[left]), np.int32(above[j]), np.int32(above[right])
                d, f = np.int32(here[left]), np.int32(here[right])
                g, h, k = np.int32(below[left]), np.int32(below[j]), np.int32(below[right])
                across, down = (c + f + f + k) - (a + d + d + g), (g + h + h + k) - (a + b + b + c)
                square = np.float32(across * across + down * down) * PART
                out[i * p.width + j] = np.uint8(np.int32(rounded(np.float32(np.sqrt(square)))))
    return 0


def blur_pictures(program, out, x, weights):
    reason = bytes_contiguous(out, x)
    if reason is None:
        n, channels, height, width = x.shape
        taps = weights.shape[1]
        args = Blur(out, x, weights, taps, channels, height, width)
        chunk, scratch = chunk_of(height * width), width + taps
        program.append(blur_planes, n * channels, args, chunk=chunk, scratch=scratch)
    return reason


def sobel_pictures(program, out, x, chosen):
    reason = bytes_contiguous(out, x)
    if reason is None:
        n, channels, height, width = x.shape
        args = Sobel(out, x, chosen, channels, height, width)
        program.append(sobel_planes, n * channels, args, chunk=chunk_of(height * width))
    return reason


FUNCTIONS = (blur_pictures, sobel_pictures)
