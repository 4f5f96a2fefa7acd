"""What clipping of gradients needs: a sum of squares, a factor, a limit for all arrays of a group, a row each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack
from numbanet.kernels.cpu.group import Group, append_group, array_of, begin_of, end_of, pointer_of
from numbanet.kernels.cpu.kernel import kernel
from numbanet.kernels.cpu.pointwise import CHUNK, float32_contiguous
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import lane_sum, select, splat


class Total(NamedTuple):
    """Arguments of total: out () = Σ parts (count,)."""

    out: F32
    parts: F32
    count: I64_FIELD


@kernel(Group)
def squares(start, stop, row, scratch):
    """The sum of squares of each task's elements, in 16 lanes, into ``numbers``."""
    a = unpack(row, Group)
    for task in range(start, stop):
        at = array_of(a, task)
        x, end, total = pointer_of(a, 0, at), end_of(a, at, task), splat(np.float32(0))
        for i in range(begin_of(a, at, task), end, 16):
            value = load_upto(x, i, end - i)
            total = total + value * value
        a.numbers[task] = lane_sum(total)
    return 0


@kernel(Total)
def total(start, stop, row, scratch):
    """The sum of the tasks' sums, in order, in float64."""
    a = unpack(row, Total)
    result = 0.0
    for i in range(a.count):
        result += a.parts[i]
    a.out[0] = np.float32(result)
    return 0


@kernel(Group, "scale_all")
def scaled(start, stop, row, scratch):
    """x ·= factor, unless that is 1."""
    a = unpack(row, Group)
    if a.numbers[0] == np.float32(1):
        return 0
    factor = splat(a.numbers[0])
    for task in range(start, stop):
        at = array_of(a, task)
        x, end = pointer_of(a, 0, at), end_of(a, at, task)
        for i in range(begin_of(a, at, task), end, 16):
            store_upto(x, i, load_upto(x, i, end - i) * factor, end - i)
    return 0


@kernel(Group, "clamp_all")
def clamped(start, stop, row, scratch):
    """x = limit above it, −limit below that."""
    a = unpack(row, Group)
    high, low = splat(a.numbers[0]), splat(-a.numbers[0])
    for task in range(start, stop):
        at = array_of(a, task)
        x, end = pointer_of(a, 0, at), end_of(a, at, task)
        for i in range(begin_of(a, at, task), end, 16):
            value = load_upto(x, i, end - i)
            value = select(value > high, high, value)
            store_upto(x, i, select(value < low, low, value), end - i)
    return 0


def sum_of_squares(program, out, arrays):
    reason = float32_contiguous(out)
    if reason is not None:
        return reason
    tasks = sum((array.size + CHUNK - 1) // CHUNK for array in arrays)
    parts = program.workspace((tasks,)) if tasks else None
    reason = append_group(program, squares, (arrays,), parts) if tasks else None
    if reason is None:
        program.append(total, 1, Total(out, parts, tasks))
    return reason


def scale_all(program, arrays, factor):
    return append_group(program, scaled, (arrays,), factor)


def clamp_all(program, arrays, limit):
    return append_group(program, clamped, (arrays,), limit)


FUNCTIONS = (sum_of_squares, scale_all, clamp_all)
