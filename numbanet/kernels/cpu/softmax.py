"""Softmax, log-softmax and softmax cross-entropy by rows: maximum, sum of exponentials in 16 virtual lanes, log."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.simd.maths import exp, log
from numbanet.kernels.cpu.simd.pointers import F32, INT64
from numbanet.kernels.cpu.simd.vector import (
    lane_index,
    lane_max,
    lane_sum,
    load_first,
    select,
    splat,
    store,
    store_first,
)

TARGET_OUT_OF_RANGE = 1
ELEMENTS_A_CHUNK = 1 << 13
REDUCTIONS = {"none": 0, "sum": 1, "mean": 2}


class Rows(NamedTuple):
    """Arguments of softmax and its gradient."""

    out: F32
    x: F32
    y: F32
    columns: I64_FIELD
    log: I64_FIELD


class CrossEntropy(NamedTuple):
    """Arguments of the cross-entropy kernels."""

    losses: F32
    logsumexp: F32
    logits: F32
    target: INT64
    gradient: F32
    loss_gradient: F32
    columns: I64_FIELD
    rows: I64_FIELD
    reduction: I64_FIELD
    ignore_index: I64_FIELD
    label_smoothing: F64_FIELD


class LossSum(NamedTuple):
    """Arguments of sum_losses."""

    out: F32
    losses: F32
    target: INT64
    rows: I64_FIELD
    ignore_index: I64_FIELD
    mean: I64_FIELD


@device_function
def row_max(x, columns):
    """Maximum of a row; NaN if it holds one."""
    best = splat(np.float32(-np.inf))
    for i in range(0, columns, 16):
        value = select(lane_index() < splat(np.int32(columns - i)), load_first(x, i, columns - i), best)
        best = select((value > best) | (value != value), value, best)
    return lane_max(best)


@device_function
def row_sum(x, columns):
    """Sum of a row in 16 virtual lanes."""
    total = splat(np.float32(0))
    for i in range(0, columns, 16):
        total = total + load_first(x, i, columns - i)
    return lane_sum(total)


@device_function
def exp_sum(x, columns, shift):
    """Σ exp(x − shift) of a row in 16 virtual lanes."""
    total = splat(np.float32(0))
    for i in range(0, columns, 16):
        value = exp(load_first(x, i, columns - i) - splat(shift))
        total = total + select(lane_index() < splat(np.int32(columns - i)), value, splat(np.float32(0)))
    return lane_sum(total)


@device_function
def scalar_log(value, memory):
    """The logarithm of one number, by the vector function."""
    store(memory, 0, log(splat(value)))
    return memory[0]


@device_function
def scalar_exp(value, memory):
    """The exponential of one number, by the vector function."""
    store(memory, 0, exp(splat(value)))
    return memory[0]


@device_function
def finite_shift(highest):
    """The maximum of a row, or 0 where it is infinite: inf − inf would make a NaN of it."""
    if highest == np.float32(np.inf) or highest == np.float32(-np.inf):
        return np.float32(0)
    return highest


@kernel(Rows)
def softmax_rows(start, stop, row, scratch):
    """out = exp(x − max) / Σ, or x − max − ln Σ."""
    p = unpack(row, Rows)
    memory = workspace(row, scratch)
    for line in range(start, stop):
        x, out = p.x + line * p.columns, p.out + line * p.columns
        highest = row_max(x, p.columns)
        total = exp_sum(x, p.columns, highest)
        if p.log:
            shift = splat(scalar_log(total, memory))
        else:
            shift = splat(np.float32(1) / total)
        for i in range(0, p.columns, 16):
            value = load_first(x, i, p.columns - i) - splat(highest)
            value = value - shift if p.log else exp(value) * shift
            store_first(out, i, value, p.columns - i)
    return 0


@kernel(Rows)
def softmax_gradient(start, stop, row, scratch):
    """out = y·(x − Σ x·y) with x the gradient of y, or x − exp(y)·Σ x for the log-softmax."""
    p = unpack(row, Rows)
    for line in range(start, stop):
        grad, y, out = p.x + line * p.columns, p.y + line * p.columns, p.out + line * p.columns
        total = splat(np.float32(0))
        for i in range(0, p.columns, 16):
            value = load_first(grad, i, p.columns - i)
            total = total + (value if p.log else value * load_first(y, i, p.columns - i))
        shift = splat(lane_sum(total))
        for i in range(0, p.columns, 16):
            value, weight = load_first(grad, i, p.columns - i), load_first(y, i, p.columns - i)
            value = value - exp(weight) * shift if p.log else weight * (value - shift)
            store_first(out, i, value, p.columns - i)
    return 0


@kernel(CrossEntropy)
def cross_entropy_rows(start, stop, row, scratch):
    """losses = (1−ε)·(lse − x[target]) + ε·(lse − mean x), logsumexp = max + ln Σ exp(x − max)."""
    p = unpack(row, CrossEntropy)
    memory = workspace(row, scratch)
    smoothing = np.float32(p.label_smoothing)
    for line in range(start, stop):
        x = p.logits + line * p.columns
        shift = finite_shift(row_max(x, p.columns))
        logsumexp = shift + scalar_log(exp_sum(x, p.columns, shift), memory)
        p.logsumexp[line] = logsumexp
        label = p.target[line]
        if label == p.ignore_index:
            p.losses[line] = np.float32(0)
        elif label < 0 or label >= p.columns:
            return TARGET_OUT_OF_RANGE | line << 8
        else:
            loss = logsumexp - x[label]
            if smoothing != 0:
                uniform = logsumexp - row_sum(x, p.columns) / np.float32(p.columns)
                loss = (np.float32(1) - smoothing) * loss + smoothing * uniform
            p.losses[line] = loss
    return 0


@device_function
def counted_rows(target, rows, ignore_index):
    """Rows whose target is not ignored."""
    count = 0
    for line in range(rows):
        if target[line] != ignore_index:
            count += 1
    return np.float32(count)


@kernel(LossSum)
def sum_losses(start, stop, row, scratch):
    """out = Σ losses, divided by the number of rows that count if the mean is wanted."""
    p = unpack(row, LossSum)
    total = row_sum(p.losses, p.rows)
    p.out[0] = total / counted_rows(p.target, p.rows, p.ignore_index) if p.mean else total
    return 0


@kernel(CrossEntropy)
def cross_entropy_gradient(start, stop, row, scratch):
    """gradient = scale · (softmax − (1−ε)·onehot − ε/c), 0 in the rows that are ignored."""
    p = unpack(row, CrossEntropy)
    memory = workspace(row, scratch)
    smoothing = np.float32(p.label_smoothing)
    share = smoothing / np.float32(p.columns)
    count = counted_rows(p.target, p.rows, p.ignore_index) if p.reduction == 2 else np.float32(1)
    for line in range(start, stop):
        x, out = p.logits + line * p.columns, p.gradient + line * p.columns
        label = p.target[line]
        if label != p.ignore_index and (label < 0 or label >= p.columns):
            return TARGET_OUT_OF_RANGE | line << 8
        scale = p.loss_gradient[0 if p.reduction else line] / count
        shift = splat(p.logsumexp[line])
        for i in range(0, p.columns, 16):
            value = exp(load_first(x, i, p.columns - i) - shift) - splat(share)
            value = value * splat(scale)
            if label == p.ignore_index:
                value = splat(np.float32(0))
            store_first(out, i, value, p.columns - i)
        if label != p.ignore_index:
            chosen = scalar_exp(x[label] - p.logsumexp[line], memory) - share
            out[label] = (chosen - (np.float32(1) - smoothing)) * scale
    return 0


def _declines(*arrays) -> str | None:
    return float32_contiguous(*arrays) or ("an empty row" if arrays[0].ndim and arrays[0].size == 0 else None)


def _chunk(rows: int, columns: int) -> int:
    return max(1, min(rows, ELEMENTS_A_CHUNK // columns))


def softmax(program, out, x, log):
    reason = _declines(out, x)
    if reason is None:
        rows, columns = x.shape
        program.append(
            softmax_rows, rows, Rows(out, x, None, columns, int(log)), chunk=_chunk(rows, columns), scratch=16
        )
    return reason


def softmax_backward(program, out, grad, y, log):
    reason = _declines(out, grad, y)
    if reason is None:
        rows, columns = y.shape
        program.append(softmax_gradient, rows, Rows(out, grad, y, columns, int(log)), chunk=_chunk(rows, columns))
    return reason


def _target_error(target, columns, ignore_index):
    """What a status of the cross-entropy kernels says to the user: the first wrong row, whichever thread met one."""

    def error(code, line):
        values = target.numpy()
        line = int(np.argmax((values != ignore_index) & ((values < 0) | (values >= columns))))
        value = int(values[line])
        return IndexError(
            f"target {value} of row {line} is out of range: the logits have {columns} classes, 0 to {columns - 1}"
        )

    return error


def cross_entropy(program, out, logsumexp, logits, target, reduction, ignore_index, label_smoothing):
    reason = _declines(logits, logsumexp, out)
    if reason is not None or not target.is_contiguous:
        return reason or "strided"
    rows, columns = logits.shape
    losses = out if reduction == "none" else program.workspace((rows,))
    args = CrossEntropy(
        losses, logsumexp, logits, target, None, None, columns, rows, REDUCTIONS[reduction], ignore_index,
        float(label_smoothing),
    )  # fmt: skip
    on_error = _target_error(target, columns, ignore_index)
    program.append(cross_entropy_rows, rows, args, chunk=_chunk(rows, columns), scratch=16, on_error=on_error)
    if reduction != "none":
        program.append(sum_losses, 1, LossSum(out, losses, target, rows, ignore_index, int(reduction == "mean")))
    return None


def cross_entropy_backward(program, out, grad, logits, logsumexp, target, reduction, ignore_index, label_smoothing):
    reason = _declines(out, grad, logits, logsumexp)
    if reason is not None or not target.is_contiguous:
        return reason or "strided"
    rows, columns = logits.shape
    args = CrossEntropy(
        None, logsumexp, logits, target, out, grad, columns, rows, REDUCTIONS[reduction], ignore_index,
        float(label_smoothing),
    )  # fmt: skip
    on_error = _target_error(target, columns, ignore_index)
    program.append(cross_entropy_gradient, rows, args, chunk=_chunk(rows, columns), scratch=16, on_error=on_error)
    return None


FUNCTIONS = (softmax, softmax_backward, cross_entropy, cross_entropy_backward)
