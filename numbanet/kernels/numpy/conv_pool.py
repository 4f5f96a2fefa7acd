"""A convolution and the max pool behind it, and the gradients of both: one after the other."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.numpy.conv import conv2d, conv2d_input_grad, conv2d_weight_grad
from numbanet.kernels.numpy.gemm import finish
from numbanet.kernels.numpy.pool import max_pool2d, max_pool2d_backward

PLAIN = (0, 0), (1, 1)
"""Padding and dilation of the pool."""


def _full(pooled, shape, kernel, stride, padding, dilation):
    """An array for the output of the convolution of ``shape`` before it is pooled."""
    size = ((shape[2 + a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1 for a in (0, 1))
    return np.empty((*pooled.shape[:2], *size), pooled.dtype)


def conv2d_max_pool(
    out, positions, x, weight, bias, stride, padding, dilation, groups, pool_kernel, pool_stride, activation=None
):
    full = _full(out, x.shape, weight.shape[2:], stride, padding, dilation)
    conv2d(full, x, weight, bias, stride, padding, dilation, groups)
    max_pool2d(out, positions, full, pool_kernel, pool_stride, *PLAIN)
    finish(out, None, None, activation)


def conv2d_max_pool_backward(
    x_out, weight_out, bias_out, grad, output, positions, x, weight, stride, padding, dilation, groups, pool_kernel,
    pool_stride,
):  # fmt: skip
    if output is not None:
        grad = np.where(output <= 0, 0, grad).astype(grad.dtype, copy=False)
    if weight_out is None and bias_out is not None:
        bias_out[...] = grad.sum(axis=(0, 2, 3))
    if x_out is None and weight_out is None:
        return
    shape, kernel = (x if x_out is None else x_out).shape, (weight if weight_out is None else weight_out).shape[2:]
    full = _full(grad, shape, kernel, stride, padding, dilation)
    max_pool2d_backward(full, grad, positions, pool_kernel, pool_stride, *PLAIN)
    if x_out is not None:
        conv2d_input_grad(x_out, full, weight, stride, padding, dilation, groups)
    if weight_out is not None:
        conv2d_weight_grad(weight_out, bias_out, full, x, stride, padding, dilation, groups)
