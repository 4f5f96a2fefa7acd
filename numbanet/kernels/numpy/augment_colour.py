"""Augmentations of colour, in float32 as torchvision computes them."""

from __future__ import annotations

import numpy as np

_RED, _GREEN, _BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)
_ZERO, _ONE, _MOST = np.float32(0), np.float32(1), np.float32(255)


def _grey(picture):
    """The brightness (height, width) of a picture (3, height, width), as whole float32 numbers."""
    r, g, b = picture.astype(np.float32)
    return np.trunc(r * _RED + g * _GREEN + b * _BLUE)


def _bytes(values):
    """Clipped and cut off."""
    return np.clip(values, _ZERO, _MOST).astype(np.uint8)


def grey_pictures(pictures, chosen):
    if pictures.shape[1] == 3:
        for i in np.flatnonzero(chosen):
            pictures[i] = _grey(pictures[i])


def _brightness(picture, factor):
    return _bytes(picture.astype(np.float32) * np.float32(factor))


def _contrast(picture, factor):
    mean = np.float32((_grey(picture) if len(picture) == 3 else picture).mean(dtype=np.float64))
    return _bytes(picture.astype(np.float32) * np.float32(factor) + mean * np.float32(1 - factor))


def _saturation(picture, factor):
    if len(picture) != 3:
        return picture
    return _bytes(picture.astype(np.float32) * np.float32(factor) + _grey(picture) * np.float32(1 - factor))


def _hue(picture, shift):
    if len(picture) != 3:
        return picture
    r, g, b = colours = picture.astype(np.float32) / _MOST
    value = colours.max(0)
    chroma = value - colours.min(0)
    divisor = np.where(chroma > 0, chroma, _ONE)
    hue = np.where(value == g, (b - r) / divisor + np.float32(2), (r - g) / divisor + np.float32(4))
    hue = np.where(value == r, (g - b) / divisor, hue)
    turn = hue * np.float32(1 / 6) + np.float32(shift)
    turn = np.where(turn < 0, turn + _ONE, turn)
    turn = np.where(turn >= 1, turn - _ONE, turn)
    sector = turn * np.float32(6) + np.float32([5, 3, 1])[:, None, None]
    k = np.where(sector >= 6, sector - np.float32(6), sector)
    part = np.maximum(np.minimum(np.minimum(k, np.float32(4) - k), _ONE), _ZERO)
    return ((value - chroma * part) * np.float32(255.999)).astype(np.uint8)


_CHANGES = (_brightness, _contrast, _saturation, _hue)


def jitter_pictures(pictures, factors, orders):
    for picture, own_factors, order in zip(pictures, factors, orders.tolist(), strict=True):
        for change in order:
            if change >= 0:
                picture[...] = _CHANGES[change](picture, own_factors[change])
