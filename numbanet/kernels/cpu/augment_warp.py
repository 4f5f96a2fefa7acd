"""Augmentations that take pixels from between pixels: rotations and affine warps, and crops that are enlarged."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.augment_common import as_whole, bytes_contiguous, chunk_of, rounded
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.lanes import as_ints
from numbanet.kernels.cpu.simd.masks import floor
from numbanet.kernels.cpu.simd.pointers import F32, I32, INT64, U8
from numbanet.kernels.cpu.simd.vector import lane_index, rint, splat, store, to_float

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


class Resize(NamedTuple):
    """Pictures out (n, channels, height, width) of pictures x, of a box (top, left, height, width) each."""

    out: U8
    x: U8
    boxes: INT64
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD


class Places(NamedTuple):
    """Where the pixels of a line come from, in scratch memory: row, column and number of the pixel above and left of
    the place (or of the nearest one), and the weights of the four around."""

    row: I32
    column: I32
    offset: I32
    w00: F32
    w01: F32
    w10: F32
    w11: F32


@device_function
def places_in(scratch, width):
    """The seven arrays of a line of ``width`` pixels, each of whole vectors."""
    size = line_size(width)
    return Places(
        as_ints(scratch),
        as_ints(scratch + size),
        as_ints(scratch + 2 * size),
        scratch + 3 * size,
        scratch + 4 * size,
        scratch + 5 * size,
        scratch + 6 * size,
    )


@device_function
def line_size(width):
    return (width + 15) // 16 * 16


@device_function
def find_places(places, m, i, p, weighted):
    """The places of line i on the pictures' grid, by vectors; without ``weighted`` the nearest pixels alone."""
    one, width = splat(ONE), splat(np.int32(p.width))
    middle_x, middle_y = np.float32(p.width - 1) * HALF, np.float32(p.height - 1) * HALF
    from_middle = np.float32(i) - middle_y
    column0, row0 = splat(m[1] * from_middle + m[2] + middle_x), splat(m[4] * from_middle + m[5] + middle_y)
    a, d = splat(m[0]), splat(m[3])
    for j in range(0, p.width, 16):
        along = to_float(lane_index() + splat(np.int32(j))) - splat(middle_x)
        x, y = a * along + column0, d * along + row0
        left, top = (floor(x), floor(y)) if weighted else (rint(x), rint(y))
        row, column = as_whole(top), as_whole(left)
        store(places.row, j, row)
        store(places.column, j, column)
        store(places.offset, j, row * width + column)
        if weighted:
            lower, right = y - top, x - left
            upper, before = one - lower, one - right
            store(places.w00, j, upper * before)
            store(places.w01, j, upper * right)
            store(places.w10, j, lower * before)
            store(places.w11, j, lower * right)


@device_function
def is_whole(places, j, height, width):
    """Whether the place of pixel j lies inside the first ``height`` rows and ``width`` columns."""
    return 0 <= places.row[j] < height and 0 <= places.column[j] < width


@device_function
def inside_between(places, height, width, count):
    """From which to before which of ``count`` pixels the places are whole: they run along a straight line, so those
    that lie inside follow each other."""
    begin, end = 0, count
    while begin < end and not is_whole(places, begin, height, width):
        begin += 1
    while begin < end and not is_whole(places, end - 1, height, width):
        end -= 1
    return begin, end


@device_function
def copy_nearest(p, out, x, places):
    """A line of one channel: the nearest pixels, or fill."""
    for j in range(p.width):
        inside = is_whole(places, j, p.height, p.width)
        out[j] = x[places.offset[j] if inside else 0] if inside else p.fill


@device_function
def pixel(p, x, row, column):
    """The pixel of a plane, 0 outside, and 1 inside."""
    if row < 0 or row >= p.height or column < 0 or column >= p.width:
        return ZERO, ZERO
    return np.float32(x[row * p.width + column]), ONE


@device_function
def mix_at_edges(p, out, x, places, begin, end):
    """The pixels of a line before ``begin`` and from ``end`` on, whose four neighbours do not all lie inside: these
    count as 0 outside, then the sum mixes with fill by their share inside."""
    fill = np.float32(p.fill)
    for k in range(p.width - (end - begin)):
        j = k if k < begin else k + (end - begin)
        row, column = places.row[j], places.column[j]
        p00, i00 = pixel(p, x, row, column)
        p01, i01 = pixel(p, x, row, column + 1)
        p10, i10 = pixel(p, x, row + 1, column)
        p11, i11 = pixel(p, x, row + 1, column + 1)
        value = p00 * places.w00[j] + p01 * places.w01[j] + p10 * places.w10[j] + p11 * places.w11[j]
        share = i00 * places.w00[j] + i01 * places.w01[j] + i10 * places.w10[j] + i11 * places.w11[j]
        out[j] = np.uint8(np.int32(rounded((value - fill) * share + fill)))


