"""Augmentations that move whole pixels (flips, crops with padding, quarter turns), and that blot out a box."""

from __future__ import annotations

from typing import NamedTuple

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack
from numbanet.kernels.cpu.augment_common import BORDERS, CONSTANT, bytes_contiguous, chunk_of, folded
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.lanes import copy_bytes, copy_bytes_reversed
from numbanet.kernels.cpu.simd.pointers import INT64, U8

VECTOR = 16
"""Bytes that are copied at once."""


class Move(NamedTuple):
    """Planes out (n · channels, out_height, out_width) of planes x; six integers of maps a picture."""

    out: U8
    x: U8
    maps: INT64
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    fill: I64_FIELD
    border: I64_FIELD


class Erase(NamedTuple):
    """Pictures (n, channels, height, width) and a box (top, left, bottom, right) each."""

    pictures: U8
    boxes: INT64
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    fill: I64_FIELD


@device_function
def from_anywhere(p, x, row, column):
    """The pixel of a plane at (row, column), or what the border puts there."""
    if row < 0 or row >= p.height or column < 0 or column >= p.width:
        if p.border == CONSTANT:
            return p.fill
        row, column = folded(row, p.height, p.border), folded(column, p.width, p.border)
    return x[row * p.width + column]


@device_function
def copy_run(out, begin, end, x, first, step):
    """out[begin : end] = x[first], x[first + step], …, step being 1 or −1: whole vectors, the last one overlapping."""
    if end - begin < VECTOR:
        for j in range(end - begin):
            out[begin + j] = x[first + step * j]
        return
    last = end - VECTOR
    for to in range(begin, end, VECTOR):
        to = min(to, last)
        if step > 0:
            copy_bytes(out, to, x, first + (to - begin))
        else:
            copy_bytes_reversed(out, to, x, first - (to - begin) - (VECTOR - 1))


@kernel(Move)
def move_planes(start, stop, row, scratch):
    """out[i, j] = x[a·i + b·j + c, d·i + e·j + f] with the six integers of the picture; a task is a plane."""
    p = unpack(row, Move)
    for plane in range(start, stop):
        m = p.maps + plane // p.channels * 6
        a, b, c, d, e, f = m[0], m[1], m[2], m[3], m[4], m[5]
        x, out = p.x + plane * p.height * p.width, p.out + plane * p.out_height * p.out_width
        begin, end = 0, 0
        if b == 0 and d == 0:  # rows stay rows: from begin to end they are read without a look at the border
            begin, end = (-f, p.width - f) if e > 0 else (f - p.width + 1, f + 1)
            begin = min(max(begin, 0), p.out_width)
            end = max(min(end, p.out_width), begin)
        for i in range(p.out_height):
            inside = 0 <= a * i + c < p.height
            to = end if inside else 0
            first = begin if inside else 0
            line, run = out + i * p.out_width, to - first
            if run > 0:
                copy_run(line, first, to, x + (a * i + c) * p.width, e * first + f, e)
            for k in range(p.out_width - run):  # before the run, and behind it
                j = k if k < first else k + run
                line[j] = from_anywhere(p, x, a * i + b * j + c, d * i + e * j + f)
    return 0


@kernel(Erase)
def erase_boxes(start, stop, row, scratch):
    """The box of each picture, in all channels, becomes ``fill``; a task is a picture."""
    p = unpack(row, Erase)
    for n in range(start, stop):
        top, left, bottom, right = p.boxes[4 * n], p.boxes[4 * n + 1], p.boxes[4 * n + 2], p.boxes[4 * n + 3]
        for channel in range(p.channels):
            plane = p.pictures + (n * p.channels + channel) * p.height * p.width
            for i in range(max(top, 0), min(bottom, p.height)):
                for j in range(max(left, 0), min(right, p.width)):
                    plane[i * p.width + j] = p.fill
    return 0


def move_pictures(program, out, x, maps, fill, border):
    reason = bytes_contiguous(out, x)
    if reason is None:
        n, channels, height, width = x.shape
        args = Move(out, x, maps, channels, height, width, *out.shape[2:], fill, BORDERS.index(border))
        program.append(move_planes, n * channels, args, chunk=chunk_of(out.shape[2] * out.shape[3]))
    return reason


def erase_pictures(program, pictures, boxes, fill):
    reason = bytes_contiguous(pictures)
    if reason is None:
        n, channels, height, width = pictures.shape
        args = Erase(pictures, boxes, channels, height, width, fill)
        program.append(erase_boxes, n, args, chunk=chunk_of(channels * height * width))
    return reason


FUNCTIONS = (move_pictures, erase_pictures)
