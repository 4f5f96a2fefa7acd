"""Positions of a convolution that meet the same taps: who multiplies them together multiplies nothing with padding.

In pictures of 7 × 7 a fifth of what 3 × 3 filters multiply would be zeros of the padding, in those of 14 × 14 a tenth.
Positions at an edge are few, though, and a tile of them may be half empty: of the ways to part them (by rows, by
columns, by both or not at all) the cheapest is taken.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from numbanet.kernels.contract import Pair
from numbanet.kernels.cpu.geometry import Axis, Walk, line_of

TILE_TAPS = 0.25
"""What a tile costs beside its multiply-adds, in taps of all channels."""


class Part(NamedTuple):
    """Some positions of a segment: their offsets in the band, their numbers among all positions, and which of the
    segment's taps they need."""

    offsets: np.ndarray
    numbers: np.ndarray
    taps: np.ndarray


class _Run(NamedTuple):
    """Positions of an axis, and which of the taps of their class they need."""

    positions: list[int]
    taps: list[int]


def _runs(axis: Axis, phase: int, size: int, extent: int, parted: bool) -> list[_Run]:
    """The positions of a class below ``size``, all in one run or parted by the taps that meet the source."""
    positions, taps = range(phase, size, axis.phases), axis.taps[phase]
    if not parted:
        return [_Run(list(positions), list(range(len(taps))))]
    line, runs = line_of(axis, extent), {}
    for position in positions:
        runs.setdefault(int(line.kinds[position]), []).append(position)
    return [_Run(found, [taps.index(tap) for tap in line.taps[kind]]) for kind, found in runs.items()]


def _cost(rows: list[_Run], columns: list[_Run], pictures: int, tile: int) -> float:
    """What all tiles of so many positions cost, in taps of all channels."""
    return sum(
        -(-pictures * len(y.positions) * len(x.positions) // tile) * (len(y.taps) * len(x.taps) + TILE_TAPS)
        for y, x in itertools.product(rows, columns)
    )


def parts_of(walk: Walk, segment: Pair, size: Pair, out_rows: int, pictures: int, tile: int) -> list[Part]:
    """The parts of a segment's positions in a band of ``out_rows`` rows of each of so many pictures, whose sources have
    this size; a band of several is not parted, for others of them meet the padding elsewhere."""
    ways = [(False, False)]
    if out_rows >= walk.rows.size:
        ways += [(True, False), (False, True), (True, True)]
    found = [
        (
            _runs(walk.rows, segment[0], out_rows, size[0], by_rows),
            _runs(walk.columns, segment[1], walk.columns.size, size[1], by_columns),
        )
        for by_rows, by_columns in ways
    ]
    rows, columns = min(found, key=lambda way: _cost(*way, pictures, tile))
    return [_part(walk, segment, y, x) for y, x in itertools.product(rows, columns)]


def _part(walk: Walk, segment: Pair, rows: _Run, columns: _Run) -> Part:
    y, x = np.array(rows.positions, np.int64)[:, None], np.array(columns.positions, np.int64)
    offset = y // walk.rows.phases * walk.rows.step * walk.pitch + x // walk.columns.phases * walk.columns.step
    across = len(walk.columns.taps[segment[1]])
    taps = np.array(rows.taps, np.int64)[:, None] * across + np.array(columns.taps, np.int64)
    return Part(offset.ravel(), (y * walk.columns.size + x).ravel(), taps.ravel())
