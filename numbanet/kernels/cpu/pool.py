"""Pools on the CPU: which kernel takes which windows, and how the planes (picture, channel) are shared out.

Maxima of windows of 2 × 2 side by side and of 3 × 3 two apart have kernels of their own (``pool_max_2x2.py``,
``pool_max_3x3.py``) unless rows are narrow, all others share one (``pool_max.py``). So have means of these
(``pool_average_2x2.py``, ``pool_average_3x3.py``, and what ends in ``_gradient``), whose other windows share another
(``pool_average.py``), or, where they overlap much, a third (``pool_average_lines.py``); those of whole planes are
simpler. An adaptive pool of means whose windows have one size and lie evenly apart is a pool of such windows.
"""

from __future__ import annotations

import functools

import numpy as np

from numbanet.kernels.array import Array
from numbanet.kernels.cpu.geometry import table
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.pool_adaptive import Adaptive, adaptive_maximum, adaptive_maximum_gradient
from numbanet.kernels.cpu.pool_average import (
    Average,
    Means,
    average_pool_gradient,
    average_pool_planes,
    plane_means,
    plane_means_gradient,
)
from numbanet.kernels.cpu.pool_average_2x2 import Average2x2, average_pool_2x2, average_pool_2x2_gradient
from numbanet.kernels.cpu.pool_average_3x3 import Average3x3, average_pool_3x3
from numbanet.kernels.cpu.pool_average_3x3_gradient import APART, average_pool_3x3_gradient
from numbanet.kernels.cpu.pool_average_lines import AverageLines, average_pool_lines, average_pool_lines_gradient
from numbanet.kernels.cpu.pool_lanes import PLANES
from numbanet.kernels.cpu.pool_max import (
    max_pool_gradient,
    max_pool_large,
    max_pool_large_gradient,
    max_pool_planes,
)
from numbanet.kernels.cpu.pool_max_2x2 import max_pool_2x2, max_pool_2x2_gradient
from numbanet.kernels.cpu.pool_max_3x3 import max_pool_3x3
from numbanet.kernels.cpu.pool_max_3x3_gradient import max_pool_3x3_gradient
from numbanet.kernels.cpu.pool_rows import Pool

ELEMENTS_A_CHUNK = 1 << 15
"""Elements of input that a thread claims at once."""
PAIR = 1 << 13
"""Elements of the bands of two planes that are walked down: half of the first cache."""
BAND = 1 << 14
"""Elements of the bands of sixteen planes in scratch memory, if a row of windows does not need more."""
SUMS = 1 << 12
"""Elements of the sums of lines that are held at once: half of the first cache."""
OVERLAP = 56
"""Width × (kernel − stride) from which on overlapping windows are cheaper along lines than in the lanes of sixteen
planes: what lanes add again for each window that shares a column grows with it, a line costs what it costs."""
ROW_2X2, ROW_3X3 = 4, 6
"""Windows a row from which walks along rows are quicker than sixteen planes side by side: most of a vector is idle in
narrow rows (measured on planes of 5 × 5 to 33 × 33)."""
UINT8 = np.dtype(np.uint8)


def _vectors(size: int) -> int:
    """size rounded up to whole vectors."""
    return (size + 15) // 16 * 16


def _declines(pooled, picture) -> str | None:
    return float32_contiguous(pooled, picture) or ("an empty picture" if picture.size == 0 else None)


