"""Convolution and its two gradients, as matrix products over patches ("im2col")."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from numbanet.kernels.numpy.gemm import finish
from numbanet.kernels.numpy.pointwise import quiet

PATCH_BYTES = 16 << 20  # patches of so many samples at a time that they fit here


def pad_planes(x, padding, value=0, extra=(0, 0)):
    """x (n, c, h, w) with a border of value: padding on every side, extra more at the bottom and on the right."""
    (ph, pw), (eh, ew) = padding, extra
    if ph == pw == eh == ew == 0:
        return x
    n, c, h, w = x.shape
    padded = np.full((n, c, h + 2 * ph + eh, w + 2 * pw + ew), value, x.dtype)
    padded[:, :, ph : ph + h, pw : pw + w] = x
    return padded


def _patches(x, kernel, out_size, stride, padding, dilation, groups):
    """(n, groups, c/groups · kh · kw, oh · ow): for every picture a matrix with a column an output position."""
    n, c = x.shape[:2]
    (kh, kw), (oh, ow) = kernel, out_size
    padded = pad_planes(x, padding)
    sn, sc, sh, sw = padded.strides
    view = as_strided(
        padded,
        (n, groups, c // groups, kh, kw, oh, ow),
        (sn, sc * (c // groups), sc, sh * dilation[0], sw * dilation[1], sh * stride[0], sw * stride[1]),
        writeable=False,
    )
    return view.reshape(n, groups, (c // groups) * kh * kw, oh * ow)


def _parts(n, bytes_per_picture):
    """Slices of the pictures whose patches fit into PATCH_BYTES."""
    step = max(1, PATCH_BYTES // max(1, bytes_per_picture))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


@quiet
def conv2d(out, x, weight, bias, stride, padding, dilation, groups, activation=None):
    n, o, oh, ow = out.shape
    matrix = weight.reshape(groups, o // groups, -1)
    product = out.reshape(n, groups, o // groups, oh * ow)
    for part in _parts(n, groups * matrix.shape[2] * oh * ow * x.itemsize):
        patches = _patches(x[part], weight.shape[2:], (oh, ow), stride, padding, dilation, groups)
        np.matmul(matrix, patches, out=product[part])
    finish(out, None if bias is None else bias.reshape(1, o, 1, 1), None, activation)


@quiet
def conv2d_input_grad(out, grad, weight, stride, padding, dilation, groups):
    n, c, h, w = out.shape
    o, _, kh, kw = weight.shape
    oh, ow = grad.shape[2:]
    (ph, pw), (sh, sw), (dh, dw) = padding, stride, dilation
    transposed = weight.reshape(groups, o // groups, -1).transpose(0, 2, 1)
    rows = grad.reshape(n, groups, o // groups, oh * ow)
    for part in _parts(n, groups * transposed.shape[1] * oh * ow * grad.itemsize):
        patches = np.matmul(transposed, rows[part]).reshape(-1, c, kh, kw, oh, ow)
        padded = np.zeros((len(patches), c, h + 2 * ph, w + 2 * pw), out.dtype)
        for i in range(kh):
            for j in range(kw):
                down = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
                across = slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)
                padded[:, :, down, across] += patches[:, :, i, j]
        out[part] = padded[:, :, ph : ph + h, pw : pw + w]


@quiet
def conv2d_weight_grad(out, bias_out, grad, x, stride, padding, dilation, groups, output=None):
    if output is not None:
        grad = np.where(output <= 0, 0, grad).astype(grad.dtype, copy=False)
    o, channels, kh, kw = out.shape
    n, _, oh, ow = grad.shape
    rows = grad.reshape(n, groups, o // groups, oh * ow)
    total = np.zeros((groups, o // groups, channels * kh * kw), out.dtype)
    for part in _parts(n, total.shape[2] * groups * oh * ow * x.itemsize):
        patches = _patches(x[part], (kh, kw), (oh, ow), stride, padding, dilation, groups)
        total += np.matmul(rows[part], patches.swapaxes(2, 3)).sum(axis=0)
    out[...] = total.reshape(out.shape)
    if bias_out is not None:
        bias_out[...] = grad.sum(axis=(2, 3)).sum(axis=0)
