"""Which call is done when: levels that depend on earlier levels only.

A call depends on an earlier one if one of them writes what the other reads or writes: read after write, write after
read, write after write, of overlapping bytes of one buffer. It begins as early as that allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from numbanet.graph.lower import Call
from numbanet.graph.trace import Buffer
from numbanet.kernels.array import Array, Storage
from numbanet.kernels.assembly import Piece


class Access(NamedTuple):
    """Bytes ``begin`` … ``end`` of a buffer, used by a call whose last level is ``level``."""

    begin: int
    end: int
    is_write: bool
    level: int


def extent(array: Array) -> tuple[int, int]:
    """The first byte of an array in its storage, and the one behind its last."""
    itemsize = array.dtype.itemsize
    begin = array.offset * itemsize
    if array.is_contiguous:
        return begin, begin + array.size * itemsize
    span = sum((size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True))
    return begin, begin + (span + 1) * itemsize


def _earliest(accesses: Sequence[Access], begin: int, end: int, is_write: bool) -> int:
    """The first level in which these bytes may be used."""
    level = 0
    for one in accesses:
        if one.level >= level and (is_write or one.is_write) and one.begin < end and begin < one.end:
            level = one.level + 1
    return level


def arrange(calls: Sequence[Call]) -> list[list[tuple[Piece, int]]]:
    """Give each call its level; the levels as lists of (piece, number of the piece's level)."""
    history: dict[Storage, list[Access]] = {}
    levels: list[list[tuple[Piece, int]]] = []
    for call in calls:
        used = [(array.storage, *extent(array), False) for array in call.reads]
        used += [(array.storage, *extent(array), True) for array in call.writes]
        count = len(call.piece.levels)
        call.level = max((_earliest(history.get(s, ()), b, e, w) for s, b, e, w in used), default=0)
        last = call.level + max(count, 1) - 1
        for storage, begin, end, is_write in used:
            note(history.setdefault(storage, []), Access(begin, end, is_write, last))
        while len(levels) < call.level + count:
            levels.append([])
        for at in range(count):
            levels[call.level + at].append((call.piece, at))
    return levels


def note(accesses: list[Access], access: Access) -> None:
    """Add an access; a write covers what came before it in the same bytes."""
    if access.is_write:
        accesses[:] = [one for one in accesses if one.begin < access.begin or one.end > access.end]
    accesses.append(access)


def mark_lifetimes(calls: Sequence[Call]) -> list[Buffer]:
    """Set the levels between which each buffer holds something; the workspaces of all pieces as buffers."""
    workspaces = []
    for call in calls:
        last = call.level + max(len(call.piece.levels), 1) - 1
        for array in call.reads:
            buffer = array.storage
            buffer.first = call.level if buffer.first < 0 else min(buffer.first, call.level)
            buffer.last = max(buffer.last, last)
        for array in call.piece.workspaces:
            workspace = array.storage
            workspaces.append((workspace, call.level, last))
    return workspaces
