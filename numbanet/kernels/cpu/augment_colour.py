"""Augmentations of colour: grey pictures, and brightness, contrast, saturation and hue in any order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack
from numbanet.kernels.cpu.augment_common import bytes_contiguous, chunk_of, nearest_bits
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.lanes import load_bytes, store_bytes
from numbanet.kernels.cpu.simd.masks import floor
from numbanet.kernels.cpu.simd.pointers import F64, INT64, U8
from numbanet.kernels.cpu.simd.vector import lane_sum, select, splat, to_float

RED, GREEN, BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)
ZERO, ONE, MOST = np.float32(0), np.float32(1), np.float32(255)
TWO, THREE, FOUR, FIVE, SIX = (np.float32(n) for n in range(2, 7))
SIXTH = np.float32(1 / 6)
TO_BYTE = np.float32(255.999)
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


class Grey(NamedTuple):
    """Pictures (n, 3, area); those with a number other than 0 become grey."""

    pictures: U8
    chosen: INT64
    area: I64_FIELD


class Jitter(NamedTuple):
    """Pictures (n, channels, area), and of each four factors and four numbers of changes, −1 for none."""

    pictures: U8
    factors: F64
    orders: INT64
    channels: I64_FIELD
    area: I64_FIELD


@device_function
def grey(r, g, b):
    """The brightness of a colour, ITU-R 601, as float32."""
    return np.float32(r) * RED + np.float32(g) * GREEN + np.float32(b) * BLUE


@device_function
def byte(x):
    """A float32 cut off into 0 … 255."""
    return np.uint8(np.int32(min(max(x, ZERO), MOST)))


@device_function
def whole(x):
    """A float32 from 0 to 255 without its fraction."""
    return np.float32(np.int32(x))


@device_function
def pixels(x, i):
    """Sixteen bytes as float32."""
    return to_float(load_bytes(x, i, i + 8))


@device_function
def greys(r, g, b):
    """The brightness of sixteen colours."""
    return r * splat(RED) + g * splat(GREEN) + b * splat(BLUE)


@device_function
def wholes(x):
    """Sixteen float32 without their fractions."""
    return floor(x)


@device_function
def put_bytes(x, i, values):
    """Sixteen float32 cut off into bytes."""
    values = select(values < splat(ZERO), splat(ZERO), values)
    store_bytes(x, i, i + 8, nearest_bits(floor(select(values > splat(MOST), splat(MOST), values))))


@kernel(Grey)
def make_grey(start, stop, row, scratch):
    """All channels become the brightness; a task is a picture."""
    p = unpack(row, Grey)
    for n in range(start, stop):
        if p.chosen[n] != 0:
            r = p.pictures + n * 3 * p.area
            g, b = r + p.area, r + 2 * p.area
            whole_area = p.area // 16 * 16
            for i in range(0, whole_area, 16):
                values = greys(pixels(r, i), pixels(g, i), pixels(b, i))
                put_bytes(r, i, values)
                put_bytes(g, i, values)
                put_bytes(b, i, values)
            for i in range(whole_area, p.area):
                value = np.uint8(np.int32(grey(r[i], g[i], b[i])))
                r[i] = value
                g[i] = value
                b[i] = value
    return 0


@device_function
def blend(x, size, factor, rest):
    """x · factor + rest."""
    whole_size = size // 16 * 16
    for i in range(0, whole_size, 16):
        put_bytes(x, i, pixels(x, i) * splat(factor) + splat(rest))
    for i in range(whole_size, size):
        x[i] = byte(np.float32(x[i]) * factor + rest)


@device_function
def change_contrast(x, channels, area, factor, complement):
    """Away from the mean brightness."""
    total = np.int64(0)
    if channels == 3:
        whole_area = area // 16 * 16
        for i in range(0, whole_area, 16):
            values = greys(pixels(x, i), pixels(x, area + i), pixels(x, 2 * area + i))
            total += np.int64(lane_sum(wholes(values)))  # below 2¹², so exact
        for i in range(whole_area, area):
            total += np.int64(np.int32(grey(x[i], x[area + i], x[2 * area + i])))
    else:
        for i in range(area):
            total += np.int64(x[i])
    rest = np.float32(np.float64(total) / np.float64(area)) * complement
    blend(x, channels * area, factor, rest)


@device_function
def change_saturation(x, area, factor, complement):
    """Away from grey."""
    whole_area = area // 16 * 16
    for i in range(0, whole_area, 16):
        reds, greens, blues = pixels(x, i), pixels(x, area + i), pixels(x, 2 * area + i)
        rests = wholes(greys(reds, greens, blues)) * splat(complement)
        put_bytes(x, i, reds * splat(factor) + rests)
        put_bytes(x, area + i, greens * splat(factor) + rests)
        put_bytes(x, 2 * area + i, blues * splat(factor) + rests)
    for i in range(whole_area, area):
        r, g, b = x[i], x[area + i], x[2 * area + i]
        rest = whole(grey(r, g, b)) * complement
        x[i] = byte(np.float32(r) * factor + rest)
        x[area + i] = byte(np.float32(g) * factor + rest)
        x[2 * area + i] = byte(np.float32(b) * factor + rest)


@device_function
def channel_of_hue(sector, value, chroma):
    """One channel of a colour: value less chroma · max(0, min(k, 4 − k, 1)), k being the sector modulo 6."""
    k = sector - SIX if sector >= SIX else sector
    part = max(min(min(k, FOUR - k), ONE), ZERO)
    return np.uint8(np.int32((value - chroma * part) * TO_BYTE))


@device_function
def channels_of_hue(sector, value, chroma):
    """One channel of sixteen colours, as float32 from 0 to 255.999."""
    k = select(sector >= splat(SIX), sector - splat(SIX), sector)
    rest = splat(FOUR) - k
    part = select(k < rest, k, rest)
    part = select(part < splat(ONE), part, splat(ONE))
    part = select(part > splat(ZERO), part, splat(ZERO))
    return (value - chroma * part) * splat(TO_BYTE)


@device_function
def turn_sixteen(x, area, i, shift):
    """The hues of sixteen colours turned."""
    most, one, zero = splat(MOST), splat(ONE), splat(ZERO)
    r, g, b = pixels(x, i) / most, pixels(x, area + i) / most, pixels(x, 2 * area + i) / most
    value = select(r > g, r, g)
    value = select(value > b, value, b)
    least = select(r < g, r, g)
    chroma = value - select(least < b, least, b)
    divisor = select(chroma > zero, chroma, one)
    hue = (r - g) / divisor + splat(FOUR)
    hue = select(value == g, (b - r) / divisor + splat(TWO), hue)
    hue = select(value == r, (g - b) / divisor, hue)
    turn = hue * splat(SIXTH) + splat(shift)
    turn = select(turn < zero, turn + one, turn)
    turn = select(turn >= one, turn - one, turn)
    sector = turn * splat(SIX)
    put_bytes(x, i, channels_of_hue(sector + splat(FIVE), value, chroma))
    put_bytes(x, area + i, channels_of_hue(sector + splat(THREE), value, chroma))
    put_bytes(x, 2 * area + i, channels_of_hue(sector + one, value, chroma))


@device_function
def change_hue(x, area, shift):
    """Turned around the circle of colours by a share of it, from −½ to ½."""
    whole_area = area // 16 * 16
    for i in range(0, whole_area, 16):
        turn_sixteen(x, area, i, shift)
    for i in range(whole_area, area):
        r, g, b = np.float32(x[i]) / MOST, np.float32(x[area + i]) / MOST, np.float32(x[2 * area + i]) / MOST
        value = max(max(r, g), b)
        chroma = value - min(min(r, g), b)
        divisor = chroma if chroma > ZERO else ONE
        hue = (r - g) / divisor + FOUR
        hue = (b - r) / divisor + TWO if value == g else hue
        hue = (g - b) / divisor if value == r else hue
        turn = hue * SIXTH + shift
        turn = turn + ONE if turn < ZERO else turn
        turn = turn - ONE if turn >= ONE else turn
        sector = turn * SIX
        x[i] = channel_of_hue(sector + FIVE, value, chroma)
        x[area + i] = channel_of_hue(sector + THREE, value, chroma)
        x[2 * area + i] = channel_of_hue(sector + ONE, value, chroma)


@kernel(Jitter)
def jitter_colours(start, stop, row, scratch):
    """The four changes in the picture's own order; a task is a picture."""
    p = unpack(row, Jitter)
    size = p.channels * p.area
    for n in range(start, stop):
        x = p.pictures + n * size
        for at in range(4):
            change = p.orders[4 * n + at]
            given = p.factors[4 * n + max(change, 0)]
            factor, complement = np.float32(given), np.float32(np.float64(1) - given)
            if change == BRIGHTNESS:
                blend(x, size, factor, ZERO)
            elif change == CONTRAST:
                change_contrast(x, p.channels, p.area, factor, complement)
            elif change == SATURATION and p.channels == 3:
                change_saturation(x, p.area, factor, complement)
            elif change == HUE and p.channels == 3:
                change_hue(x, p.area, factor)
    return 0


def grey_pictures(program, pictures, chosen):
    reason = bytes_contiguous(pictures)
    n, channels, height, width = pictures.shape
    if reason is None and channels == 3:
        args = Grey(pictures, chosen, height * width)
        program.append(make_grey, n, args, chunk=chunk_of(channels * height * width))
    return reason


def jitter_pictures(program, pictures, factors, orders):
    reason = bytes_contiguous(pictures)
    if reason is None:
        n, channels, height, width = pictures.shape
        args = Jitter(pictures, factors, orders, channels, height * width)
        program.append(jitter_colours, n, args, chunk=chunk_of(channels * height * width))
    return reason


FUNCTIONS = (grey_pictures, jitter_pictures)
