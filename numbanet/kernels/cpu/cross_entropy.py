"""Softmax cross-entropy: a line of logits is read once for the loss and once for the gradient, whatever its length.

The logarithm of the sum of exponentials goes by blocks that stay in the first-level cache: the sum so far is rescaled
when a block holds a new maximum. No second copy of the logits is ever held.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.exponential import exp_nonpositive
from numbanet.kernels.cpu.simd.maths import log
from numbanet.kernels.cpu.simd.pointers import F32, INT64
from numbanet.kernels.cpu.simd.vector import fma, lane, lane_sum, load, load_first, select, splat, store, store_first
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
    """Arguments of cross_entropy_lines; weight (columns,) or None."""

    losses: F32
    logsumexp: F32
    logits: F32
    target: INT64
    weight: F32
    columns: I64_FIELD
    ignore_index: I64_FIELD
    label_smoothing: F64_FIELD


class LossSum(NamedTuple):
    """Arguments of sum_losses and count_targets."""

    out: F32
    losses: F32
    target: INT64
    weight: F32
    rows: I64_FIELD
    columns: I64_FIELD
    ignore_index: I64_FIELD
    mean: I64_FIELD


class LogitGradient(NamedTuple):
    """Arguments of cross_entropy_gradient; count (1,) is how much the rows count together, or None."""

    out: F32
    loss_gradient: F32
    count: F32
    logits: F32
    logsumexp: F32
    target: INT64
    weight: F32
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


@device_function
def weighted_line_sum(weight, x, length):
    """Σ weight · x of a line, in 16 lanes."""
    total = splat(np.float32(0))
    for i in range(0, length, 16):
        total = fma(load_first(weight, i, length - i), load_first(x, i, length - i), total)
    return lane_sum(total)


@device_function
def distance_from_all(p, x, logsumexp, weights):
    """The mean over the classes of w · (lse − x); weights is Σ w."""
    classes = np.float32(p.columns)
    if is_null(p.weight):
        return logsumexp - line_sum(x, p.columns) / classes
    return (weights * logsumexp - weighted_line_sum(p.weight, x, p.columns)) / classes


@device_function
def sum_of_weights(p):
    """Σ w over the classes: their number if each weighs 1."""
    return np.float32(p.columns) if is_null(p.weight) else line_sum(p.weight, p.columns)


@kernel(Losses)
def cross_entropy_lines(start, stop, row, scratch):
    """losses = (1−ε)·w[target]·(lse − x[target]) + ε/c·Σ w·(lse − x); logsumexp = lse."""
    p = unpack(row, Losses)
    memory = workspace(row, scratch)
    smoothing, weights = np.float32(p.label_smoothing), sum_of_weights(p)
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
            if not is_null(p.weight):
                loss = p.weight[label] * loss
            if smoothing != 0:
                loss = (np.float32(1) - smoothing) * loss + smoothing * distance_from_all(p, x, logsumexp, weights)
            p.losses[line] = loss
    return 0


@device_function
def counted_rows(p):
    """How much the rows count whose target is not ignored: each 1, or the weight of its class."""
    count = 0.0
    for line in range(p.rows):
        label = p.target[line]
        if label != p.ignore_index:
            is_weighted = not is_null(p.weight) and label >= 0 and label < p.columns
            count += np.float64(p.weight[label]) if is_weighted else 1.0
    return np.float32(count)


@kernel(LossSum)
def count_targets(start, stop, row, scratch):
    """out = how much the rows count."""
    p = unpack(row, LossSum)
    p.out[0] = counted_rows(p)
    return 0


@kernel(LossSum)
def sum_losses(start, stop, row, scratch):
    """out = Σ losses, divided by how much the rows count if the mean is wanted."""
    p = unpack(row, LossSum)
    total = line_sum(p.losses, p.rows)
    p.out[0] = total / counted_rows(p) if p.mean else total
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
def shares_of_line(p, label, weights):
    """(a, b): the gradient of a row is b·softmax − ε/c·w, less a at the label; a = (1−ε)·w[label], b = a + ε/c·Σ w."""
    smoothing = np.float32(p.label_smoothing)
    hot = np.float32(1) - smoothing
    if is_null(p.weight):
        return hot, np.float32(1)
    hot = hot * p.weight[label]
    return hot, hot + smoothing / np.float32(p.columns) * weights


@device_function
def gradient_of_line(p, line, scale, weights):
    """The gradient of one line."""
    x, out, label = p.logits + line * p.columns, p.out + line * p.columns, p.target[line]
    share = np.float32(p.label_smoothing) / np.float32(p.columns)
    hot, whole_share = shares_of_line(p, label, weights)
    shift, logsumexp = splat(p.logsumexp[line]), p.logsumexp[line]
    whole = p.columns // 16 * 16
    left = p.columns - whole
    chosen = scalar_exp(x[label] - logsumexp)
    if is_null(p.weight):
        chosen = chosen - share
        for i in range(0, whole, 16):
            store(out, i, (exp_nonpositive(load(x, i) - shift) - splat(share)) * splat(scale))
        if left > 0:
            value = (exp_nonpositive(load_first(x, whole, left) - shift) - splat(share)) * splat(scale)
            store_first(out, whole, value, left)
    else:
        chosen = chosen * whole_share - share * p.weight[label]
        for i in range(0, p.columns, 16):
            n = p.columns - i
            uniform = splat(share) * load_first(p.weight, i, n)
            value = exp_nonpositive(load_first(x, i, n) - shift) * splat(whole_share) - uniform
            store_first(out, i, value * splat(scale), n)
    out[label] = (chosen - hot) * scale


@device_function
def exponentials_of_short_lines(p, memory, line, lines):
    """memory[j · 16 + i] = softmax of up to 16 lines of fewer than 16 logits."""
    gather_lines(memory, p.logits + line * p.columns, lines, p.columns)
    shift = load_first(p.logsumexp, line, lines)
    for j in range(p.columns):
        store(memory, j * 16, exp_nonpositive(load(memory, j * 16) - shift))


@device_function
def gradient_of_short_line(p, exponentials, line, scale, weights):
    """The gradient of one line, whose softmax is exponentials[j · 16]."""
    out, label = p.out + line * p.columns, p.target[line]
    share = np.float32(p.label_smoothing) / np.float32(p.columns)
    hot, whole_share = shares_of_line(p, label, weights)
    for j in range(p.columns):
        uniform = share if is_null(p.weight) else share * p.weight[j]
        value = exponentials[j * 16] * whole_share - uniform
        if j == label:
            value = value - hot
        out[j] = value * scale


@kernel(LogitGradient)
def cross_entropy_gradient(start, stop, row, scratch):
    """out = scale · (b·softmax − a·onehot − ε/c·w), 0 in the rows that are ignored; a and b as in shares_of_line."""
    p = unpack(row, LogitGradient)
    memory = workspace(row, scratch)
    weights = sum_of_weights(p)
    count = p.count[0] if p.reduction == MEAN else np.float32(1)
    for line in range(start, stop):
        lane_of_line = (line - start) % 16
        if lane_of_line == 0 and p.columns < SHORT:
            exponentials_of_short_lines(p, memory, line, min(16, stop - line))
        label = p.target[line]
        if label == p.ignore_index:
            fill_line(p.out + line * p.columns, p.columns, np.float32(0))
            continue
        if label < 0 or label >= p.columns:
            return TARGET_OUT_OF_RANGE | line << 8
        scale = p.loss_gradient[0 if p.reduction != NONE else line] / count
        if p.columns < SHORT:
            gradient_of_short_line(p, memory + lane_of_line, line, scale, weights)
        else:
            gradient_of_line(p, line, scale, weights)
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


def _declines(arrays, target, weight) -> str | None:
    reason = declines(*arrays) if weight is None else declines(*arrays, weight)
    return reason if reason is not None or target.is_contiguous else "strided"


def cross_entropy(program, out, logsumexp, logits, target, weight, reduction, ignore_index, label_smoothing):
    reason = _declines((logits, logsumexp, out), target, weight)
    if reason is not None:
        return reason
    rows, columns = logits.shape
    losses = out if reduction == "none" else program.workspace((rows,))
    args = Losses(losses, logsumexp, logits, target, weight, columns, ignore_index, float(label_smoothing))
    _append(program, cross_entropy_lines, logits, target, args)
    if reduction != "none":
        total = LossSum(out, losses, target, weight, rows, columns, ignore_index, int(reduction == "mean"))
        program.append(sum_losses, 1, total)
    return None


def cross_entropy_backward(
    program, out, grad, logits, logsumexp, target, weight, reduction, ignore_index, label_smoothing
):
    reason = _declines((out, grad, logits, logsumexp), target, weight)
    if reason is not None:
        return reason
    rows, columns = logits.shape
    count = None
    if reduction == "mean":
        count = program.workspace((1,))
        program.append(count_targets, 1, LossSum(count, None, target, weight, rows, columns, ignore_index, 1))
    args = LogitGradient(
        out, grad, count, logits, logsumexp, target, weight, columns, ignore_index, REDUCTIONS[reduction],
        float(label_smoothing),
    )  # fmt: skip
    _append(program, cross_entropy_gradient, logits, target, args)
    return None


FUNCTIONS = (cross_entropy, cross_entropy_backward)
