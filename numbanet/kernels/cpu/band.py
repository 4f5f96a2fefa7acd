"""Packing a band: some rows of some channels of a picture, zero-padded, row after row."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.vector import load, load_between, splat, store

SLACK = 64
"""float32 behind a band: a vector at the last position reads up to here."""


@device_function
def pack_band(out, x, channels, height, width, first, rows, pitch, pad_y, pad_x):
    """out[c][row][column] = x[c][first + row − pad_y][column − pad_x], zero outside x (channels, height, width).

    A row has ``pitch`` columns. Slack of zeros ends the band.
    """
    zero = splat(np.float32(0))
    for channel in range(channels):
        for row in range(rows):
            target = out + (channel * rows + row) * pitch
            y = first + row - pad_y
            # Whole vectors: what runs over the end of a row is overwritten by the next row, or by the slack.
            if y < 0 or y >= height:
                for i in range(0, pitch, 16):
                    store(target, i, zero)
                continue
            source = x + ((channel * height + y) * width - pad_x)
            for i in range(0, pitch, 16):
                if i >= pad_x and i + 16 <= pad_x + width:
                    store(target, i, load(source, i))
                else:
                    store(target, i, load_between(source, i, pad_x - i, pad_x + width - i))
    for i in range(0, SLACK, 16):
        store(out, channels * rows * pitch + i, zero)
