"""Sixteen planes in the lanes of a vector: how bands of planes get into scratch memory and back.

Whatever a window looks like, a pool of sixteen planes is the same for all of them. So a task takes sixteen planes,
transposes a band of their lines (band[place · 16 + lane]), pools it with loops that read like the definition, and
transposes the results back. Every load and store is a whole vector: no masks, no shuffles, no columns at a border.
"""

from __future__ import annotations

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.lanes import copy_bytes, transpose_bytes, transpose_eight

PLANES = 16


@device_function
def gather_planes(band, x, size, count, planes, available):
    """band[i · 16 + lane] = x[lane · size + i] for i < count; lanes from ``planes`` on repeat the last one before.

    x[available] and what follows is not read; band has room for a multiple of 16 places."""
    upper = min(8, planes - 1)
    if count >= 8 or 8 + (planes - 1) * size <= available:
        for i in range(0, count, 8):
            begin = min(i, max(count - 8, 0))  # the last block begins so that it ends with the band
            transpose_eight(band + begin * 16, 16, x + begin, size, min(planes, 8))
            transpose_eight(band + (begin * 16 + 8), 16, x + (begin + upper * size), size, planes - upper)
    else:
        for i in range(count):
            for lane in range(PLANES):
                band[i * 16 + lane] = x[min(lane, planes - 1) * size + i]


@device_function
def scatter_planes(x, size, count, planes, band, spare):
    """x[lane · size + i] = band[i · 16 + lane] for i < count and lane < planes; spare has room for 256 elements."""
    whole = planes
    if count < 8:  # what is too much the next plane overwrites, if there is one
        whole = max(planes - 7 // size, 0) if count == size else 0
    for i in range(0, count, 8):
        begin = min(i, max(count - 8, 0))
        for half in range(0, planes, 8):
            if whole >= half + 8:
                transpose_eight(x + (half * size + begin), size, band + (begin * 16 + half), 16, 8)
            else:
                transpose_eight(spare, 8, band + (begin * 16 + half), 16, 8)
                for lane in range(half, min(half + 8, planes)):
                    for j in range(min(count, 8)):
                        x[lane * size + begin + j] = spare[(lane - half) * 8 + j]


@device_function
def gather_bytes(band, x, size, count, planes, available):
    """As gather_planes for bytes; lanes from ``planes`` on hold anything."""
    if planes == PLANES and (count >= 16 or 16 + 15 * size <= available):
        for i in range(0, count, 16):
            begin = min(i, max(count - 16, 0))
            transpose_bytes(band + begin * 16, 16, x + begin, size)
    else:
        for lane in range(planes):
            for i in range(count):
                band[i * 16 + lane] = x[lane * size + i]


@device_function
def scatter_bytes(x, size, count, planes, band, spare):
    """As scatter_planes for bytes."""
    if planes == PLANES and count >= 16:
        for i in range(0, count, 16):
            begin = min(i, count - 16)
            transpose_bytes(x + begin, size, band + begin * 16, 16)
        return
    whole = 0
    if planes == PLANES and count == size:  # what is too much the next plane overwrites
        transpose_bytes(spare, 16, band, 16)
        whole = max(planes - 15 // size, 0)
        for lane in range(whole):
            copy_bytes(x, lane * size, spare, lane * 16)
    for lane in range(whole, planes):
        for i in range(count):
            x[lane * size + i] = band[i * 16 + lane]
