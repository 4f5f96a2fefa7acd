"""Softmax cross-entropy: a line of logits is read once for the loss and once for the gradient, whatever its length.

The logarithm of the sum of exponentials goes by blocks that stay in the first-level cache: the sum so far is rescaled
when a block holds a new maximum. No second copy of the logits is ever held.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.exponential import exp_nonpositive
from numbanet.kernels.cpu.simd.maths import log
from numbanet.kernels.cpu.simd.pointers import F32, INT64
from numbanet.kernels.cpu.simd.vector import lane, load, load_first, select, splat, store, store_first
from numbanet.kernels.cpu.softmax import (
    SHORT,
    chunk_of,
    declines,
    exp_sum,
    gather_lines,
    line_max,
    line_sum,
    short_exp_sum,
    short_max,
)

TARGET_OUT_OF_RANGE = 1
BLOCK = 1024
"""Logits whose maximum and sum are found in one go; a multiple of 32."""
NONE, SUM, MEAN = range(3)
REDUCTIONS = {"none": NONE, "sum": SUM, "mean": MEAN}


class Losses(NamedTuple):
    """Arguments of cross_entropy_lines."""

    losses: F32
    logsumexp: F32
    logits: F32
    target: INT64
    columns: I64_FIELD
    ignore_index: I64_FIELD
    label_smoothing: F64_FIELD


class LossSum(NamedTuple):
    """Arguments of sum_losses and count_targets."""

    out: F32
    losses: F32
    target: INT64
    rows: I64_FIELD
    ignore_index: I64_FIELD
    mean: I64_FIELD


class LogitGradient(NamedTuple):
    """Arguments of cross_entropy_gradient; count (1,) is the number of rows that count, or None."""

    out: F32
    loss_gradient: F32
    count: F32
    logits: F32
    logsumexp: F32
    target: INT64
    columns: I64_FIELD
    ignore_index: I64_FIELD
    reduction: I64_FIELD
    label_smoothing: F64_FIELD


@device_function
def scalar_exp(value):
    """The exponential of one number ≤ 0, by the vector function."""
    return lane(exp_nonpositive(splat(value)), 0)


@device_function
def line_exp_sum(x, length):
    """The maximum m of a line and Σ exp(x − m): both NaN if there is one; the sum is void where m is infinite."""
    highest, total = np.float32(-np.inf), np.float32(0)
    for begin in range(0, length, BLOCK):
        n = min(BLOCK, length - begin)
        largest = line_max(x + begin, n)
        if largest != largest:
            return largest, largest
        if largest > highest:
            total = total * scalar_exp(highest - largest) if begin > 0 else total
            highest = largest
        if highest != np.float32(-np.inf):
            total += exp_sum(x + begin, n, highest)
    return highest, total


@device_function
def store_logsumexp(p, memory, line, lines):
    """logsumexp of up to 16 lines: m + ln Σ exp(x − m), and m where that is infinite (inf − inf makes a NaN)."""
    if p.columns < SHORT:
        gather_lines(memory, p.logits + line * p.columns, lines, p.columns)
        highest = short_max(memory, p.columns)
        total = short_exp_sum(memory, p.columns, highest)
    else:
        for i in range(lines):
            memory[i], memory[16 + i] = line_exp_sum(p.logits + (line + i) * p.columns, p.columns)
        highest, total = load(memory, 0), load(memory, 16)
    infinite = (highest == splat(np.float32(np.inf))) | (highest == splat(np.float32(-np.inf)))
    store_first(p.logsumexp, line, select(infinite, highest, highest + log(total)), lines)


@kernel(Losses)
def cross_entropy_lines(start, stop, row, scratch):
    """losses = (1−ε)·(lse − x[target]) + ε·(lse − mean x); logsumexp = lse."""
    p = unpack(row, Losses)
    memory = workspace(row, scratch)
    smoothing = np.float32(p.label_smoothing)
    for line in range(start, stop):
        if (line - start) % 16 == 0:
            store_logsumexp(p, memory, line, min(16, stop - line))
        x, logsumexp = p.logits + line * p.columns, p.logsumexp[line]
        label = p.target[line]
        if label == p.ignore_index:
            p.losses[line] = np.float32(0)
        elif label < 0 or label >= p.columns:
            return TARGET_OUT_OF_RANGE | line << 8
        else:
            loss = logsumexp - x[label]
            if smoothing != 0:
                uniform = logsumexp - line_sum(x, p.columns) / np.float32(p.columns)
                loss = (np.float32(1) - smoothing) * loss + smoothing * uniform
            p.losses[line] = loss
    return 0


@device_function
def counted_rows(target, rows, ignore_index):
    """Rows whose target is not ignored."""
    count = 0
    for line in range(rows):
        count += np.int64(target[line] != ignore_index)
    return np.float32(count)


@kernel(LossSum)
def count_targets(start, stop, row, scratch):
    """out = the number of rows that count."""
    p = unpack(row, LossSum)
    p.out[0] = counted_rows(p.target, p.rows, p.ignore_index)
    return 0


@kernel(LossSum)
def sum_losses(start, stop, row, scratch):
    """out = Σ losses, divided by the number of rows that count if the mean is wanted."""
    p = unpack(row, LossSum)
    total = line_sum(p.losses, p.rows)
    p.out[0] = total / counted_rows(p.target, p.rows, p.ignore_index) if p.mean else total
    return 0


@device_function
def fill_line(out, length, value):
    """out = value."""
    whole = length // 16 * 16
    for i in range(0, whole, 16):
        store(out, i, splat(value))
    if whole < length:
        store_first(out, whole, splat(value), length - whole)


@device_function
def gradient_of_line(p, line, scale):
    """The gradient of one line."""
    x, out = p.logits + line * p.columns, p.out + line * p.columns
    smoothing = np.float32(p.label_smoothing)
    share = smoothing / np.float32(p.columns)
    shift = splat(p.logsumexp[line])
    whole = p.columns // 16 * 16
    left = p.columns - whole
    chosen = scalar_exp(x[p.target[line]] - p.logsumexp[line]) - share
    for i in range(0, whole, 16):
        store(out, i, (exp_nonpositive(load(x, i) - shift) - splat(share)) * splat(scale))
    if left > 0:
        value = (exp_nonpositive(load_first(x, whole, left) - shift) - splat(share)) * splat(scale)
        store_first(out, whole, value, left)
    out[p.target[line]] = (chosen - (np.float32(1) - smoothing)) * scale


@device_function
def exponentials_of_short_lines(p, memory, line, lines):
    """memory[j · 16 + i] = softmax − ε/c of up to 16 lines of fewer than 16 logits."""
    share = splat(np.float32(p.label_smoothing) / np.float32(p.columns))
    gather_lines(memory, p.logits + line * p.columns, lines, p.columns)
    shift = load_first(p.logsumexp, line, lines)
    for j in range(p.columns):
        store(memory, j * 16, exp_nonpositive(load(memory, j * 16) - shift) - share)


@kernel(LogitGradient)
def cross_entropy_gradient(start, stop, row, scratch):
    """out = scale · (softmax − (1−ε)·onehot − ε/c), 0 in the rows that are ignored."""
    p = unpack(row, LogitGradient)
    memory = workspace(row, scratch)
    count = p.count[0] if p.reduction == MEAN else np.float32(1)
    hot = np.float32(1) - np.float32(p.label_smoothing)
    for line in range(start, stop):
        lane_of_line = (line - start) % 16
        if lane_of_line == 0 and p.columns < SHORT:
            exponentials_of_short_lines(p, memory, line, min(16, stop - line))
        out, label = p.out + line * p.columns, p.target[line]
        if label == p.ignore_index:
            fill_line(out, p.columns, np.float32(0))
            continue
        if label < 0 or label >= p.columns:
            return TARGET_OUT_OF_RANGE | line << 8
        scale = p.loss_gradient[0 if p.reduction != NONE else line] / count
        if p.columns < SHORT:
            memory[label * 16 + lane_of_line] = memory[label * 16 + lane_of_line] - hot
            for j in range(p.columns):
                out[j] = memory[j * 16 + lane_of_line] * scale
        else:
            gradient_of_line(p, line, scale)
    return 0


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


def _append(program, which, logits, target, args) -> None:
    rows, columns = logits.shape
    on_error = _target_error(target, columns, args.ignore_index)
    program.append(which, rows, args, chunk=chunk_of(rows, columns), scratch=16 * SHORT, on_error=on_error)


def cross_entropy(program, out, logsumexp, logits, target, reduction, ignore_index, label_smoothing):
    reason = declines(logits, logsumexp, out)
    if reason is not None or not target.is_contiguous:
        return reason or "strided"
    rows, columns = logits.shape
    losses = out if reduction == "none" else program.workspace((rows,))
    args = Losses(losses, logsumexp, logits, target, columns, ignore_index, float(label_smoothing))
    _append(program, cross_entropy_lines, logits, target, args)
    if reduction != "none":
        program.append(sum_losses, 1, LossSum(out, losses, target, rows, ignore_index, int(reduction == "mean")))
    return None


def cross_entropy_backward(program, out, grad, logits, logsumexp, target, reduction, ignore_index, label_smoothing):
    reason = declines(out, grad, logits, logsumexp)
    if reason is not None or not target.is_contiguous:
        return reason or "strided"
    rows, columns = logits.shape
    count = None
    if reduction == "mean":
        count = program.workspace((1,))
        program.append(count_targets, 1, LossSum(count, None, target, rows, ignore_index, 1))
    args = LogitGradient(
        out, grad, count, logits, logsumexp, target, columns, ignore_index, REDUCTIONS[reduction],
        float(label_smoothing),
    )  # fmt: skip
    _append(program, cross_entropy_gradient, logits, target, args)
    return None


FUNCTIONS = (cross_entropy, cross_entropy_backward)
