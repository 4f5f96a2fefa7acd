"""Packing a band: some rows of some channels of a picture, zero-padded, row after row."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.vector import load, load_first, splat, store

SLACK = 64
"""float32 behind a band: a vector at the last position reads up to here."""


@device_function
def pack_band(out, x, channels, height, width, first, rows, pitch, pad_y, pad_x):
    """out[c][row][column] = x[c][first + row − pad_y][column − pad_x], zero outside x (channels, height, width).

    A row has ``pitch`` columns. Slack of zeros ends the band.
    """
    zero = splat(np.float32(0))
    begin, end = max(pad_x, 0), max(min(pad_x + width, pitch), 0)  # columns that come from x
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
            for i in range(0, begin, 16):
                store(target, i, zero)
            # Whole vectors may read on into the rows behind, as long as there are some.
            readable = ((channels - channel) * height - y) * width
            whole = end if begin - pad_x + (end - begin + 15) // 16 * 16 <= readable else end - 15
            i = begin
            while i < whole:
                store(target, i, load(source, i))
                i += 16
            if i < end:
                store(target, i, load_first(source, i, end - i))
            for i in range(end, pitch, 16):
                store(target, i, zero)
    for i in range(0, SLACK, 16):
        store(out, channels * rows * pitch + i, zero)