@device_function
def mix_inside(p, out, x, places, begin, end):
    """Pixels of a line between four that lie inside."""
    for j in range(begin, end):
        line = x + places.offset[j]
        value = np.float32(line[0]) * places.w00[j] + np.float32(line[1]) * places.w01[j]
        value = value + np.float32(line[p.width]) * places.w10[j] + np.float32(line[p.width + 1]) * places.w11[j]
        out[j] = np.uint8(np.int32(rounded(value)))


@device_function
def copied_unchanged(m, out, x, size):
    """Copy a picture whose matrix changes nothing; whether it is one."""
    unchanged = m[0] == ONE and m[4] == ONE and m[1] == ZERO and m[2] == ZERO and m[3] == ZERO and m[5] == ZERO
    if unchanged:
        for i in range(size):
            out[i] = x[i]
    return unchanged


@kernel(Warp)
def warp_to_nearest(start, stop, row, scratch):
    """The nearest pixel to (a·x + b·y + c, d·x + e·y + f); a task is a picture."""
    p = unpack(row, Warp)
    places = places_in(workspace(row, scratch), p.width)
    area = p.height * p.width
    for n in range(start, stop):
        m, x, out = p.matrices + 6 * n, p.x + n * p.channels * area, p.out + n * p.channels * area
        if copied_unchanged(m, out, x, p.channels * area):
            continue
        for i in range(p.height):
            find_places(places, m, i, p, False)
            for channel in range(p.channels):
                copy_nearest(p, out + (channel * area + i * p.width), x + channel * area, places)
    return 0


@kernel(Warp)
def warp_between_pixels(start, stop, row, scratch):
    """The four pixels around (a·x + b·y + c, d·x + e·y + f), mixed; a task is a picture."""
    p = unpack(row, Warp)
    places = places_in(workspace(row, scratch), p.width)
    area = p.height * p.width
    for n in range(start, stop):
        m, x, out = p.matrices + 6 * n, p.x + n * p.channels * area, p.out + n * p.channels * area
        if copied_unchanged(m, out, x, p.channels * area):
            continue
        for i in range(p.height):
            find_places(places, m, i, p, True)
            begin, end = inside_between(places, p.height - 1, p.width - 1, p.width)
            for channel in range(p.channels):
                plane, line = x + channel * area, out + (channel * area + i * p.width)
                if end - begin < p.width:
                    mix_at_edges(p, line, plane, places, begin, end)
                mix_inside(p, line, plane, places, begin, end)
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
    right, left = line + p.width, line + 2 * p.width
    first, second = as_ints(line + 3 * p.width), as_ints(line + 4 * p.width)
    area = p.height * p.width
    for n in range(start, stop):
        top, from_left, height, width = p.boxes[4 * n], p.boxes[4 * n + 1], p.boxes[4 * n + 2], p.boxes[4 * n + 3]
        for j in range(p.width):
            at = source(j, p.width, width)
            before = np.int32(at)
            first[j], second[j] = before, np.int32(min(before + 1, width - 1))
            right[j] = at - np.float32(before)
            left[j] = ONE - right[j]
        for channel in range(p.channels):
            plane = (n * p.channels + channel) * area
            x, out = p.x + (plane + top * p.width + from_left), p.out + plane
            for i in range(p.height):
                at = source(i, p.height, height)
                upper = np.int64(at)
                lower_share = at - np.float32(upper)
                upper_share = ONE - lower_share
                above, below = x + upper * p.width, x + min(upper + 1, height - 1) * p.width
                for j in range(width):
                    line[j] = np.float32(above[j]) * upper_share + np.float32(below[j]) * lower_share
                for j in range(p.width):
                    value = line[first[j]] * left[j] + line[second[j]] * right[j]
                    out[i * p.width + j] = np.uint8(np.int32(rounded(value)))
    return 0


def warp_pictures(program, out, x, matrices, fill, bilinear):
    reason = bytes_contiguous(out, x)
    if reason is None:
        n, channels, height, width = x.shape
        args = Warp(out, x, matrices, channels, height, width, fill)
        which = warp_between_pixels if bilinear else warp_to_nearest
        scratch = 7 * -(-width // 16) * 16
        program.append(which, n, args, chunk=chunk_of(channels * height * width), scratch=scratch)
    return reason


def resize_pictures(program, out, x, boxes):
    reason = bytes_contiguous(out, x)
    if reason is None:
        n, channels, height, width = x.shape
        args = Resize(out, x, boxes, channels, height, width)
        program.append(enlarge_boxes, n, args, chunk=chunk_of(channels * height * width), scratch=5 * width)
    return reason


FUNCTIONS = (warp_pictures, resize_pictures)
