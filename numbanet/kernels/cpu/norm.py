"""Batch and group norm on the CPU: which kernels, in which parts.

Planes of LANES elements or more are taken along their elements (``norm_planes``), shorter ones, those of a matrix above
all, across them (``norm_columns``). Rows that the cache holds are done one at a time, statistics and all, if there are
enough of them for the threads; else each pass is a level of its own. Both take the same sums in the same parts.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.cpu.caches import cache_bytes
from numbanet.kernels.cpu.kernel import Kernel
from numbanet.kernels.cpu.norm_columns import (
    CHUNK,
    COLUMNS,
    PART,
    SCRATCH,
    column_gradient_sums,
    gradient_column_rows,
    gradient_columns,
    moments_across_samples,
    normalise_column_rows,
    normalise_columns,
    spread_columns,
)
from numbanet.kernels.cpu.norm_common import (
    RELU_OF_INPUT,
    RELU_OF_OUTPUT,
    Norm,
    Running,
    channel_gradients,
    finish_gradients,
    finish_moments,
    given_statistics,
    update_running,
)
from numbanet.kernels.cpu.norm_planes import (
    SUMS,
    gradient_planes,
    gradient_rows,
    normalise_planes,
    normalise_rows,
    plane_gradient_sums,
    plane_moments,
)
from numbanet.kernels.cpu.pointwise import float32_contiguous

FLOAT64 = np.dtype(np.float64)
LANES = 16
PIECE = 8192
"""Elements of the planes into which the rows of a single sample are cut."""
ELEMENTS_A_PART = 8192
MOST_PARTS = 128
MOST_LINES = 16
ELEMENTS_A_RUN = 1024
"""Rows are taken together until so many elements lie side by side: memory is slow in small pieces."""
ELEMENTS_A_CHUNK = 1 << 14
"""Elements that a thread claims at once, at least."""
CACHE_BYTES = 2 * cache_bytes(2)
"""Rows of at most so many bytes are done in one go."""


class Geometry(NamedTuple):
    """The middle of a row of arguments, as ``norm_common`` has it."""

    rows: int
    planes: int
    plane: int
    last_plane: int
    row_stride: int
    plane_stride: int
    planes_a_part: int
    parts: int
    units: int
    lines: int
    size: int
    channels: int
    channels_a_row: int
    spread: int


@functools.lru_cache(512)
def channels_of_batch(n: int, c: int, s: int) -> Geometry:
    """The rows of x (n, c, s) that have a channel each."""
    if c == 1:
        n, s = 1, n * s
    if s < LANES:
        fold = 1 if c * s >= LANES else LANES
        parts = -(-n // PART)
        return Geometry(c, n, 1, 1, s, c * s, PART, parts, s * parts, COLUMNS // s, n * s, c, 0, fold * c * s)
    if n == 1:
        planes = max(1, s // PIECE)
        plane = s if planes == 1 else PIECE
        last, stride = s - (planes - 1) * plane, plane
    else:
        planes, plane, last, stride = n, s, s, c * s
    each = max(1, -(-max(ELEMENTS_A_PART, planes * plane // MOST_PARTS) // plane))
    parts = -(-planes // each)
    lines = 1 if n == 1 else max(1, min(MOST_LINES, ELEMENTS_A_RUN // s))
    return Geometry(c, planes, plane, last, s, stride, each, parts, parts, lines, n * s, c, 0, 0)


@functools.lru_cache(512)
def groups_of_samples(n: int, c: int, s: int, groups: int, backward: bool) -> Geometry:
    """The rows of x (n, c, s) that are the groups of its samples. The backward pass has the sums of each channel."""
    planes = c // groups
    each = 1 if backward else max(1, -(-max(ELEMENTS_A_PART, planes * s // MOST_PARTS) // s))
    parts = -(-planes // each)
    return Geometry(n * groups, planes, s, s, planes * s, s, each, parts, parts, 1, planes * s, c, planes, 0)


def in_memory_order(g: Geometry) -> Geometry:
    """The same rows for a pass that puts nothing together: a task is one stretch of memory, as is the next.

    Rows that are channels have a piece in each sample; a task of a few rows in many samples takes a page of each."""
    if g.row_stride > g.plane_stride:
        return g
    lines = min(g.rows, -(-ELEMENTS_A_PART // g.plane))
    each = max(1, ELEMENTS_A_PART // (lines * g.plane))
    return g._replace(lines=lines, planes_a_part=each, parts=-(-g.planes // each))


def in_one_go(g: Geometry, arrays: int, tasks_a_thread: int = 4) -> bool:
    """Whether a task is to be a whole row: its arrays fit into the cache, and threads find enough of them, or share
    them evenly.

    The bits are the same either way, so the number of threads may have a say."""
    tasks, count = -(-g.rows // g.lines), threads.get_num_threads()
    enough = tasks >= tasks_a_thread * count or (tasks >= 2 * count and tasks % count == 0)
    return g.size * g.rows <= ELEMENTS_A_CHUNK or (arrays * 4 * g.lines * g.size <= CACHE_BYTES and enough)


def columns_in_one_go(g: Geometry, arrays: int) -> bool:
    """As in_one_go; less than a vector of columns is slow to write by blocks of rows.

    Two tasks a thread are enough: by levels, one thread would do for all rows what each needs beside its passes."""
    return in_one_go(g, arrays, 2) and g.spread == g.rows * g.row_stride


def chunk_of(g: Geometry, elements: int) -> int:
    """Tasks of so many elements that are claimed at once: all of them if the whole is small."""
    if g.size * g.rows <= ELEMENTS_A_CHUNK:
        return 1 << 30
    return max(1, ELEMENTS_A_CHUNK // elements)


def _fields(program, g, out, x, residual, y, grad, weight, bias, statistics, weight_out, bias_out, relu, training, eps):
    partial = program.workspace((2 * g.rows * g.units,), FLOAT64)
    coefficients = program.workspace((5 * g.spread if g.spread else 2 * g.rows,))
    return Norm(
        out, x, residual, y, grad, weight, bias, statistics, partial, coefficients, weight_out, bias_out, *g, relu,
        int(training), eps,
    )  # fmt: skip


def _column_tasks(g: Geometry) -> tuple[int, int, int]:
    """Blocks of rows, tasks that are claimed at once, and tasks of the kernels that write all columns."""
    step = max(1, CHUNK // g.spread) * g.spread
    return -(-g.rows // g.lines), chunk_of(g, COLUMNS * min(g.planes, PART)), -(-g.size * g.rows // step)


def _chunks_of_rows(g: Geometry) -> int:
    return max(1, ELEMENTS_A_CHUNK // (16 * g.units))


def batch_norm(
    program, out, statistics, x, weight, bias, residual, running_mean, running_var, batches, training, momentum, eps,
    activation=None,
):  # fmt: skip
    reason = float32_contiguous(out, statistics, x, weight, bias, residual, running_mean, running_var)
    if reason is not None or x.size == 0:
        return reason or "empty"
    g = channels_of_batch(*x.shape)
    relu = int(activation == "relu")
    args = _fields(program, g, out, x, residual, None, None, weight, bias, statistics, None, None, relu, training, eps)
    running = Running(
        statistics, args.partial, running_mean, running_var, batches, g.rows, g.units, g.size,
        math.nan if momentum is None else momentum, eps,
    )  # fmt: skip
    go = columns_in_one_go(g, 1) if g.spread else in_one_go(g, 1)
    if not training:
        program.append(given_statistics, g.rows, running, chunk=4096)
    if g.spread:
        _normalise_columns(program, g, args)
    else:
        _normalise_planes(program, g, args)
    if training and (running_mean is not None or batches is not None):
        program.append(update_running, 1, running, same_level=not go)
    return None


def _normalise_planes(program, g: Geometry, args: Norm) -> None:
    blocks, scratch = -(-g.rows // g.lines), SUMS * g.lines
    if args.training and in_one_go(g, 1):
        program.append(normalise_rows, blocks, args, chunk=chunk_of(g, g.lines * g.size), scratch=scratch)
        return
    chunk = chunk_of(g, g.lines * g.size // g.parts)
    if args.training:
        program.append(plane_moments, blocks * g.parts, args, chunk=chunk, scratch=scratch)
        program.append(finish_moments, g.rows, args, chunk=_chunks_of_rows(g))
    _pass_over_planes(program, g, normalise_planes, args)


def _pass_over_planes(program, g: Geometry, which: Kernel, args: Norm) -> None:
    g = in_memory_order(g)
    args = args._replace(lines=g.lines, planes_a_part=g.planes_a_part, parts=g.parts)
    chunk = chunk_of(g, g.lines * g.plane * g.planes_a_part)
    program.append(which, -(-g.rows // g.lines) * g.parts, args, chunk=chunk)


def _normalise_columns(program, g: Geometry, args: Norm) -> None:
    blocks, chunk, writing = _column_tasks(g)
    if args.training and columns_in_one_go(g, 1):
        program.append(normalise_column_rows, blocks, args, chunk=chunk, scratch=SCRATCH)
        return
    if args.training:
        program.append(moments_across_samples, blocks * g.parts, args, chunk=chunk, scratch=SCRATCH)
        program.append(finish_moments, g.rows, args, chunk=_chunks_of_rows(g))
    program.append(spread_columns, g.rows, args, chunk=4096)
    program.append(normalise_columns, writing, args, chunk=chunk_of(g, CHUNK))


def batch_norm_backward(
    program, out, residual_out, weight_out, bias_out, grad, x, y, statistics, weight, bias, training, activation=None
):
    reason = float32_contiguous(out, residual_out, weight_out, bias_out, grad, x, y, statistics, weight, bias)
    if reason is not None or x.size == 0:
        return reason or "empty"
    g = channels_of_batch(*x.shape)
    relu = 0 if activation is None else RELU_OF_INPUT if y is None else RELU_OF_OUTPUT
    args = _fields(
        program, g, out, x, residual_out if relu else None, y, grad, weight, bias, statistics, weight_out, bias_out,
        relu, training, 0.0,
    )  # fmt: skip
    sums = (training and out is not None) or any(one is not None for one in (residual_out, weight_out, bias_out))
    if g.spread:
        _gradient_of_columns(program, g, args, sums)
    else:
        _gradient_of_planes(program, g, args, sums)
    return None


def _gradient_of_planes(program, g: Geometry, args: Norm, sums: bool) -> None:
    blocks, scratch = -(-g.rows // g.lines), SUMS * g.lines
    if sums and args.out is not None and in_one_go(g, 2):
        program.append(gradient_rows, blocks, args, chunk=chunk_of(g, g.lines * g.size), scratch=scratch)
        return
    chunk = chunk_of(g, g.lines * g.size // g.parts)
    if sums:
        program.append(plane_gradient_sums, blocks * g.parts, args, chunk=chunk, scratch=scratch)
        program.append(finish_gradients, g.rows, args, chunk=_chunks_of_rows(g))
    if args.out is not None:
        _pass_over_planes(program, g, gradient_planes, args)


def _gradient_of_columns(program, g: Geometry, args: Norm, sums: bool) -> None:
    blocks, chunk, writing = _column_tasks(g)
    if sums and args.out is not None and columns_in_one_go(g, 2):
        program.append(gradient_column_rows, blocks, args, chunk=chunk, scratch=SCRATCH)
        return
    program.append(spread_columns, g.rows, args, chunk=4096)
    if sums:
        program.append(column_gradient_sums, blocks * g.parts, args, chunk=chunk, scratch=SCRATCH)
        program.append(finish_gradients, g.rows, args, chunk=_chunks_of_rows(g))
    if args.out is not None:
        program.append(gradient_columns, writing, args, chunk=chunk_of(g, CHUNK))


def group_norm(program, out, statistics, x, weight, bias, residual, groups, eps, activation=None):
    reason = float32_contiguous(out, statistics, x, weight, bias, residual)
    if reason is not None or x.size == 0:
        return reason or "empty"
    if x.shape[2] < LANES:
        return "planes of less than 16 elements"
    g = groups_of_samples(*x.shape, groups, False)
    relu = int(activation == "relu")
    args = _fields(program, g, out, x, residual, None, None, weight, bias, statistics, None, None, relu, True, eps)
    _normalise_planes(program, g, args)
    return None


def group_norm_backward(
    program, out, residual_out, weight_out, bias_out, grad, x, y, statistics, weight, bias, groups, activation=None
):
    reason = float32_contiguous(out, residual_out, weight_out, bias_out, grad, x, y, statistics, weight, bias)
    if reason is not None or x.size == 0 or x.shape[2] < LANES:
        return reason or ("empty" if x.size == 0 else "planes of less than 16 elements")
    g = groups_of_samples(*x.shape, groups, True)
    relu = 0 if activation is None else RELU_OF_INPUT if y is None else RELU_OF_OUTPUT
    args = _fields(
        program, g, out, x, residual_out if relu else None, y, grad, weight, bias, statistics, weight_out, bias_out,
        relu, True, 0.0,
    )  # fmt: skip
    _gradient_of_planes(program, g, args, True)
    if weight_out is not None or bias_out is not None:
        program.append(channel_gradients, g.channels, args, chunk=max(1, ELEMENTS_A_CHUNK // (16 * x.shape[0])))
    return None


FUNCTIONS = (batch_norm, batch_norm_backward, group_norm, group_norm_backward)
