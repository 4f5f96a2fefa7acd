"""Augmentations: pictures of bytes moved, warped, filtered, with noise, and converted. Arithmetic is float32 where the
result would otherwise depend on the back end."""

from __future__ import annotations

import math

import numpy as np

from numbanet.kernels import philox

_ONE, _HALF = np.float32(1), np.float32(0.5)


# --- random numbers by sample -----------------------------------------------------------------------------------------
def _words(samples, count, seed, stream, epoch):
    """(n, count) words, without their lowest 8 bits."""
    blocks = -(-count // 4)
    counter = np.empty((len(samples), blocks, 4), np.uint32)
    counter[..., 0] = np.arange(blocks)
    counter[..., 1] = samples[:, None].astype(np.uint32)
    counter[..., 2] = stream
    counter[..., 3] = epoch
    words = philox.philox4x32(counter.reshape(-1, 4), (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF))
    return words.reshape(len(samples), 4 * blocks)[:, :count] >> np.uint32(8)


def sample_numbers(out, samples, seed, stream, epoch):
    out[...] = _words(samples, out.shape[1], seed, stream, epoch).astype(np.float32) * np.float32(2.0**-24)


# --- moving pixels ----------------------------------------------------------------------------------------------------
def _folded(i, n, border):
    if border == "edge" or n == 1:
        return np.clip(i, 0, n - 1)
    if border == "reflect":
        i = i % (2 * n - 2)
        return np.where(i < n, i, 2 * n - 2 - i)
    i = i % (2 * n)
    return np.where(i < n, i, 2 * n - 1 - i)


def _gather(x, rows, columns):
    """x (n, channels, height, width) at rows and columns (n, out_height, out_width), which lie inside."""
    n, channels, height, width = x.shape
    places = (rows * width + columns).reshape(n, 1, rows[0].size if n else 0)
    flat = x.reshape(n, channels, height * width)
    return np.take_along_axis(flat, places, 2).reshape(n, channels, *rows.shape[1:])


def _inside(rows, columns, height, width):
    return (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)


def move_pictures(out, x, maps, fill, border):
    height, width = x.shape[2:]
    i, j = np.arange(out.shape[2])[:, None], np.arange(out.shape[3])
    a, b, c, d, e, f = maps.T[:, :, None, None]
    rows, columns = a * i + b * j + c, d * i + e * j + f
    if border == "constant":
        inside = _inside(rows, columns, height, width)
        rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
        out[...] = np.where(inside[:, None], _gather(x, rows, columns), np.uint8(fill))
    else:
        out[...] = _gather(x, _folded(rows, height, border), _folded(columns, width, border))


def erase_pictures(pictures, boxes, fill):
    for picture, box in zip(pictures, np.maximum(boxes, 0).tolist(), strict=True):
        top, left, bottom, right = box
        picture[:, top:bottom, left:right] = fill


# --- pixels between pixels --------------------------------------------------------------------------------------------
def warp_pictures(out, x, matrices, fill, bilinear):
    height, width = x.shape[2:]
    middle_x, middle_y = np.float32(width - 1) * _HALF, np.float32(height - 1) * _HALF
    u = np.arange(width, dtype=np.float32) - middle_x
    v = (np.arange(height, dtype=np.float32) - middle_y)[:, None]
    a, b, c, d, e, f = matrices.astype(np.float32).T[:, :, None, None]
    columns, rows = a * u + (b * v + c + middle_x), d * u + (e * v + f + middle_y)
    if not bilinear:
        rows, columns = np.rint(rows).astype(np.int64), np.rint(columns).astype(np.int64)
        inside = _inside(rows, columns, height, width)
        values = _gather(x, np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1))
        out[...] = np.where(inside[:, None], values, np.uint8(fill))
        return
    top, left = np.floor(rows), np.floor(columns)
    below, right = rows - top, columns - left
    top, left = top.astype(np.int64), left.astype(np.int64)
    value, share = np.float32(0), np.float32(0)
    for row, column, weight in (
        (top, left, (_ONE - below) * (_ONE - right)),
        (top, left + 1, (_ONE - below) * right),
        (top + 1, left, below * (_ONE - right)),
        (top + 1, left + 1, below * right),
    ):
        inside = _inside(row, column, height, width)[:, None]
        pixels = _gather(x, np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)).astype(np.float32)
        value = value + np.where(inside, pixels, np.float32(0)) * weight[:, None]
        share = share + inside * weight[:, None]
    whole = _inside(top, left, height - 1, width - 1)[:, None]
    mixed = (value - np.float32(fill)) * share + np.float32(fill)
    out[...] = np.rint(np.where(whole, value, mixed))
    unchanged = (matrices == np.float32([1, 0, 0, 0, 1, 0])).all(1)
    out[unchanged] = x[unchanged]


