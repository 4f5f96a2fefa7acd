"""Locally connected layers: a product of patches and weights for every position."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from numbanet.kernels.numpy.conv import pad_planes
from numbanet.kernels.numpy.pointwise import quiet


def _patches(x, out_size, kernel, stride, padding):
    """(oh · ow, n, c · kh · kw): for every position a matrix with a row a picture."""
    windows = sliding_window_view(pad_planes(x, padding), kernel, axis=(2, 3))[:, :, :: stride[0], :: stride[1]]
    n, c = x.shape[:2]
    return windows.transpose(2, 3, 0, 1, 4, 5).reshape(out_size[0] * out_size[1], n, c * kernel[0] * kernel[1])


@quiet
def locally_connected2d(out, x, weight, kernel, stride, padding):
    n, o, oh, ow = out.shape
    results = np.matmul(_patches(x, (oh, ow), kernel, stride, padding), weight)
    out[...] = results.transpose(1, 2, 0).reshape(n, o, oh, ow)


@quiet
def locally_connected2d_input_grad(out, grad, weight, kernel, stride, padding):
    n, c, h, w = out.shape
    o, oh, ow = grad.shape[1:]
    gradients = grad.reshape(n, o, oh * ow).transpose(2, 0, 1)
    patches = np.matmul(gradients, weight.transpose(0, 2, 1)).reshape(oh, ow, n, c, *kernel).transpose(2, 3, 4, 5, 0, 1)
    (ph, pw), (sh, sw) = padding, stride
    padded = np.zeros((n, c, h + 2 * ph, w + 2 * pw), out.dtype)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            padded[:, :, i : i + (oh - 1) * sh + 1 : sh, j : j + (ow - 1) * sw + 1 : sw] += patches[:, :, i, j]
    out[...] = padded[:, :, ph : ph + h, pw : pw + w]


@quiet
def locally_connected2d_weight_grad(out, grad, x, kernel, stride, padding):
    n, o, oh, ow = grad.shape
    patches = _patches(x, (oh, ow), kernel, stride, padding)
    np.matmul(patches.transpose(0, 2, 1), grad.reshape(n, o, oh * ow).transpose(2, 0, 1), out=out)
