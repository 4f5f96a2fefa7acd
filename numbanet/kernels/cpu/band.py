"""Packing a band: some rows of some channels of a picture, zero-padded, row after row."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.prefetch import prefetch
from numbanet.kernels.cpu.simd.vector import load, load_first, splat, store

SLACK = 64
"""float32 behind a band: a vector at the last position reads up to here."""


@device_function
def pack_band(out, x, channels, height, width, first, rows, row_step, pitch, pad_y, pad_x):
    """out[c][row][column] = x[c][first + row · row_step − pad_y][column − pad_x] of x (channels, height, width).

    Outside x are zeros. A row has ``pitch`` columns. Slack of zeros ends the band.
    """
    # Whole vectors: what runs over the end of a row is overwritten by the next row, or by the slack. So the zeros that
    # end a row begin the next one as well.
    zero = splat(np.float32(0))
    begin, end = max(pad_x, 0), max(min(pad_x + width, pitch), 0)  # columns that come from x
    for i in range(0, begin, 16):
        store(out, i, zero)
    gap = pitch - end + begin
    reach = begin - pad_x + (end - begin + 15) // 16 * 16
    for channel in range(channels):
        for row in range(rows):
            target = out + (channel * rows + row) * pitch
            y = first + row * row_step - pad_y
            if y < 0 or y >= height:
                for i in range(begin, pitch + begin, 16):
                    store(target, i, zero)
                continue
            source = x + ((channel * height + y) * width - pad_x)
            # Vectors may read on into the rows behind, as long as there are some.
            whole = end if reach <= ((channels - channel) * height - y) * width else end - 15
            i = begin
            while i < whole:
                prefetch(source, height * width + i)  # the same place of the next channel, or picture
                store(target, i, load(source, i))
                i += 16
            if i < end:
                store(target, i, load_first(source, i, end - i))
            if gap <= 4:
                for i in range(end, end + gap):
                    target[i] = np.float32(0)
            else:
                for i in range(end, end + gap, 16):
                    store(target, i, zero)
    for i in range(0, SLACK, 16):
        store(out, channels * rows * pitch + i, zero)