def _append(program, which, tasks: int, args: tuple, elements: int, scratch: int = 0) -> None:
    """Append a row whose tasks have so many elements of input each."""
    program.append(which, tasks, args, chunk=max(1, min(ELEMENTS_A_CHUNK // elements, tasks)), scratch=scratch)


def _room_of_walk(width: int, out_height: int, pad_x: int) -> tuple[int, int]:
    """Rows of windows of 3 × 3 that are done at once, and the float32 of scratch memory for their lines."""
    pitch = pad_x + width + 3
    band = min(max(PAIR // (4 * pitch), 1), out_height)
    return band, 128 + 2 * (2 * band + 1) * pitch


def _room_of_maxima(which, picture, pooled, window) -> tuple[int, int]:
    """Lines, or rows of windows, that a task does at once, and the float32 of scratch memory for them."""
    (kernel_y, _), (stride, _), (_, pad_x), (dilation, _) = window
    height, width = picture.shape[-2:]
    out_height, out_width = pooled.shape[-2:]
    span = (kernel_y - 1) * dilation + 1
    if which is max_pool_planes:
        lines = BAND // (PLANES * width)
        band = min(max((lines - span) // stride + 1, 1), out_height)
        lines = min((band - 1) * stride + span, height)
        return band, 256 + PLANES * (_vectors(band * out_width) * 5 // 4 + _vectors(lines * width))
    if which is max_pool_gradient:
        band = min(max(BAND // (PLANES * width), 1), height)
        rows = (band + span) // stride + 1
        return band, 256 + PLANES * (_vectors(band * width) + _vectors(rows * out_width) * 5 // 4)
    if which is max_pool_3x3:
        return _room_of_walk(width, out_height, pad_x)
    if which is max_pool_3x3_gradient:
        band = min(max(PAIR // (4 * width), 1), out_height + 1)
        return band, 96 + 3 * _vectors((band + 1) * out_width + width // 2 + 32)
    return 0, 0


def _append_maximum(program, kernels, pooled, positions, picture, window) -> str | None:
    """Append one row of max_pool2d, or of its gradient; kernels are for 2 × 2, 3 × 3, bytes, and large windows."""
    reason = _declines(pooled, picture)
    if reason is not None:
        return reason
    kernel, stride, padding, dilation = window
    height, width = picture.shape[-2:]
    planes, is_small = picture.size // (height * width), positions.dtype is UINT8
    is_3x3 = _is_3x3(pooled, kernel, stride) and dilation == (1, 1)
    which = kernels[0 if _is_2x2(pooled, picture, *window) else 1 if is_3x3 else 2 if is_small else 3]
    band, scratch = _room_of_maxima(which, picture, pooled, window)
    args = Pool(
        pooled, positions if is_small else None, None if is_small else positions, picture, planes, height, width,
        *pooled.shape[-2:], *kernel, *stride, *padding, *dilation, band,
    )  # fmt: skip
    each = PLANES if which in (max_pool_planes, max_pool_gradient) else 1
    _append(program, which, -(-planes // each), args, each * height * width, scratch)
    return None


def _adaptive_windows(size: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """The first cell of each window of an adaptive pool along an axis, and the one behind its last."""
    part = np.arange(parts)
    return part * size // parts, -(-(part + 1) * size // parts)


@functools.lru_cache(maxsize=512)
def _windows(size: int, parts: int, kernel: int, stride: int, padding: int, counted: bool) -> tuple[Array, Array, int]:
    """Tables of the windows along an axis, see ``Average``; and the most cells that a window has.

    kernel 0 means the windows of an adaptive pool."""
    if kernel:
        begin = np.arange(parts) * stride - padding
        end = np.minimum(begin + kernel, size + padding)
        inside = np.maximum(begin, 0), np.minimum(end, size)
        cells = end - begin if counted else inside[1] - inside[0]
    else:
        inside = _adaptive_windows(size, parts)
        cells = inside[1] - inside[0]
    first, last = inside
    cell = np.arange(size)
    # Windows in order: those that a cell lies in follow each other.
    covers = np.searchsorted(last, cell, side="right"), np.searchsorted(first, cell, side="right")
    covers = covers[0], np.maximum(covers[0], covers[1])
    windows, covers = np.stack([first, last, cells], 1), np.stack(covers, 1)
    return table(windows), table(covers), int((last - first).max())


def _append_mean_3x3(program, which, pooled, picture, padding, counted) -> None:
    """Append one row of means of windows of 3 × 3 that are two apart, or of their gradient."""
    height, width = picture.shape[-2:]
    planes = picture.size // (height * width)
    band, scratch = _room_of_walk(width, pooled.shape[-2], padding[1])
    if which is average_pool_3x3_gradient:
        pitch = _vectors(pooled.shape[-1]) + APART
        band = min(max(SUMS // pitch - 1, 1), pooled.shape[-2] + 1)
        scratch = pitch + (band + 1) * pitch + 16
    args = Average3x3(pooled, picture, planes, height, width, *pooled.shape[-2:], *padding, int(counted), band)
    _append(program, which, planes, args, height * width, scratch)


@functools.lru_cache(maxsize=512)
def _even_windows(size: int, parts: int) -> tuple[int, int] | None:
    """Size and stride of the windows of an adaptive pool along an axis, or None if they differ."""
    first, last = _adaptive_windows(size, parts)
    steps = np.unique(np.diff(first))
    if steps.size > 1 or np.unique(last - first).size > 1:
        return None
    return int(last[0] - first[0]), int(steps[0]) if steps.size else int(last[0])


def _append_mean_lines(program, which, pooled, picture, tables, most_lines, stride_y, along) -> None:
    """Append one row of means of overlapping windows, or of their gradient, see ``AverageLines``; ``along`` is (kernel,
    stride, padding) along lines."""
    (height, width), (out_height, out_width), (kernel, stride, padding) = picture.shape[-2:], pooled.shape[-2:], along
    if which is average_pool_lines:
        pitch = max(padding + _vectors(width), stride * _vectors(out_width) + kernel) + 32
        band = held = min(max(SUMS // pitch, 1), out_height)
    else:
        pitch = _vectors(padding + width) + 48
        covering = most_lines // stride_y + 1  # so many rows of windows a line lies in at most
        band = min(max((SUMS // pitch - covering) * stride_y, 1), height)
        held = min(band // stride_y + covering + 1, out_height)
    args = AverageLines(
        pooled, picture, *tables, height, width, out_height, out_width, kernel, stride, padding, band, pitch
    )
    room = 2 * kernel + 2 * _vectors(out_width) + 128 + held * pitch
    _append(program, which, picture.size // (height * width), args, height * width, room)
    for array in tables:
        program.keep(array)


def _append_mean(program, kernels, pooled, picture, kernel=(0, 0), stride=(0, 0), padding=(0, 0), counted=True):
    """Append one row of an average pool, or of its gradient; kernels are for 2 × 2, 3 × 3, any, whole planes and
    overlapping windows."""
    reason = _declines(pooled, picture)
    if reason is not None:
        return reason
    height, width = picture.shape[-2:]
    out_height, out_width = pooled.shape[-2:]
    planes = picture.size // (height * width)
    if (out_height, out_width) == (1, 1) and padding == (0, 0) and kernel in ((0, 0), (height, width)):
        _append(program, kernels[3], planes, Means(pooled, picture, height * width), height * width)
        return None
    if kernel == (0, 0):
        even = _even_windows(height, out_height), _even_windows(width, out_width)
        kernel, stride = (kernel, stride) if None in even else zip(*even, strict=True)
    if _is_2x2(pooled, picture, kernel, stride, padding, (1, 1)):
        args = Average2x2(pooled, picture, height, width, out_height, out_width)
        _append(program, kernels[0], planes, args, height * width)
        return None
    if _is_3x3(pooled, kernel, stride):
        _append_mean_3x3(program, kernels[1], pooled, picture, padding, counted)
        return None
    rows, row_covers, lines = _windows(height, out_height, kernel[0], stride[0], padding[0], counted)
    columns, column_covers, _ = _windows(width, out_width, kernel[1], stride[1], padding[1], counted)
    if stride[1] in (1, 2) and width * (kernel[1] - stride[1]) >= OVERLAP:
        tables, along = (rows, columns, row_covers), (kernel[1], stride[1], padding[1])
        _append_mean_lines(program, kernels[4], pooled, picture, tables, lines, stride[0], along)
        return None
    most = BAND // (PLANES * width)
    if kernels[2] is average_pool_planes:
        # So many rows of windows that their lines fit: windows begin height / out_height or stride lines apart.
        apart = stride[0] or -(-height // out_height)
        band = min(max((most - lines) // apart + 1, 1), out_height)
        room = _vectors(band * out_width) + _vectors(min(band * apart + lines, height) * width)
    else:
        band = min(max(most, 1), height)
        room = _vectors(band * width) + _vectors(out_height * out_width)
    args = Average(
        pooled, picture, rows, columns, row_covers, column_covers, planes, height, width, out_height, out_width, band
    )
    _append(program, kernels[2], -(-planes // PLANES), args, PLANES * height * width, 256 + PLANES * room)
    for array in (rows, columns, row_covers, column_covers):
        program.keep(array)
    return None


def _append_adaptive(program, which, pooled, indices, picture) -> str | None:
    """Append one row of an adaptive pool of maxima, or of its gradient."""
    reason = _declines(pooled, picture)
    if reason is None:
        height, width = picture.shape[-2:]
        args = Adaptive(pooled, indices, picture, height, width, *pooled.shape[-2:])
        _append(program, which, picture.size // (height * width), args, height * width)
    return reason


def _is_2x2(out, x, kernel, stride, padding, dilation) -> bool:
    """Whether windows of 2 × 2 lie side by side, in rows that are worth a walk: out (…, oh, ow) pooled from x."""
    is_plain = kernel == (2, 2) and stride == (2, 2) and padding == (0, 0) and dilation == (1, 1)
    is_plain = is_plain and out.shape[-1] >= ROW_2X2
    return is_plain and all(n == size // 2 for n, size in zip(out.shape[2:], x.shape[2:], strict=True))


def _is_3x3(out, kernel, stride) -> bool:
    """Whether windows of 3 × 3 are two apart, in rows that are worth a walk."""
    return kernel == (3, 3) and stride == (2, 2) and out.shape[-1] >= ROW_3X3


def max_pool2d(program, out, positions, x, kernel, stride, padding, dilation):
    return _append_maximum(program, MAXIMA, out, positions, x, (kernel, stride, padding, dilation))


def max_pool2d_backward(program, out, grad, positions, kernel, stride, padding, dilation):
    return _append_maximum(program, MAXIMA_GRADIENTS, grad, positions, out, (kernel, stride, padding, dilation))


def avg_pool2d(program, out, x, kernel, stride, padding, count_include_pad):
    return _append_mean(program, MEANS, out, x, kernel, stride, padding, count_include_pad)


def avg_pool2d_backward(program, out, grad, kernel, stride, padding, count_include_pad):
    return _append_mean(program, MEANS_GRADIENTS, grad, out, kernel, stride, padding, count_include_pad)


def adaptive_avg_pool2d(program, out, x):
    return _append_mean(program, MEANS, out, x)


def adaptive_avg_pool2d_backward(program, out, grad):
    return _append_mean(program, MEANS_GRADIENTS, grad, out)


def adaptive_max_pool2d(program, out, indices, x):
    return _append_adaptive(program, adaptive_maximum, out, indices, x)


def adaptive_max_pool2d_backward(program, out, grad, indices):
    return _append_adaptive(program, adaptive_maximum_gradient, grad, indices, out)


MAXIMA = (max_pool_2x2, max_pool_3x3, max_pool_planes, max_pool_large)
MAXIMA_GRADIENTS = (max_pool_2x2_gradient, max_pool_3x3_gradient, max_pool_gradient, max_pool_large_gradient)
MEANS = (average_pool_2x2, average_pool_3x3, average_pool_planes, plane_means, average_pool_lines)
MEANS_GRADIENTS = (
    average_pool_2x2_gradient,
    average_pool_3x3_gradient,
    average_pool_gradient,
    plane_means_gradient,
    average_pool_lines_gradient,
)
FUNCTIONS = (
    max_pool2d,
    max_pool2d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    adaptive_max_pool2d,
    adaptive_max_pool2d_backward,
)
