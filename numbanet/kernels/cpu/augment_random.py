"""Random numbers by sample, the noise made of them, and the step from bytes to normalised float32."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.augment_common import as_whole, bytes_contiguous, chunk_of
from numbanet.kernels.cpu.kernel import kernel
from numbanet.kernels.cpu.simd.lanes import load_bytes, store_bytes
from numbanet.kernels.cpu.simd.masks import floor, magnitude, with_sign
from numbanet.kernels.cpu.simd.philox import box_muller, random_words, unit
from numbanet.kernels.cpu.simd.pointers import F32, INT64, U8
from numbanet.kernels.cpu.simd.tails import store_upto
from numbanet.kernels.cpu.simd.vector import (
    every_second,
    interleave,
    load,
    select,
    splat,
    store,
    to_float,
)

ZERO, MOST = np.float32(0), np.float32(255)
BLOCK = 1024
"""Numbers of noise that are drawn before they are added."""


class Draw(NamedTuple):
    """out (n, count): uniform numbers, each row from its own sample's stream."""

    out: F32
    samples: INT64
    count: I64_FIELD
    seed: I64_FIELD
    stream: I64_FIELD


class Noise(NamedTuple):
    """Pictures (n, size) plus shift + scale · z, z from each sample's own stream; amounts (n, 2)."""

    pictures: U8
    samples: INT64
    amounts: F32
    size: I64_FIELD
    seed: I64_FIELD
    stream: I64_FIELD


class Convert(NamedTuple):
    """Planes out (n · channels, area) = x · scale + shift, a scale and a shift a channel."""

    out: F32
    x: U8
    scale: F32
    shift: F32
    channels: I64_FIELD
    area: I64_FIELD


@kernel(Draw)
def draw_by_sample(start, stop, row, scratch):
    """A task is a row of out."""
    p = unpack(row, Draw)
    for n in range(start, stop):
        out, block = p.out + n * p.count, p.samples[n] << 32
        for i in range(0, p.count, 32):
            first, second = random_words(block + (i >> 2), p.stream, p.seed)
            store_upto(out, i, unit(first), p.count - i)
            store_upto(out, i + 16, unit(second), p.count - i - 16)
    return 0


@kernel(Noise)
def add_noise(start, stop, row, scratch):
    """The noise is cut off to whole numbers and the sum to 0 … 255; a task is a picture."""
    p = unpack(row, Noise)
    noise = workspace(row, scratch)
    for n in range(start, stop):
        if p.amounts[2 * n] == ZERO and p.amounts[2 * n + 1] == ZERO:
            continue
        shift, scale = splat(p.amounts[2 * n]), splat(p.amounts[2 * n + 1])
        block = p.samples[n] << 32
        for begin in range(0, p.size, BLOCK):
            count = min(BLOCK, p.size - begin)
            for i in range(0, count, 32):
                first, second = random_words(block + ((begin + i) >> 2), p.stream, p.seed)
                x, y = box_muller(unit(every_second(first, second, 0)), unit(every_second(first, second, 1)))
                store(noise, i, shift + scale * interleave(x, y, 0))
                store(noise, i + 16, shift + scale * interleave(x, y, 1))
            pixels, whole = p.pictures + (n * p.size + begin), count // 16 * 16
            for i in range(0, whole, 16):
                cut = with_sign(floor(magnitude(load(noise, i))), load(noise, i))
                values = load_bytes(pixels, i, i + 8) + as_whole(cut)
                values = select(values < splat(np.int32(0)), splat(np.int32(0)), values)
                values = select(values > splat(np.int32(255)), splat(np.int32(255)), values)
                store_bytes(pixels, i, i + 8, values)
            for i in range(whole, count):
                value = np.int32(pixels[i]) + np.int32(noise[i])
                pixels[i] = np.uint8(min(max(value, np.int32(0)), np.int32(255)))
    return 0


@kernel(Convert)
def convert_planes(start, stop, row, scratch):
    """Two roundings, as IEEE 754 has them; a task is a plane."""
    p = unpack(row, Convert)
    for plane in range(start, stop):
        x, out = p.x + plane * p.area, p.out + plane * p.area
        scale, shift = p.scale[plane % p.channels], p.shift[plane % p.channels]
        whole, scales, shifts = p.area // 16 * 16, splat(scale), splat(shift)
        for i in range(0, whole, 16):
            store(out, i, to_float(load_bytes(x, i, i + 8)) * scales + shifts)
        for i in range(whole, p.area):
            out[i] = np.float32(x[i]) * scale + shift
    return 0


def _key(seed: int, stream: int, epoch: int) -> tuple[int, int]:
    """Seed and stream as signed words; the epoch is the stream's upper half."""
    return seed - (1 << 64) if seed >= 1 << 63 else seed, stream | epoch << 32


def sample_numbers(program, out, samples, seed, stream, epoch):
    n, count = out.shape
    args = Draw(out, samples, count, *_key(seed, stream, epoch))
    program.append(draw_by_sample, n, args, chunk=chunk_of(32 * count))


def noise_pictures(program, pictures, samples, amounts, seed, stream, epoch):
    reason = bytes_contiguous(pictures)
    if reason is None:
        n, *sides = pictures.shape
        size = math.prod(sides)
        args = Noise(pictures, samples, amounts, size, *_key(seed, stream, epoch))
        program.append(add_noise, n, args, chunk=chunk_of(8 * size), scratch=BLOCK)
    return reason


def normalise_pictures(program, out, x, scale, shift):
    reason = bytes_contiguous(x)
    if reason is None:
        n, channels, height, width = x.shape
        args = Convert(out, x, scale, shift, channels, height * width)
        program.append(convert_planes, n * channels, args, chunk=chunk_of(height * width))
    return reason


FUNCTIONS = (sample_numbers, noise_pictures, normalise_pictures)