def _source(out_size, in_size):
    """The pixel before and after each of ``out_size`` places among ``in_size`` pixels, and the weight of the latter."""
    at = (np.arange(out_size, dtype=np.float32) + _HALF) * (np.float32(in_size) / np.float32(out_size)) - _HALF
    at = np.maximum(at, np.float32(0))
    first = at.astype(np.int64)
    return first, np.minimum(first + 1, in_size - 1), at - first.astype(np.float32)


def resize_pictures(out, x, boxes):
    for result, picture, (top, left, height, width) in zip(out, x, boxes.tolist(), strict=True):
        box = picture[:, top : top + height, left : left + width].astype(np.float32)
        above, below, weight = _source(x.shape[2], height)
        lines = box[:, above] * (_ONE - weight)[:, None] + box[:, below] * weight[:, None]
        first, second, weight = _source(x.shape[3], width)
        result[...] = np.rint(lines[:, :, first] * (_ONE - weight) + lines[:, :, second] * weight)


# --- filters ----------------------------------------------------------------------------------------------------------
def blur_pictures(out, x, weights):
    height, width = x.shape[2:]
    taps = weights.shape[1]
    radius = taps // 2
    rows, columns = (_folded(np.arange(-radius, size + radius), size, "reflect") for size in (height, width))
    lines, total = 0, 0
    for k in range(taps):
        lines = lines + x[:, :, rows[k : k + height]].astype(np.float32) * weights[:, k, None, None, None]
    for k in range(taps):
        total = total + lines[..., columns[k : k + width]] * weights[:, k, None, None, None]
    out[...] = np.rint(total)
    unchanged = weights[:, radius] == _ONE
    out[unchanged] = x[unchanged]


def sobel_pictures(out, x, chosen):
    padded = np.pad(x.astype(np.int32), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    smooth_rows = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    smooth_columns = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    across = smooth_rows[..., 2:] - smooth_rows[..., :-2]
    down = smooth_columns[:, :, 2:] - smooth_columns[:, :, :-2]
    edges = np.rint(np.sqrt((across**2 + down**2).astype(np.float32) * np.float32(1 / 32)))
    out[...] = np.where(chosen[:, None, None, None] != 0, edges.astype(np.uint8), x)


# --- noise, and the way to float32 ------------------------------------------------------------------------------------
def noise_pictures(pictures, samples, amounts, seed, stream, epoch):
    n, size = len(pictures), math.prod(pictures.shape[1:])
    pairs = -(-size // 2)
    u = _words(samples, 2 * pairs, seed, stream, epoch).reshape(n, pairs, 2) * 2.0**-24
    radius, angle = np.sqrt(-2 * np.log1p(-u[..., 0])), 2 * np.pi * u[..., 1]
    z = (
        np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
        .reshape(n, 2 * pairs)[:, :size]
        .astype(np.float32)
    )
    noise = (amounts[:, :1] + amounts[:, 1:] * z).astype(np.int32).reshape(pictures.shape)
    pictures[...] = np.clip(pictures.astype(np.int32) + noise, 0, 255)


def normalise_pictures(out, x, scale, shift):
    np.copyto(out, x)
    out *= scale[:, None, None]
    out += shift[:, None, None]
