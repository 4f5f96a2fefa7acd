"""One block of memory for all temporary buffers: those that are never needed at once may lie over each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

ALIGNMENT = 64


class Lifetime(NamedTuple):
    """A buffer of ``nbytes`` bytes that is in use from level ``first`` to level ``last``, both included."""

    nbytes: int
    first: int
    last: int


class Layout(NamedTuple):
    """Where each buffer lies, and how large the arena is."""

    offsets: list[int]
    nbytes: int


def lay_out(buffers: Sequence[Lifetime]) -> Layout:
    """Offsets, multiples of 64, by first fit, the largest buffers first (those that live longest among equals).

    Each buffer takes the first gap between the buffers laid so far whose lifetimes overlap with its own."""
    count = len(buffers)
    sizes = [-(-max(one.nbytes, 1) // ALIGNMENT) * ALIGNMENT for one in buffers]
    order = sorted(range(count), key=lambda i: (-sizes[i], buffers[i].first - buffers[i].last, i))
    offsets = [0] * count
    first, last, begin, end = (np.empty(count, np.int64) for _ in range(4))
    total = 0
    for done, number in enumerate(order):
        one = buffers[number]
        overlap = (first[:done] <= one.last) & (last[:done] >= one.first)
        at = _first_gap(begin[:done][overlap], end[:done][overlap], sizes[number])
        offsets[number] = at
        first[done], last[done], begin[done], end[done] = one.first, one.last, at, at + sizes[number]
        total = max(total, at + sizes[number])
    return Layout(offsets, total)


def _first_gap(begins: np.ndarray, ends: np.ndarray, size: int) -> int:
    """The lowest offset at which ``size`` bytes are free."""
    if not begins.size:
        return 0
    order = np.argsort(begins, kind="stable")
    begins, reach = begins[order], np.maximum.accumulate(ends[order])
    gaps = begins - np.concatenate([[0], reach[:-1]])
    fits = np.flatnonzero(gaps >= size)
    if not fits.size:
        return int(reach[-1])
    return 0 if fits[0] == 0 else int(reach[fits[0] - 1])
