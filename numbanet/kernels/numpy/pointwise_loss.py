"""Losses of pairs of numbers."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.numpy.pointwise import quiet


def _loss(x, y, kind, beta):
    difference = x - y
    if kind == "squared":
        return np.square(difference)
    distance = np.abs(difference)
    if kind == "absolute":
        return distance
    if kind == "logistic":
        return np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x)))
    inside, outside = 0.5 * np.square(difference), distance - 0.5 * beta
    if kind == "huber":
        return np.where(distance < beta, inside, beta * outside)
    return np.where(distance < beta, inside / beta, outside) if beta else distance


def _slope(x, y, kind, beta):
    difference = x - y
    if kind == "squared":
        return 2 * difference
    if kind == "absolute":
        return np.sign(difference)
    if kind == "logistic":
        small = np.exp(-np.abs(x))
        return np.where(x >= 0, 1, small) / (1 + small) - y
    clipped = np.where(np.abs(difference) < beta, difference, beta * np.sign(difference))
    if kind == "huber":
        return clipped
    return clipped / beta if beta else np.sign(difference)


@quiet
def pointwise_loss(out, x, y, kind, beta, reduction):
    losses = _loss(x, y, kind, x.dtype.type(beta))
    np.copyto(out, losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum())


@quiet
def pointwise_loss_backward(out, grad, x, y, kind, beta, reduction):
    scale = grad / x.size if reduction == "mean" else grad
    np.multiply(_slope(x, y, kind, x.dtype.type(beta)), scale, out=out)
