"""Max and average pooling: a loop over the cells of the window, each step over all windows at once."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.numpy.conv import pad_planes
from numbanet.kernels.numpy.pointwise import quiet


def _extra(size, out_size, kernel, stride, padding, dilation):
    """How far the last window reaches over the padded picture, per axis (it does with ceil_mode)."""
    return tuple(
        max(0, (out_size[a] - 1) * stride[a] + dilation[a] * (kernel[a] - 1) + 1 - (size[a] + 2 * padding[a]))
        for a in (0, 1)
    )


def _cell(padded, i, j, out_size, stride, dilation):
    """The cell (i, j) of every window: a strided view (n, c, oh, ow)."""
    (oh, ow), (sh, sw), (dh, dw) = out_size, stride, dilation
    return padded[:, :, i * dh : i * dh + (oh - 1) * sh + 1 : sh, j * dw : j * dw + (ow - 1) * sw + 1 : sw]


def _window_starts(out_size, stride, padding, dilation, axis):
    """The first position of every window along an axis, and the first one that lies in the picture."""
    start = np.arange(out_size[axis]) * stride[axis] - padding[axis]
    step = dilation[axis]
    inside = np.where(start < 0, start + (-start + step - 1) // step * step, start)
    return start, inside


@quiet
def max_pool2d(out, indices, x, kernel, stride, padding, dilation):
    size, out_size = x.shape[2:], out.shape[2:]
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    padded = pad_planes(x, padding, lowest, _extra(size, out_size, kernel, stride, padding, dilation))
    row, first_row = _window_starts(out_size, stride, padding, dilation, 0)
    column, first_column = _window_starts(out_size, stride, padding, dilation, 1)
    out.fill(lowest)
    indices[...] = first_row[:, None] * size[1] + first_column
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            value = _cell(padded, i, j, out_size, stride, dilation)
            better = (value > out) | (value != value)  # a NaN is the maximum, and stays it
            np.copyto(out, value, where=better)
            here = (row[:, None] + i * dilation[0]) * size[1] + column + j * dilation[1]
            np.copyto(indices, here.astype(np.int32), where=better)


def max_pool2d_backward(out, grad, indices, kernel, stride, padding, dilation):
    n, c, h, w = out.shape
    planes = np.arange(n * c).reshape(n, c, 1, 1) * (h * w)
    total = np.bincount((planes + indices).ravel(), grad.ravel(), minlength=out.size)
    np.copyto(out, total.reshape(out.shape), casting="unsafe")


def _divisor(size, out_size, kernel, stride, padding, count_include_pad):
    """The number of cells (oh, ow) that each window's mean divides by."""
    counts = []
    for a in (0, 1):
        start = np.arange(out_size[a]) * stride[a] - padding[a]
        stop = np.minimum(start + kernel[a], size[a] + padding[a])
        if not count_include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, size[a])
        counts.append(stop - start)
    return counts[0][:, None] * counts[1]


@quiet
def avg_pool2d(out, x, kernel, stride, padding, count_include_pad):
    size, out_size = x.shape[2:], out.shape[2:]
    padded = pad_planes(x, padding, 0, _extra(size, out_size, kernel, stride, padding, (1, 1)))
    out.fill(0)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            out += _cell(padded, i, j, out_size, stride, (1, 1))
    out /= _divisor(size, out_size, kernel, stride, padding, count_include_pad).astype(out.dtype)


@quiet
def avg_pool2d_backward(out, grad, kernel, stride, padding, count_include_pad):
    n, c, h, w = out.shape
    out_size = grad.shape[2:]
    share = grad / _divisor((h, w), out_size, kernel, stride, padding, count_include_pad).astype(grad.dtype)
    eh, ew = _extra((h, w), out_size, kernel, stride, padding, (1, 1))
    ph, pw = padding
    padded = np.zeros((n, c, h + 2 * ph + eh, w + 2 * pw + ew), out.dtype)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            _cell(padded, i, j, out_size, stride, (1, 1))[...] += share
    out[...] = padded[:, :, ph : ph + h, pw : pw + w]
