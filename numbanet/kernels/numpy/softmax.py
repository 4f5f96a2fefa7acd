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


@quiet
def cross_entropy(out, logsumexp, logits, target, reduction, ignore_index, label_smoothing):
    counts, chosen = _counted(target, logits.shape[1], ignore_index)
    highest = logits.max(axis=1)
    # an infinite maximum would make inf − inf of it
    shift = np.where(np.isfinite(highest), highest, 0)
    logsumexp[...] = shift + np.log(np.exp(logits - shift[:, None]).sum(axis=1))
    picked = np.take_along_axis(logits, chosen[:, None], axis=1)[:, 0]
    loss = logsumexp - picked
    if label_smoothing:
        loss = (1 - label_smoothing) * loss + label_smoothing * (logsumexp - logits.mean(axis=1))
    loss = np.where(counts, loss, 0).astype(logits.dtype)
    if reduction == "none":
        out[...] = loss
    elif reduction == "sum":
        out[...] = loss.sum()
    else:
        out[...] = loss.sum() / logits.dtype.type(np.count_nonzero(counts))


@quiet
def cross_entropy_backward(out, grad, logits, logsumexp, target, reduction, ignore_index, label_smoothing):
    rows, classes = logits.shape
    counts, chosen = _counted(target, classes, ignore_index)
    scale = (
        np.broadcast_to(grad, (rows,)) if reduction != "mean" else grad / logits.dtype.type(np.count_nonzero(counts))
    )
    np.exp(logits - logsumexp[:, None], out=out)
    out -= logits.dtype.type(label_smoothing / classes)
    out[np.arange(rows), chosen] -= logits.dtype.type(1 - label_smoothing)
    out *= np.broadcast_to(scale, (rows,))[:, None]
    out[~counts] = 0


@quiet
def mse_loss(out, x, y, reduction):
    squares = np.square(x - y)
    np.copyto(out, squares if reduction == "none" else squares.mean() if reduction == "mean" else squares.sum())


@quiet
def mse_loss_backward(out, grad, x, y, reduction):
    np.multiply(2 * (x - y), grad / x.size if reduction == "mean" else grad, out=out)
