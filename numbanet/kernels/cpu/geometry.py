"""Where a convolution finds its operands: bands of pictures, and the tables of offsets with which tiles walk over them.

A *band* is the part of some input channels that some rows of output need, zero-padded and row-major (``band.py`` packs
it). A *tap* (channel, ky, kx) is one offset into it, an output *position* another, and

    out[o, position] = Σ_tap weight[o, tap] · band[tap + position]

whatever the stride, the padding and the dilation. The gradient for the input has the same form with the gradient as
the picture: the input positions that agree modulo the stride (a *segment*) share their taps, so nothing is multiplied
that a spread-out gradient would only hold zeros for. A forward convolution is one segment.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numbanet.kernels.array import Array, Storage
from numbanet.kernels.contract import Pair

CHAIN_TAPS = 256
"""Taps of a chain, about, before it is added to the sum: a block of channels. A constant, because the bits depend on
it; its weights for 16 output channels fill half of the first-level cache."""


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
    def area(self) -> int:
        """Taps of a channel."""
        return self.kernel[0] * self.kernel[1]

    @property
    def out_size(self) -> Pair:
        """Height and width of the output."""
        return self.out_height, self.out_width

    @property
    def positions(self) -> int:
        """Output positions of a picture."""
        return self.out_height * self.out_width


@dataclass(frozen=True)
class Axis:
    """One axis of a walk: ``size`` positions in ``phases`` classes over a band.

    Class p holds the positions p, p + phases, …; the j-th of them begins at step · j in the band, and its taps are
    ``taps[p]``: pairs (offset in the band, place in the filter) in the order of the offsets. Band element 0 is
    element −pad of the source, and a band for the positions from phases · j on begins step · j later."""

    size: int
    phases: int
    step: int
    pad: int
    reach: int
    kernel: int
    taps: tuple[tuple[tuple[int, int], ...], ...]

    def extent(self, count: int) -> int:
        """Band elements that the first ``count`` positions need."""
        return (-(-count // self.phases) - 1) * self.step + self.reach


class Line(NamedTuple):
    """One axis: of each position the place of its band in the source and the number of its kind, and the kinds: the
    taps (offset, place in the filter) that meet the source."""

    places: np.ndarray
    kinds: np.ndarray
    taps: list[tuple[tuple[int, int], ...]]


@functools.lru_cache(maxsize=512)
def line_of(axis: Axis, extent: int) -> Line:
    """The positions of an axis over a source of this extent."""
    places, kinds, found = [], [], {}
    for position in range(axis.size):
        place = position // axis.phases * axis.step - axis.pad
        taps = tuple(tap for tap in axis.taps[position % axis.phases] if 0 <= place + tap[0] < extent)
        places.append(place)
        kinds.append(found.setdefault(taps, len(found)))
    return Line(np.array(places), np.array(kinds), list(found))


def tap_counts(axis: Axis, extent: int) -> tuple[float, float]:
    """Taps of a position on average, and those of them that meet a source of this extent."""
    line = line_of(axis, extent)
    met = np.array([len(taps) for taps in line.taps])[line.kinds]
    return float(np.mean([len(axis.taps[y % axis.phases]) for y in range(axis.size)])), float(met.mean())


def forward_axis(size: int, kernel: int, stride: int, padding: int, dilation: int) -> Axis:
    """The axis of a convolution with ``size`` outputs."""
    taps = tuple((k * dilation, k) for k in range(kernel))
    return Axis(size, 1, stride, padding, (kernel - 1) * dilation + 1, kernel, (taps,))


def gradient_axis(size: int, kernel: int, stride: int, padding: int, dilation: int) -> Axis:
    """The axis of the gradient for an input of ``size``: input y meets output (y + padding − k·dilation) / stride."""
    phases = min(stride, size)
    found = []
    for phase in range(phases):
        reaches = [(phase + padding - k * dilation, k) for k in range(kernel)]
        found.append(sorted((at // stride, k) for at, k in reaches if at % stride == 0))
    offsets = [at for taps in found for at, _ in taps]
    first, last = min(offsets, default=0), max(offsets, default=0)
    taps = tuple(tuple((at - first, k) for at, k in taps) for taps in found)
    return Axis(size, phases, 1, -first, last - first + 1, kernel, taps)


@dataclass(frozen=True)
class Walk:
    """The two axes of a convolution or of its gradient."""

    rows: Axis
    columns: Axis

    @property
    def pitch(self) -> int:
        """Elements of a row of the band."""
        return self.columns.extent(self.columns.size)

    @property
    def segments(self) -> list[tuple[int, int]]:
        """The pairs of phases."""
        return [(y, x) for y in range(self.rows.phases) for x in range(self.columns.phases)]

    def band_rows(self, out_rows: int) -> int:
        """Rows of the band that ``out_rows`` rows of output need."""
        return self.rows.extent(out_rows)

    def places(self, segment: tuple[int, int], out_rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Of each position of a segment, by rows: its offset in the band, and its number among all positions."""
        (py, px), rows, columns = segment, self.rows, self.columns
        y, x = np.arange(py, out_rows, rows.phases), np.arange(px, columns.size, columns.phases)
        offset = (y // rows.phases * rows.step * self.pitch)[:, None] + x // columns.phases * columns.step
        return offset.ravel(), (y[:, None] * columns.size + x).ravel()

    def taps(self, segment: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Of each tap of one channel for a segment: its offset in the band, and its place ky · kernel_x + kx."""
        ys, xs = self.rows.taps[segment[0]], self.columns.taps[segment[1]]
        offsets = [y * self.pitch + x for y, _ in ys for x, _ in xs]
        places = [ky * self.columns.kernel + kx for _, ky in ys for _, kx in xs]
        return np.array(offsets, np.int64), np.array(places, np.int64)


@functools.lru_cache(maxsize=512)
def forward_walk(window: Window) -> Walk:
    """How a convolution walks over its input."""
    sizes = (window.out_height, window.out_width)
    return Walk(*_axes(forward_axis, sizes, window))


@functools.lru_cache(maxsize=512)
def gradient_walk(window: Window) -> Walk:
    """How the gradient for the input of a convolution walks over the gradient of its output."""
    return Walk(*_axes(gradient_axis, (window.height, window.width), window))


def _axes(make, sizes: Pair, window: Window):
    settings = zip(sizes, window.kernel, window.stride, window.padding, window.dilation, strict=True)
    return [make(*axis) for axis in settings]


def channel_block(area: int) -> int:
    """Channels of a chain: their taps are CHAIN_TAPS, about."""
    return max(1, CHAIN_TAPS // area)


def table(values: np.ndarray, dtype: type = np.int32) -> Array:
    """A constant table as an Array that kernels can point to."""
    values = np.ascontiguousarray(values, dtype)
    flat = values.view(np.uint8).reshape(-1)
    return Array(Storage(None, flat, values.ctypes.data, values.nbytes), values.shape, values.dtype)
