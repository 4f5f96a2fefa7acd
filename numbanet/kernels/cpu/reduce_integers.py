"""Sums of int64 and bool, any and all of bool: exact, so their order is free. Only the inner axes may be reduced."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack
from numbanet.kernels.cpu.kernel import kernel
from numbanet.kernels.cpu.simd.pointers import INT64, U8

INTEGER, BOOL = np.dtype(np.int64), np.dtype(np.bool_)
PART = 1 << 15
"""Elements of a task of one long sum."""


class Lines(NamedTuple):
    """out (rows, parts) of x (rows, columns)."""

    out: INT64
    x: INT64
    bools: U8
    columns: I64_FIELD
    parts: I64_FIELD


class Truths(NamedTuple):
    """out (size,) of counts (size,)."""

    out: U8
    counts: INT64
    size: I64_FIELD
    least: I64_FIELD


@kernel(Lines)
def sum_int64(start, stop, row, scratch):
    """out = Σ x."""
    p = unpack(row, Lines)
    for task in range(start, stop):
        first = task % p.parts * PART
        x = p.x + (task // p.parts * p.columns + first)
        total = 0
        for j in range(min(PART, p.columns - first)):
            total += x[j]
        p.out[task] = total
    return 0


@kernel(Lines)
def count_bools(start, stop, row, scratch):
    """out = how many of x are True."""
    p = unpack(row, Lines)
    for task in range(start, stop):
        first = task % p.parts * PART
        x = p.bools + (task // p.parts * p.columns + first)
        total = 0
        for j in range(min(PART, p.columns - first)):
            total += np.int64(x[j])
        p.out[task] = total
    return 0


@kernel(Truths)
def enough(start, stop, row, scratch):
    """out = whether counts ≥ least."""
    p = unpack(row, Truths)
    for i in range(start, stop):
        p.out[i] = np.uint8(1) if p.counts[i] >= p.least else np.uint8(0)
    return 0


def _append_sum(program, out, x, rows: int, columns: int) -> None:
    parts = -(-columns // PART)
    target = out if parts == 1 else program.workspace((rows, parts), INTEGER)
    is_bool = x.dtype == BOOL
    args = Lines(target, None if is_bool else x, x if is_bool else None, columns, parts)
    chunk = max(1, PART // min(columns, PART))
    program.append(count_bools if is_bool else sum_int64, rows * parts, args, chunk=chunk)
    if parts > 1:
        _append_sum(program, out, target, rows, parts)


def append(program, out, x, axes, function):
    """As ``reduce.reduce`` for what is not float32; the reason where no kernel does it."""
    truth = function in ("any", "all") and x.dtype == BOOL and out.dtype == BOOL
    if not truth and not (function == "sum" and out.dtype == INTEGER and x.dtype in (BOOL, INTEGER)):
        return f"{function} of {x.dtype}"
    kept = x.shape[: x.ndim - len(axes)]
    if sorted(axes) != list(range(len(kept), x.ndim)) or not (x.is_contiguous and out.is_contiguous):
        return "strided, or not the last axes"
    if x.size == 0:
        return f"an empty {function}"
    rows, columns = math.prod(kept), math.prod(x.shape[len(kept) :])
    counts = program.workspace((rows,), INTEGER) if truth else out
    _append_sum(program, counts, x, rows, columns)
    if truth:
        least = 1 if function == "any" else columns
        program.append(enough, rows, Truths(out, counts, rows, least), chunk=4096)
    return None
