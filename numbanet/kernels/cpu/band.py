"""Packing a band of a picture for a convolution, and the tables of offsets with which the tiles walk over it.

A band is what some rows of output need of the input: zero-padded, with the columns split by their phase modulo the
stride, so that neighbours in the output are neighbours in memory whatever the stride. A tap (channel, ky, kx) is then
one offset into the band, an output position another, and the convolution a product over both.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from numbanet.kernels.array import Array, Storage
from numbanet.kernels.contract import Pair
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.vector import load_between, splat, store

SLACK = 64
"""float32 behind a band: a vector at the last position reads up to here."""


@dataclass(frozen=True)
class Window:
    """The geometry of a convolution: out (out_height, out_width) over x (height, width)."""

    height: int
    width: int
    out_height: int
    out_width: int
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    @property
    def phase_width(self) -> int:
        """Columns of one phase of a packed row."""
        reach = (self.out_width - 1) * self.stride[1] + (self.kernel[1] - 1) * self.dilation[1] + 1
        return -(-reach // self.stride[1])

    @property
    def pitch(self) -> int:
        """Elements of a packed row: all phases of the columns."""
        return self.phase_width * self.stride[1]

    def band_rows(self, out_rows: int) -> int:
        """Packed rows that out_rows rows of output need."""
        return (out_rows - 1) * self.stride[0] + (self.kernel[0] - 1) * self.dilation[0] + 1

    def tap_offsets(self, channels: int, band_rows: int) -> np.ndarray:
        """Offset of each tap (channel, ky, kx) in a packed band, int32."""
        plane = band_rows * self.pitch
        channel = np.arange(channels)[:, None, None] * plane
        ky = np.arange(self.kernel[0])[:, None] * (self.dilation[0] * self.pitch)
        x = np.arange(self.kernel[1]) * self.dilation[1]
        kx = x % self.stride[1] * self.phase_width + x // self.stride[1]
        return (channel + ky + kx).astype(np.int32).ravel()


def table(values: np.ndarray) -> Array:
    """A constant table of offsets as an Array that kernels can point to."""
    values = np.ascontiguousarray(values)
    flat = values.view(np.uint8).reshape(-1)
    return Array(Storage(None, flat, values.ctypes.data, values.nbytes), values.shape, values.dtype)


@functools.lru_cache(maxsize=512)
def tap_table(window: Window, channels: int, band_rows: int, every: int = 1, multiple: int = 1) -> Array:
    """The offsets of every ``every``-th tap, the last repeated up to a multiple of ``multiple``."""
    taps = window.tap_offsets(channels, band_rows)[::every]
    return table(np.pad(taps, (0, -taps.size % multiple), mode="edge"))


@device_function
def pack_band(out, x, channels, height, width, first, rows, phase_width, phases, pad_y, pad_x):
    """out[c][row][phase][column] = the padded picture x (channels, height, width) from padded row ``first`` on.

    Padded row Y holds row Y − pad_y of x where there is one, else zeros; likewise the columns, of which X goes to phase
    X mod phases at X div phases. Slack of zeros ends the band.
    """
    pitch = phases * phase_width
    zero = splat(np.float32(0))
    for channel in range(channels):
        for row in range(rows):
            target = out + (channel * rows + row) * pitch
            y = first + row - pad_y
            inside = y >= 0 and y < height
            source = x + (channel * height + (y if inside else 0)) * width
            # Whole vectors: what runs over the end of a row is overwritten by the next row, or by the slack.
            if inside and phases == 1:
                for i in range(0, pitch, 16):
                    store(target, i, load_between(source, i - pad_x, pad_x - i, pad_x + width - i))
                continue
            for i in range(0, pitch, 16):
                store(target, i, zero)
            if inside:
                for column in range(width):
                    place = column + pad_x
                    if place >= 0 and place < pitch:
                        target[place % phases * phase_width + place // phases] = source[column]
    for i in range(0, SLACK, 16):
        store(out, channels * rows * pitch + i, zero)
