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
    """Offsets, multiples of 64, by first fit: the best of three orders, or the first that needs no more than what is
    alive at once.

    The orders are the largest buffers first (those that live longest among equals), those that take most bytes times
    levels first, and as they come to life."""
    sizes = [-(-max(one.nbytes, 1) // ALIGNMENT) * ALIGNMENT for one in buffers]
    least = _most_alive(buffers, sizes)
    lengths = [one.last - one.first + 1 for one in buffers]
    best: Layout | None = None
    for key in (
        lambda i: (-sizes[i], -lengths[i], i),
        lambda i: (-sizes[i] * lengths[i], i),
        lambda i: (buffers[i].first, -sizes[i], i),
    ):
        found = _first_fit(buffers, sizes, sorted(range(len(buffers)), key=key))
        if best is None or found.nbytes < best.nbytes:
            best = found
        if best.nbytes <= least:
            break
    return best


def _most_alive(buffers: Sequence[Lifetime], sizes: Sequence[int]) -> int:
    """The most bytes that are in use in one level: no layout needs less."""
    change = np.zeros(max([one.last for one in buffers], default=0) + 2, np.int64)
    for one, size in zip(buffers, sizes, strict=True):
        change[one.first] += size
        change[one.last + 1] -= size
    return int(change.cumsum().max())


def _first_fit(buffers: Sequence[Lifetime], sizes: Sequence[int], order: Sequence[int]) -> Layout:
    """Each buffer, in this order, in the first gap between those laid so far whose lifetimes overlap with its own."""
    count = len(buffers)
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
