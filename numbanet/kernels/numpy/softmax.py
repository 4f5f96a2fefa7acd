"""Softmax and softmax cross-entropy."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.numpy.pointwise import quiet


@quiet
def softmax(out, x, log):
    shifted = x - x.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=1, keepdims=True)
    if log:
        np.subtract(shifted, np.log(total), out=out)
    else:
        np.divide(exponentials, total, out=out)


@quiet
def softmax_backward(out, grad, y, log):
    if log:
        np.subtract(grad, np.exp(y) * grad.sum(axis=1, keepdims=True), out=out)
    else:
        np.multiply(y, grad - (grad * y).sum(axis=1, keepdims=True), out=out)


def _counted(target, classes, ignore_index):
    """Which rows count, and the targets with 0 in the rows that do not."""
    counts = target != ignore_index
    wrong = counts & ((target < 0) | (target >= classes))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise IndexError(
            f"target {int(target[row])} of row {row} is out of range: the logits have {classes} classes, 0 to "
            f"{classes - 1}"
        )
    return counts, np.where(counts, target, 0)


def _shares(counts, chosen, weight, dtype):
    """How much each row counts: the weight of its class."""
    return np.where(counts, 1 if weight is None else weight[chosen], 0).astype(dtype)


@quiet
def cross_entropy(out, logsumexp, logits, target, weight, reduction, ignore_index, label_smoothing):
    counts, chosen = _counted(target, logits.shape[1], ignore_index)
    highest = logits.max(axis=1)
    # an infinite maximum would make inf − inf of it
    shift = np.where(np.isfinite(highest), highest, 0)
    logsumexp[...] = shift + np.log(np.exp(logits - shift[:, None]).sum(axis=1))
    picked = np.take_along_axis(logits, chosen[:, None], axis=1)[:, 0]
    shares = _shares(counts, chosen, weight, logits.dtype)
    loss = logsumexp - picked if weight is None else shares * (logsumexp - picked)
    if label_smoothing:
        distances = logsumexp[:, None] - logits
        uniform = (distances if weight is None else distances * weight).mean(axis=1)
        loss = (1 - label_smoothing) * loss + label_smoothing * uniform
    loss = np.where(counts, loss, 0).astype(logits.dtype)
    if reduction == "none":
        out[...] = loss
    elif reduction == "sum":
        out[...] = loss.sum()
    else:
        out[...] = loss.sum() / shares.sum()


@quiet
def cross_entropy_backward(out, grad, logits, logsumexp, target, weight, reduction, ignore_index, label_smoothing):
    rows, classes = logits.shape
    counts, chosen = _counted(target, classes, ignore_index)
    shares = _shares(counts, chosen, weight, logits.dtype)
    scale = grad / shares.sum() if reduction == "mean" else grad
    hot, uniform = (logits.dtype.type(value) for value in (1 - label_smoothing, label_smoothing / classes))
    np.exp(logits - logsumexp[:, None], out=out)
    if weight is not None:
        out *= (hot * shares + uniform * weight.sum())[:, None]
        uniform = uniform * weight
    out -= uniform
    out[np.arange(rows), chosen] -= hot if weight is None else hot * shares
    out *= np.broadcast_to(scale, (rows,))[:, None]
    out[~counts] = 0
