"""Arrays of one shape as lines: what kernels of any strides walk over, and how their work is cut into tasks.

Axes that lie behind each other in all arrays become one, the axis with the smallest stride of the output comes last:
its elements are a line's columns. A table of int64 that the kernel reads holds the rest. Contiguous arrays of one shape
have no table (a null pointer): they are one line.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.array import Array
from numbanet.kernels.cpu.arguments import is_null
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.numpy import share

CHUNK = 4096
"""Elements of a task: three arrays of it fit into the first-level cache."""
COLUMNS, PARTS, LINES_A_TASK, LINES, AXES = range(5)
HEADER = 5
"""Then come the extents of the axes, and for each array its strides along them and along a line."""

Strides = tuple[int, ...]


class Lines(NamedTuple):
    """``steps``: each array's stride along a line; ``axes`` and ``strides``: the other axes, outermost first.

    ``is_plain``: the output has step 1, all others 1 or 0."""

    table: Array
    tasks: int
    chunk: int
    is_plain: bool
    columns: int
    steps: tuple[int, ...]
    axes: tuple[int, ...]
    strides: tuple[Strides, ...]


def claimed(tasks: int) -> int:
    """How many tasks are claimed at once: small arrays stay on one thread, and long ones are read in long stretches."""
    return 4 if tasks <= 4 else max(1, min(64, tasks // (4 * threads.get_num_threads())))


def tasks_of(size: int) -> tuple[int, int]:
    """Tasks of CHUNK elements, and how many are claimed at once."""
    tasks = (size + CHUNK - 1) // CHUNK
    return tasks, claimed(tasks)


def collapse(shape: Sequence[int], strides: Sequence[Strides]) -> tuple[list[int], list[list[int]]]:
    """Extents and strides of as few axes as can be, ordered by the first array's strides, the smallest last."""
    axes = [axis for axis, extent in enumerate(shape) if extent != 1]
    axes.sort(key=lambda axis: strides[0][axis], reverse=True)
    extents: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for axis in axes:
        extent = shape[axis]
        if extents and all(mine[-1] == one[axis] * extent for mine, one in zip(steps, strides, strict=True)):
            extents[-1] *= extent
            for mine, one in zip(steps, strides, strict=True):
                mine[-1] = one[axis]
        else:
            extents.append(extent)
            for mine, one in zip(steps, strides, strict=True):
                mine.append(one[axis])
    return extents, steps


def make_lines(extents: Sequence[int], strides: Sequence[Sequence[int]]) -> Lines:
    """The table for lines along the last of these axes."""
    columns = extents[-1] if extents else 1
    axes, lines = tuple(extents[:-1]), math.prod(extents[:-1])
    parts = -(-columns // CHUNK)
    each = max(1, CHUNK // columns)
    steps = tuple(one[-1] if extents else 1 for one in strides)
    outer = tuple(tuple(one[:-1]) for one in strides)
    words = [columns, parts, each, lines, len(axes), *axes]
    for one, step in zip(outer, steps, strict=True):
        words += [*one, step]
    tasks = lines * parts if parts > 1 else -(-lines // each)
    is_plain = steps[0] == 1 and max(steps) <= 1
    return Lines(share(None, np.array(words, np.int64)), tasks, claimed(tasks), is_plain, columns, steps, axes, outer)


@functools.lru_cache(maxsize=1024)
def lines_of(shape: tuple[int, ...], *strides: Strides) -> Lines:
    """The lines of arrays of one shape (not empty) with these strides, the output's first."""
    return make_lines(*collapse(shape, strides))


# --- in kernels ------------------------------------------------------------------------------------------------------
@device_function
def piece(table, size, task):
    """First line, line behind the last, first column, column behind the last of a task."""
    if is_null(table):
        return 0, 1, task * CHUNK, min(task * CHUNK + CHUNK, size)
    columns, parts = table[COLUMNS], table[PARTS]
    if parts > 1:
        line = task // parts
        begin = (task - line * parts) * CHUNK
        return line, line + 1, begin, min(begin + CHUNK, columns)
    line = task * table[LINES_A_TASK]
    return line, min(line + table[LINES_A_TASK], table[LINES]), 0, columns


@device_function
def line_begin(table, number, line):
    """Where a line of the array with this number begins, in elements."""
    if is_null(table):
        return 0
    axes = table[AXES]
    strides = table + (HEADER + axes + number * (axes + 1))
    if axes == 1:
        return line * strides[0]
    begin = 0
    for axis in range(axes - 1, -1, -1):
        rest = line // table[HEADER + axis]
        begin += (line - rest * table[HEADER + axis]) * strides[axis]
        line = rest
    return begin


@device_function
def line_step(table, number):
    """The stride along a line of the array with this number."""
    if is_null(table):
        return 1
    axes = table[AXES]
    return table[HEADER + axes + number * (axes + 1) + axes]
