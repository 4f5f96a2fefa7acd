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


def _first_tap(out_size, stride, padding, dilation, axis):
    """For every window along an axis its first cell that does not lie before the picture."""
    start = np.arange(out_size[axis]) * stride[axis] - padding[axis]
    return (np.maximum(-start, 0) + dilation[axis] - 1) // dilation[axis]


@quiet
def max_pool2d(out, positions, x, kernel, stride, padding, dilation):
    size, out_size = x.shape[2:], out.shape[2:]
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    padded = pad_planes(x, padding, lowest, _extra(size, out_size, kernel, stride, padding, dilation))
    first_row, first_column = (_first_tap(out_size, stride, padding, dilation, axis) for axis in (0, 1))
    out.fill(lowest)
    positions[...] = first_row[:, None] * kernel[1] + first_column
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            value = _cell(padded, i, j, out_size, stride, dilation)
            better = (value > out) | (value != value)  # a NaN is the maximum, and stays it
            np.copyto(out, value, where=better)
            positions[better] = i * kernel[1] + j


def _cells_of_maxima(positions, kernel, stride, padding, dilation):
    """Row and column in the picture of what positions (n, c, oh, ow) stand for."""
    i, j = np.divmod(positions.astype(np.int64), kernel[1])
    rows, columns = (np.arange(positions.shape[2 + axis]) * stride[axis] - padding[axis] for axis in (0, 1))
    return rows[:, None] + i * dilation[0], columns + j * dilation[1]


def max_pool2d_backward(out, grad, positions, kernel, stride, padding, dilation):
    n, c, h, w = out.shape
    rows, columns = _cells_of_maxima(positions, kernel, stride, padding, dilation)
    planes = np.arange(n * c).reshape(n, c, 1, 1) * (h * w)
    inside = (rows < h) & (columns < w)  # a window that lies outside the picture altogether has no place
    total = np.bincount((planes + rows * w + columns)[inside], grad[inside], minlength=out.size)
    np.copyto(out, total.reshape(out.shape), casting="unsafe")


def max_pool2d_indices(out, positions, width, kernel, stride, padding, dilation):
    rows, columns = _cells_of_maxima(positions, kernel, stride, padding, dilation)
    out[...] = rows * width + columns


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


# --- adaptive --------------------------------------------------------------------------------------------------------
def _windows(size, out_size):
    """(window, the slices of the picture that it covers) for all windows of an adaptive pool."""
    spans = [
        [slice(i * extent // parts, -(-(i + 1) * extent // parts)) for i in range(parts)]
        for extent, parts in zip(size, out_size, strict=True)
    ]
    return [((i, j), (rows, columns)) for i, rows in enumerate(spans[0]) for j, columns in enumerate(spans[1])]


@quiet
def adaptive_avg_pool2d(out, x):
    for (i, j), (rows, columns) in _windows(x.shape[2:], out.shape[2:]):
        out[:, :, i, j] = x[:, :, rows, columns].mean(axis=(2, 3))


@quiet
def adaptive_avg_pool2d_backward(out, grad):
    out.fill(0)
    for (i, j), (rows, columns) in _windows(out.shape[2:], grad.shape[2:]):
        window = out[:, :, rows, columns]
        window += grad[:, :, i : i + 1, j : j + 1] / (window.shape[2] * window.shape[3])


def adaptive_max_pool2d(out, indices, x):
    n, c, _, w = x.shape
    for (i, j), (rows, columns) in _windows(x.shape[2:], out.shape[2:]):
        window = x[:, :, rows, columns].reshape(n, c, -1)
        last = window.shape[2] - 1
        nan = np.isnan(window)
        place = np.where(nan.any(axis=2), last - nan[:, :, ::-1].argmax(axis=2), window.argmax(axis=2))
        out[:, :, i, j] = np.take_along_axis(window, place[..., None], 2)[..., 0]
        y, across = np.divmod(place, columns.stop - columns.start)
        indices[:, :, i, j] = (rows.start + y) * w + columns.start + across


def adaptive_max_pool2d_backward(out, grad, indices):
    n, c, h, w = out.shape
    planes = np.arange(n * c).reshape(n, c, 1, 1) * (h * w)
    total = np.bincount((planes + indices).ravel(), grad.ravel(), minlength=out.size)
    np.copyto(out, total.reshape(out.shape), casting="unsafe")
