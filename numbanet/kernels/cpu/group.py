"""Many arrays in one row: the row points to a table with the addresses of all parameters of a group.

A task is CHUNK elements of one array; the tasks of all arrays are numbered through. The table has columns of int64
words, an entry an array: for each kind of array (parameter, gradient, up to three of state) its address (in the check
mode also its buffer's begin and end), then the sizes, then the number of each array's first task. It is written anew
with each append, for gradients move from step to step, and that costs less than to find out what moved.
"""

from __future__ import annotations

from array import array as words_of
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from numbanet.kernels.array import Array, Storage
from numbanet.kernels.cpu.arguments import I64_FIELD
from numbanet.kernels.cpu.kernel import Kernel, device_function
from numbanet.kernels.cpu.pointwise import CHUNK, FLOAT32
from numbanet.kernels.cpu.simd.pointers import CHECKED, F32, INT64, float_pointer

WORD = np.dtype(np.int64)
WORDS = F32.words
MOST_KINDS = 5
SIZES = MOST_KINDS * WORDS
FIRST_TASKS = SIZES + 1
MANY_ELEMENTS = 8 * CHUNK
"""More than this is worth a second thread."""


class Group(NamedTuple):
    """Arguments of kernels of groups: the table, numbers that all arrays share, how many arrays there are."""

    table: INT64
    numbers: F32
    count: I64_FIELD


@device_function
def array_of(a, task):
    """Which array of the group a task belongs to: the last whose first task is not above it."""
    low, high, first = 0, a.count - 1, FIRST_TASKS * a.count
    while low < high:
        middle = (low + high + 1) >> 1
        if a.table[first + middle] <= task:
            low = middle
        else:
            high = middle - 1
    return low


@device_function
def begin_of(a, at, task):
    """The first element of a task in its array."""
    return (task - a.table[FIRST_TASKS * a.count + at]) * CHUNK


@device_function
def end_of(a, at, task):
    """Behind the last element of a task in its array."""
    return min(begin_of(a, at, task) + CHUNK, a.table[SIZES * a.count + at])


@device_function
def pointer_of(a, kind, at):
    """Array number ``at`` of a kind; null if the group has no such kind."""
    return float_pointer(a.table, kind * WORDS * a.count + at, a.count)


def append_group(program, which: Kernel, kinds: Sequence[Sequence[Array]], numbers: Array | None) -> str | None:
    """Append one row for all arrays; ``kinds`` are equally long lists of arrays, or empty. Why not, if it declines."""
    for arrays in kinds:
        for one in arrays:
            if one.dtype is not FLOAT32 or not one.is_contiguous:
                return "strided" if one.dtype is FLOAT32 else f"dtype {one.dtype}"
    if numbers is not None and numbers.dtype is not FLOAT32:
        return f"dtype {numbers.dtype}"
    table, tasks, size = make_table(kinds)
    chunk = tasks if size <= MANY_ELEMENTS else max(1, min(8, tasks // 16))
    program.append(which, tasks, Group(program.keep_table(table, kinds), numbers, len(kinds[0])), chunk=chunk)
    return None


def address_columns(kinds: Sequence[Sequence[Array]]) -> Iterator[tuple[Array, list[int]]]:
    """Each array with the words of the table that hold its address (and in the check mode its buffer's ends)."""
    count = len(kinds[0])
    for number, arrays in enumerate(kinds):
        for at, array in enumerate(arrays):
            yield array, [(number * WORDS + word) * count + at for word in range(WORDS)]


def make_table(kinds: Sequence[Sequence[Array]]) -> tuple[Array, int, int]:
    """The table of a group, its number of tasks, and its number of elements."""
    count = len(kinds[0])
    words: list[int] = []
    for arrays in kinds:
        if not arrays:
            words += [0] * (WORDS * count)
            continue
        words += [one.storage.address + 4 * one.offset for one in arrays]
        if CHECKED:
            words += [one.storage.address for one in arrays]
            words += [one.storage.address + one.storage.nbytes for one in arrays]
    words += [0] * ((MOST_KINDS - len(kinds)) * WORDS * count)
    sizes = [one.size for one in kinds[0]]
    firsts = list(accumulate([(size + CHUNK - 1) // CHUNK for size in sizes], initial=0))
    tasks = firsts.pop()
    memory = words_of("q", words + sizes + firsts)
    address, length = memory.buffer_info()
    storage = Storage(None, memory, address, 8 * length)
    return Array(storage, (length,), WORD), tasks, sum(sizes)
