"""Random numbers and dropout: Philox4x32-10 in vectors, by (seed, stream, offset), so that nothing hangs on who draws.

Uniform numbers and masks have the bits of the NumPy kernels, normal numbers are within 4 ulp of them (and the same on
any machine). An offset inside a block of four words, which nothing in the library draws, is left to NumPy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pointwise import CHUNK, float32_contiguous, tasks_of
from numbanet.kernels.cpu.simd.philox import box_muller, random_halves, random_words, unit
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import every_second, interleave, load, select, splat, store
from numbanet.kernels.philox import half_threshold

FLOAT32 = np.dtype(np.float32)
CHANNELS = 64
"""Channels of a task of dropout_channels: the halves of words of eight blocks."""


class Fill(NamedTuple):
    """Numbers shift + scale · (uniform or standard normal); ``block`` is where in the stream they begin."""

    out: F32
    size: I64_FIELD
    shift: F64_FIELD
    scale: F64_FIELD
    seed: I64_FIELD
    stream: I64_FIELD
    block: I64_FIELD


class Drop(NamedTuple):
    """x · scale where half a word is at least the threshold, x · 0 elsewhere; ``group`` elements share a half."""

    out: F32
    x: F32
    size: I64_FIELD
    group: I64_FIELD
    threshold: I64_FIELD
    scale: F64_FIELD
    seed: I64_FIELD
    stream: I64_FIELD
    block: I64_FIELD


@kernel(Fill, "uniform")
def uniform_numbers(start, stop, row, scratch):
    """out = shift + scale · u."""
    a = unpack(row, Fill)
    shift, scale = splat(np.float32(a.shift)), splat(np.float32(a.scale))
    end = min(stop * CHUNK, a.size)
    for i in range(start * CHUNK, end, 32):
        first, second = random_words(a.block + (i >> 2), a.stream, a.seed)
        store_upto(a.out, i, shift + scale * unit(first), end - i)
        store_upto(a.out, i + 16, shift + scale * unit(second), end - i - 16)
    return 0


@kernel(Fill, "normal")
def normal_numbers(start, stop, row, scratch):
    """out = shift + scale · z; two words in a row make two numbers in a row."""
    a = unpack(row, Fill)
    shift, scale = splat(np.float32(a.shift)), splat(np.float32(a.scale))
    end = min(stop * CHUNK, a.size)
    for i in range(start * CHUNK, end, 32):
        first, second = random_words(a.block + (i >> 2), a.stream, a.seed)
        x, y = box_muller(unit(every_second(first, second, 0)), unit(every_second(first, second, 1)))
        store_upto(a.out, i, shift + scale * interleave(x, y, 0), end - i)
        store_upto(a.out, i + 16, shift + scale * interleave(x, y, 1), end - i - 16)
    return 0


@device_function
def factor_of(a, half):
    """What to multiply by: the scale, or 0."""
    return select(half >= splat(np.int32(a.threshold)), splat(np.float32(a.scale)), splat(np.float32(0)))


@device_function
def drop(a, i, half):
    """Sixteen elements from i on."""
    store(a.out, i, load(a.x, i) * factor_of(a, half))


@device_function
def drop_upto(a, i, end, half):
    """Sixteen elements from i on, of those before end."""
    store_upto(a.out, i, load_upto(a.x, i, end - i) * factor_of(a, half), end - i)


@kernel(Drop)
def dropout_elements(start, stop, row, scratch):
    """Half a word an element."""
    a = unpack(row, Drop)
    end = min(stop * CHUNK, a.size)
    whole = end - end % 64
    for i in range(start * CHUNK, whole, 64):
        first, second, third, fourth = random_halves(a.block + (i >> 3), a.stream, a.seed)
        drop(a, i, first)
        drop(a, i + 16, second)
        drop(a, i + 32, third)
        drop(a, i + 48, fourth)
    if whole < end:
        first, second, third, fourth = random_halves(a.block + (whole >> 3), a.stream, a.seed)
        drop_upto(a, whole, end, first)
        drop_upto(a, whole + 16, end, second)
        drop_upto(a, whole + 32, end, third)
        drop_upto(a, whole + 48, end, fourth)
    return 0


@kernel(Drop)
def dropout_channels(start, stop, row, scratch):
    """Half a word a channel of ``group`` elements; a task is CHANNELS channels."""
    a = unpack(row, Drop)
    factors = workspace(row, scratch)
    for task in range(start, stop):
        first, second, third, fourth = random_halves(a.block + task * (CHANNELS >> 3), a.stream, a.seed)
        store(factors, 0, factor_of(a, first))
        store(factors, 16, factor_of(a, second))
        store(factors, 32, factor_of(a, third))
        store(factors, 48, factor_of(a, fourth))
        begin = task * CHANNELS * a.group
        for channel in range(min(CHANNELS, (a.size - begin) // a.group)):
            factor = splat(factors[channel])
            x, out = a.x + (begin + channel * a.group), a.out + (begin + channel * a.group)
            for i in range(0, a.group, 16):
                store_upto(out, i, load_upto(x, i, a.group - i) * factor, a.group - i)
    return 0


def _place(seed: int, stream: int, offset: int) -> tuple[int, int, int]:
    """Seed (as a signed word), stream and block for a row."""
    return seed - (1 << 64) if seed >= 1 << 63 else seed, stream, offset // 4


def _declines(offset: int, *arrays) -> str | None:
    return "an offset inside a block" if offset % 4 else float32_contiguous(*arrays)


def _fill(program, which, out, shift, scale, seed, stream, offset):
    reason = _declines(offset, out)
    if reason is None:
        tasks, chunk = tasks_of(out.size)
        program.append(which, tasks, Fill(out, out.size, shift, scale, *_place(seed, stream, offset)), chunk=chunk)
    return reason


def uniform(program, out, low, high, seed, stream, offset):
    return _fill(program, uniform_numbers, out, float(low), float(high - low), seed, stream, offset)


def normal(program, out, mean, std, seed, stream, offset):
    return _fill(program, normal_numbers, out, float(mean), float(std), seed, stream, offset)


def dropout(program, out, x, p, scale, seed, stream, offset, group=1):
    reason = _declines(offset, out, x)
    if reason is None:
        args = Drop(out, x, out.size, group, half_threshold(p), float(scale), *_place(seed, stream, offset))
        if group == 1:
            tasks, chunk = tasks_of(out.size)
            program.append(dropout_elements, tasks, args, chunk=chunk)
        else:
            tasks = -(-out.size // (group * CHANNELS))
            chunk = -(-CHUNK // (group * CHANNELS))
            program.append(dropout_channels, tasks, args, chunk=chunk, scratch=CHANNELS)
    return reason


FUNCTIONS = (uniform, normal, dropout)
