"""Sums over the leading or the trailing axes, in an order that the shape alone decides.

A sum over leading axes adds whole rows to each other, one chain a column; a sum over trailing axes runs in 16 virtual
lanes. Long sums are cut into BLOCK elements each, whose sums are added up in a second level.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack
from numbanet.kernels.cpu.kernel import kernel
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.vector import lane_sum, load_first, splat, store_first

BLOCK = 1 << 14
"""Elements of a chain of a sum over trailing axes."""
COLUMNS = 64
"""Columns of a task of a sum over leading axes."""
ELEMENTS_A_CHUNK = 1 << 14


class Sum(NamedTuple):
    """Arguments of the kernels: x (rows, columns)."""

    out: F32
    x: F32
    rows: I64_FIELD
    columns: I64_FIELD


@kernel(Sum)
def sum_over_rows(start, stop, row, scratch):
    """out[j] = Σ_i x[i, j] in the order of i; a task is COLUMNS columns."""
    p = unpack(row, Sum)
    for j in range(start * COLUMNS, min(stop * COLUMNS, p.columns), 16):
        n = p.columns - j
        total = load_first(p.x, j, n)
        for i in range(1, p.rows):
            total = total + load_first(p.x, i * p.columns + j, n)
        store_first(p.out, j, total, n)
    return 0


@kernel(Sum)
def sum_over_columns(start, stop, row, scratch):
    """out[i] = Σ_j x[i, j] in 16 virtual lanes; a task is a row."""
    p = unpack(row, Sum)
    for i in range(start, stop):
        x = p.x + i * p.columns
        total = splat(np.float32(0))
        for j in range(0, p.columns, 16):
            total = total + load_first(x, j, p.columns - j)
        p.out[i] = lane_sum(total)
    return 0


def _append_rows(program, out, x, rows: int, columns: int) -> None:
    chunk = max(1, min(rows, ELEMENTS_A_CHUNK // columns))
    program.append(sum_over_columns, rows, Sum(out, x, rows, columns), chunk=chunk)


def reduce(program, out, x, axes, function):
    if function != "sum":
        return f"{function} has no Numba kernel"
    reason = float32_contiguous(out, x)
    if reason is not None:
        return reason
    if x.size == 0:
        return "an empty sum"
    axes = sorted(axes)
    if axes == list(range(len(axes))):
        rows, columns = math.prod(x.shape[: len(axes)]), math.prod(x.shape[len(axes) :])
        if columns > 1:
            tasks = -(-columns // COLUMNS)
            chunk = tasks if x.size < ELEMENTS_A_CHUNK else 1
            program.append(sum_over_rows, tasks, Sum(out, x, rows, columns), chunk=chunk)
            return None
    elif axes != list(range(x.ndim - len(axes), x.ndim)):
        return "neither leading nor trailing axes"
    rows = out.size
    columns = x.size // rows
    if rows == 1 and columns > 2 * BLOCK and columns % BLOCK == 0:
        blocks = program.workspace((columns // BLOCK,))
        _append_rows(program, blocks, x, blocks.size, BLOCK)
        x, columns = blocks, blocks.size
    _append_rows(program, out, x, rows, columns)
    return None


FUNCTIONS = (reduce,)
