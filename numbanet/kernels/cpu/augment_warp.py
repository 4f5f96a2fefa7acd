"""Augmentations that take pixels from between pixels: rotations and affine warps, and crops that are enlarged."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.augment_common import bytes_contiguous, chunk_of, rounded
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.pointers import F32, INT64, U8

ONE, HALF, ZERO = np.float32(1), np.float32(0.5), np.float32(0)


class Warp(NamedTuple):
    """Pictures out (n, channels, height, width) of pictures x; six numbers of matrices a picture."""

    out: U8
    x: U8
    matrices: F32
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    fill: I64_FIELD
    bilinear: I64_FIELD


class Resize(NamedTuple):
    """Pictures out (n, channels, height, width) of pictures x, of a box (top, left, height, width) each."""

    out: U8
    x: U8
    boxes: INT64
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD


@device_function
def pixel(p, x, row, column):
    """The pixel of a plane, 0 outside."""
    if row < 0 or row >= p.height or column < 0 or column >= p.width:
        return ZERO
    return np.float32(x[row * p.width + column])


@device_function
def is_inside(p, row, column):
    """1 inside the plane, 0 outside."""
    return ONE if 0 <= row < p.height and 0 <= column < p.width else ZERO


@device_function
def nearest(p, out, x, at, source_row, source_column):
    """The nearest pixel in all channels, or fill."""
    row, column = np.int64(rounded(source_row)), np.int64(rounded(source_column))
    inside = 0 <= row < p.height and 0 <= column < p.width
    area = p.height * p.width
    for channel in range(p.channels):
        out[channel * area + at] = x[channel * area + row * p.width + column] if inside else p.fill


@device_function
def between(p, out, x, at, source_row, source_column):
    """Bilinear in all channels; what lies outside counts as 0, then the share that lay inside mixes with fill."""
    row, column = np.int64(np.floor(source_row)), np.int64(np.floor(source_column))
    lower, right = source_row - np.float32(row), source_column - np.float32(column)
    upper, left = ONE - lower, ONE - right
    w00, w01, w10, w11 = upper * left, upper * right, lower * left, lower * right
    area, fill = p.height * p.width, np.float32(p.fill)
    if 0 <= row < p.height - 1 and 0 <= column < p.width - 1:
        for channel in range(p.channels):
            line = x + (channel * area + row * p.width + column)
            value = np.float32(line[0]) * w00 + np.float32(line[1]) * w01
            value = value + np.float32(line[p.width]) * w10 + np.float32(line[p.width + 1]) * w11
            out[channel * area + at] = np.uint8(rounded(value))
        return
    share = is_inside(p, row, column) * w00 + is_inside(p, row, column + 1) * w01
    share = share + is_inside(p, row + 1, column) * w10 + is_inside(p, row + 1, column + 1) * w11
    for channel in range(p.channels):
        plane = x + channel * area
        value = pixel(p, plane, row, column) * w00 + pixel(p, plane, row, column + 1) * w01
        value = value + pixel(p, plane, row + 1, column) * w10 + pixel(p, plane, row + 1, column + 1) * w11
        out[channel * area + at] = np.uint8(rounded((value - fill) * share + fill))


@kernel(Warp)
def warp_by_matrix(start, stop, row, scratch):
    """Pixel (x, y), counted from the middle, comes from (a·x + b·y + c, d·x + e·y + f); a task is a picture."""
    p = unpack(row, Warp)
    size = p.channels * p.height * p.width
    middle_x, middle_y = np.float32(p.width - 1) * HALF, np.float32(p.height - 1) * HALF
    for n in range(start, stop):
        m = p.matrices + 6 * n
        x, out = p.x + n * size, p.out + n * size
        if m[0] == ONE and m[4] == ONE and m[1] == ZERO and m[2] == ZERO and m[3] == ZERO and m[5] == ZERO:
            for i in range(size):
                out[i] = x[i]
            continue
        for i in range(p.height):
            from_middle = np.float32(i) - middle_y
            column0 = m[1] * from_middle + m[2] + middle_x
            row0 = m[4] * from_middle + m[5] + middle_y
            for j in range(p.width):
                along = np.float32(j) - middle_x
                source_row, source_column = m[3] * along + row0, m[0] * along + column0
                if p.bilinear:
                    between(p, out, x, i * p.width + j, source_row, source_column)
                else:
                    nearest(p, out, x, i * p.width + j, source_row, source_column)
    return 0


@device_function
def source(i, out_size, in_size):
    """Where the middle of pixel i of ``out_size`` lies among ``in_size`` pixels, not before the first one."""
    at = (np.float32(i) + HALF) * (np.float32(in_size) / np.float32(out_size)) - HALF
    return max(at, ZERO)


@kernel(Resize)
def enlarge_boxes(start, stop, row, scratch):
    """Each box, bilinear, at the size of its picture; a task is a picture."""
    p = unpack(row, Resize)
    line = workspace(row, scratch)
    area = p.height * p.width
    for n in range(start, stop):
        top, left, height, width = p.boxes[4 * n], p.boxes[4 * n + 1], p.boxes[4 * n + 2], p.boxes[4 * n + 3]
        for channel in range(p.channels):
            plane = (n * p.channels + channel) * area
            x, out = p.x + (plane + top * p.width + left), p.out + plane
            for i in range(p.height):
                at = source(i, p.height, height)
                upper = np.int64(at)
                weight = at - np.float32(upper)
                above, below = x + upper * p.width, x + min(upper + 1, height - 1) * p.width
                for j in range(width):
                    line[j] = np.float32(above[j]) * (ONE - weight) + np.float32(below[j]) * weight
                for j in range(p.width):
                    at = source(j, p.width, width)
                    first = np.int64(at)
                    weight = at - np.float32(first)
                    value = line[first] * (ONE - weight) + line[min(first + 1, width - 1)] * weight
                    out[i * p.width + j] = np.uint8(rounded(value))
    return 0


def warp_pictures(program, out, x, matrices, fill, bilinear):
    reason = bytes_contiguous(out, x)
    if reason is None:
        n, channels, height, width = x.shape
        args = Warp(out, x, matrices, channels, height, width, fill, int(bilinear))
        program.append(warp_by_matrix, n, args, chunk=chunk_of(channels * height * width))
    return reason


def resize_pictures(program, out, x, boxes):
    reason = bytes_contiguous(out, x)
    if reason is None:
        n, channels, height, width = x.shape
        args = Resize(out, x, boxes, channels, height, width)
        program.append(enlarge_boxes, n, args, chunk=chunk_of(channels * height * width), scratch=width)
    return reason


FUNCTIONS = (warp_pictures, resize_pictures)
