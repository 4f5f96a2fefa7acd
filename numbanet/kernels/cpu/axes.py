"""Which elements of a strided array a reduction puts together: its axes, collapsed to three kinds.

After axes of extent 1 are dropped and neighbours of one kind that lie in one run are merged, a reduction is
out[o(, j)] = Σ over r (and j) of x[outer(o) + reduced(r) + j]: j runs over an axis whose elements lie side by side. If
j is reduced, the work goes by *rows*; if it is kept, by *columns*. outer and reduced are offsets: of one axis (a
stride), or of several (a table of int64).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from numbanet.kernels.array import Array
from numbanet.kernels.numpy import share

MOST_OFFSETS = 1 << 16
"""Entries of a table of offsets: a longer one costs as much memory traffic as a contiguous copy of x."""


class Axis(NamedTuple):
    """One collapsed axis."""

    reduced: bool
    extent: int
    stride: int


class Offsets(NamedTuple):
    """Offsets of ``count`` lines: i · stride, or the entries of a table (int64)."""

    count: int
    stride: int
    table: Array | None


class Form(NamedTuple):
    """A reduction as outer · reduced lines of ``inner`` elements; ``by_rows``: the inner axis is reduced too."""

    outer: Offsets
    reduced: Offsets
    inner: int
    by_rows: bool


def collapse(shape: tuple[int, ...], strides: tuple[int, ...], axes: tuple[int, ...]) -> list[Axis]:
    """The axes without those of extent 1; neighbours of one kind are one axis where their strides allow it."""
    found: list[Axis] = []
    for axis, (extent, stride) in enumerate(zip(shape, strides, strict=True)):
        if extent == 1:
            continue
        reduced = axis in axes
        if found and found[-1].reduced == reduced and found[-1].stride == stride * extent:
            found[-1] = Axis(reduced, found[-1].extent * extent, stride)
        else:
            found.append(Axis(reduced, extent, stride))
    return found


@functools.lru_cache(maxsize=512)
def form_of(shape: tuple[int, ...], strides: tuple[int, ...], axes: tuple[int, ...]) -> Form | None:
    """The layout of a reduction over axes; None where no axis lies in one run, or a table would be too long."""
    found = collapse(shape, strides, axes)
    inner = next((axis for axis in found if axis.reduced and axis.stride == 1), None)
    by_rows = inner is not None or not found or all(axis.reduced for axis in found)
    if not by_rows:
        kept = [axis for axis in found if not axis.reduced]
        inner = kept[-1] if kept[-1].stride == 1 else None
    if inner is None and found:
        return None
    rest = [axis for axis in found if axis is not inner]
    outer = [axis for axis in rest if not axis.reduced]
    reduced = [axis for axis in rest if axis.reduced]
    for lines in (outer, reduced):
        if len(lines) > 1 and math.prod(axis.extent for axis in lines) > MOST_OFFSETS:
            return None
    return Form(_offsets(outer), _offsets(reduced), inner.extent if inner else 1, by_rows)


def _offsets(lines: list[Axis]) -> Offsets:
    if not lines:
        return Offsets(1, 0, None)
    if len(lines) == 1:
        return Offsets(lines[0].extent, lines[0].stride, None)
    table = np.zeros((), np.int64)
    for axis in lines:
        table = np.add.outer(table, axis.stride * np.arange(axis.extent))
    return Offsets(table.size, 0, share(None, table.reshape(-1)))
