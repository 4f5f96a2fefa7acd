"""Augmentations of colour: pictures uint8 (n, channels, height, width), each with its own numbers."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare(writes=("pictures",))
def grey_pictures(pictures, chosen):
    """All three channels = floor(0.2989·r + 0.587·g + 0.114·b) where chosen (n,) int64 is not 0; in place.

    Pictures of another number of channels stay."""


@declare(writes=("pictures",))
def jitter_pictures(pictures, factors, orders):
    """The changes that orders (n, 4) int64 names, one after the other, in place, of pictures of 1 or 3 channels;
    factors (n, 4) float64 by change.

    0 brightness: x·f. 1 contrast: x·f + m·(1 − f), m the mean of the brightnesses. 2 saturation: x·f + g·(1 − f), g the
    brightness of the pixel. 3 hue: turned by f turns in HSV. −1 nothing. Each is clipped and cut off to a byte."""
