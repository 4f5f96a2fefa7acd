"""Normalisation: statistics in two passes, then scale and shift."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.numpy.gemm import finish
from numbanet.kernels.numpy.pointwise import quiet


def _columns(vector):
    """(c,) shaped to go with (n, c, s)."""
    return vector[None, :, None]


def _scaled(x, statistics, weight, bias):
    """(x − μ)·ρ·weight + bias; the backward pass computes it again, to the bit."""
    mean, rstd = statistics
    scale = rstd if weight is None else rstd * weight
    out = (x - _columns(mean)) * _columns(scale)
    if bias is not None:
        out += _columns(bias)
    return out


def _masked(grad, x, y, statistics, weight, bias, activation):
    """The gradient behind the activation."""
    if activation is None:
        return grad
    if y is None:
        y = _scaled(x, statistics, weight, bias)
    return np.where(y <= 0, grad.dtype.type(0), grad)


def _moments(x, axes):
    """Mean and variance in float64, axes kept as 1: the second pass sees no large numbers, whatever the mean is."""
    mean = x.mean(axis=axes, dtype=np.float64, keepdims=True)
    return mean, np.square(x - mean).mean(axis=axes, keepdims=True)


@quiet
def batch_norm(
    out, statistics, x, weight, bias, residual, running_mean, running_var, batches, training, momentum, eps,
    activation=None,
):  # fmt: skip
    if training:
        mean, var = _moments(x, (0, 2))
        if batches is not None:
            batches += 1
        if running_mean is not None:
            count = x.shape[0] * x.shape[2]
            factor = 1 / int(batches) if momentum is None else momentum
            running_mean[...] = (1 - factor) * running_mean + factor * mean.ravel()
            running_var[...] = (1 - factor) * running_var + factor * (var.ravel() * (count / max(count - 1, 1)))
    else:
        mean, var = running_mean, running_var
    statistics[0], statistics[1] = mean.ravel(), 1 / np.sqrt(var.astype(np.float64).ravel() + eps)
    out[...] = _scaled(x, statistics, weight, bias)
    finish(out, None, residual, activation)


@quiet
def batch_norm_fold(weight_out, bias_out, weight, bias, norm_weight, norm_bias, mean, var, eps):
    scale = (1 / np.sqrt(var.astype(np.float64) + eps)).astype(var.dtype)
    if norm_weight is not None:
        scale *= norm_weight
    weight_out[...] = weight * scale[:, None]
    bias_out[...] = ((0 if bias is None else bias) - mean) * scale
    if norm_bias is not None:
        bias_out += norm_bias


@quiet
def batch_norm_backward(
    out, residual_out, weight_out, bias_out, grad, x, y, statistics, weight, bias, training, activation=None
):
    g = _masked(grad, x, y, statistics, weight, bias, activation)
    mean, rstd = statistics
    normal = (x - _columns(mean)) * _columns(rstd)
    sums = g.sum(axis=(0, 2), dtype=np.float64).astype(x.dtype)
    products = (g * normal).sum(axis=(0, 2), dtype=np.float64).astype(x.dtype)
    if out is not None:
        count = x.dtype.type(x.shape[0] * x.shape[2])
        scale = rstd if weight is None else rstd * weight
        rest = g - _columns(sums / count) - normal * _columns(products / count) if training else g
        out[...] = rest * _columns(scale)
    for target, value in ((residual_out, g), (weight_out, products), (bias_out, sums)):
        if target is not None:
            target[...] = value


def _grouped(array, groups):
    """(n, c, s) as (n·groups, c/groups · s): a row a group."""
    return array.reshape(array.shape[0] * groups, -1)


def _spread(row_statistics, x):
    """One number a group as (n, c, 1)."""
    n, c = x.shape[:2]
    return np.repeat(row_statistics.reshape(n, -1), c * n // row_statistics.size, axis=1)[:, :, None]


def _scaled_groups(x, statistics, weight, bias):
    """(x − μ)·ρ·weight + bias; the backward pass computes it again, to the bit."""
    mean, rstd = (_spread(one, x) for one in statistics)
    out = (x - mean) * (rstd if weight is None else rstd * _columns(weight))
    if bias is not None:
        out += _columns(bias)
    return out


@quiet
def group_norm(out, statistics, x, weight, bias, residual, groups, eps, activation=None):
    mean, var = _moments(_grouped(x, groups), (1,))
    statistics[0], statistics[1] = mean.ravel(), 1 / np.sqrt(var.ravel() + eps)
    out[...] = _scaled_groups(x, statistics, weight, bias)
    finish(out, None, residual, activation)


@quiet
def group_norm_backward(
    out, residual_out, weight_out, bias_out, grad, x, y, statistics, weight, bias, groups, activation=None
):
    g = grad
    if activation is not None:
        g = np.where((_scaled_groups(x, statistics, weight, bias) if y is None else y) <= 0, grad.dtype.type(0), grad)
    mean, rstd = (_spread(one, x) for one in statistics)
    normal = (x - mean) * rstd
    if out is not None:
        weighted = g if weight is None else g * _columns(weight)
        means = (
            _spread(_grouped(values, groups).mean(axis=1, dtype=np.float64).astype(x.dtype), x)
            for values in (weighted, weighted * normal)
        )
        out[...] = rstd * (weighted - next(means) - normal * next(means))
    if residual_out is not None:
        residual_out[...] = g
    for target, values in ((weight_out, g * normal), (bias_out, g)):
        if target is not None:
            target[...] = values.sum(axis=(0, 2), dtype=np.float64)


@quiet
def layer_norm(out, statistics, x, weight, bias, eps):
    mean, var = _moments(x, (1,))
    statistics[0], statistics[1] = mean.ravel(), 1 / np.sqrt(var.ravel() + eps)
    mean, rstd = statistics[:, :, None]
    out[...] = (x - mean) * rstd
    if weight is not None:
        out *= weight
    if bias is not None:
        out += bias


@quiet
def layer_norm_backward(out, weight_out, bias_out, grad, x, statistics, weight):
    mean, rstd = statistics[:, :, None]
    normal = (x - mean) * rstd
    if out is not None:
        g = grad if weight is None else grad * weight
        means = [values.mean(axis=1, keepdims=True, dtype=np.float64).astype(x.dtype) for values in (g, g * normal)]
        out[...] = rstd * (g - means[0] - normal * means[1])
    if weight_out is not None:
        weight_out[...] = (grad * normal).sum(axis=0, dtype=np.float64)
    if bias_out is not None:
        bias_out[...] = grad.sum(axis=0, dtype=np.float64)
