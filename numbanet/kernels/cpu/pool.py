"""Max and average pooling over windows of a picture, with their gradients; a task is some planes (picture, channel).

The maximum of a row of windows is taken in 16 lanes of neighbouring windows; windows two apart, the usual case, are
split into even and odd columns by a shuffle. The first maximum of a window counts, and the last NaN, as in PyTorch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.vector import (
    every_second,
    interleave,
    lane_index,
    load,
    load_first,
    select,
    splat,
    store,
    store_first,
)

ELEMENTS_A_CHUNK = 1 << 14
"""Elements of input that a thread claims at once."""
NO_PLACE = -1


class Pool(NamedTuple):
    """Arguments of the pooling kernels: planes of (height, width) become planes of (out_height, out_width)."""

    out: F32
    indices: I32
    x: F32
    height: I64_FIELD
    width: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    kernel_y: I64_FIELD
    kernel_x: I64_FIELD
    stride_y: I64_FIELD
    stride_x: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    dilation_y: I64_FIELD
    dilation_x: I64_FIELD
    count_padding: I64_FIELD


@device_function
def spread_load(x, begin, stride, count, first, limit, memory):
    """Lanes x[begin + lane · stride] for lane < count; places outside first … limit − 1 give −inf."""
    last = begin + (count - 1) * stride
    if begin >= first and last < limit:
        if stride == 1:
            return load_first(x, begin, count)
        if stride == 2:
            reach = last - begin + 1
            return every_second(load_first(x, begin, reach), load_first(x, begin + 16, reach - 16), 0)
    for lane in range(16):
        place = begin + lane * stride
        memory[lane] = x[place] if lane < count and place >= first and place < limit else np.float32(-np.inf)
    return load(memory, 0)


@kernel(Pool)
def max_pool_planes(start, stop, row, scratch):
    """out = maximum of each window, indices = its place y · width + x in the plane."""
    p = unpack(row, Pool)
    memory = workspace(row, scratch)
    for plane in range(start, stop):
        x = p.x + plane * p.height * p.width
        target = plane * p.out_height * p.out_width
        for y in range(p.out_height):
            for left in range(0, p.out_width, 16):
                count = min(p.out_width - left, 16)
                best = splat(np.float32(-np.inf))
                where = splat(np.int32(NO_PLACE))
                for ky in range(p.kernel_y):
                    line = y * p.stride_y - p.pad_y + ky * p.dilation_y
                    if line < 0 or line >= p.height:
                        continue
                    for kx in range(p.kernel_x):
                        column = left * p.stride_x - p.pad_x + kx * p.dilation_x
                        begin = line * p.width + column
                        value = spread_load(x, begin, p.stride_x, count, line * p.width, (line + 1) * p.width, memory)
                        place = splat(np.int32(begin)) + lane_index() * splat(np.int32(p.stride_x))
                        inside = is_inside(column, p.stride_x, p.width)
                        better = inside & ((value > best) | (value != value) | (where < splat(np.int32(0))))
                        best, where = select(better, value, best), select(better, place, where)
                store_first(p.out, target + y * p.out_width + left, best, count)
                store_first(p.indices, target + y * p.out_width + left, where, count)
    return 0


@kernel(Pool)
def max_pool_2x2(start, stop, row, scratch):
    """As max_pool_planes for windows of 2 × 2 that lie side by side, by far the commonest."""
    p = unpack(row, Pool)
    for plane in range(start, stop):
        x = p.x + plane * p.height * p.width
        target = plane * p.out_height * p.out_width
        for y in range(p.out_height):
            for left in range(0, p.out_width, 16):
                count = min(p.out_width - left, 16)
                begin = 2 * (y * p.width + left)
                below = begin + p.width
                low, high = load_first(x, begin, 2 * count), load_first(x, begin + 16, 2 * count - 16)
                low_below, high_below = load_first(x, below, 2 * count), load_first(x, below + 16, 2 * count - 16)
                place = splat(np.int32(begin)) + lane_index() + lane_index()
                best, where = every_second(low, high, 0), place
                best, where = better_of(best, where, every_second(low, high, 1), place + splat(np.int32(1)))
                place = place + splat(np.int32(p.width))
                best, where = better_of(best, where, every_second(low_below, high_below, 0), place)
                second = every_second(low_below, high_below, 1)
                best, where = better_of(best, where, second, place + splat(np.int32(1)))
                store_first(p.out, target + y * p.out_width + left, best, count)
                store_first(p.indices, target + y * p.out_width + left, where, count)
    return 0


@device_function
def better_of(best, where, value, place):
    """The larger of best and value and its place; a later NaN wins, an equal value does not."""
    better = (value > best) | (value != value)
    return select(better, value, best), select(better, place, where)


@device_function
def is_inside(column, stride, width):
    """Mask of the lanes whose column lies in the picture."""
    columns = splat(np.int32(column)) + lane_index() * splat(np.int32(stride))
    return (columns >= splat(np.int32(0))) & (columns < splat(np.int32(width)))


@kernel(Pool)
def max_pool_gradient(start, stop, row, scratch):
    """x (the gradient of the input) = 0, then out (the gradient of the output) added at indices."""
    p = unpack(row, Pool)
    for plane in range(start, stop):
        size, out_size = p.height * p.width, p.out_height * p.out_width
        x, out, indices = p.x + plane * size, p.out + plane * out_size, p.indices + plane * out_size
        clear(x, size)
        for i in range(out_size):
            if indices[i] >= 0:  # a window that lies outside the picture altogether has no place
                x[indices[i]] += out[i]
    return 0


@kernel(Pool)
def max_pool_2x2_gradient(start, stop, row, scratch):
    """As max_pool_gradient for windows of 2 × 2 that lie side by side: every element is written once."""
    p = unpack(row, Pool)
    zero, one, below = splat(np.float32(0)), splat(np.int32(1)), splat(np.int32(p.width))
    for plane in range(start, stop):
        x = p.x + plane * p.height * p.width
        target = plane * p.out_height * p.out_width
        for y in range(p.out_height):
            for left in range(0, p.out_width, 16):
                count = min(p.out_width - left, 16)
                at = target + y * p.out_width + left
                gradient, where = load_first(p.out, at, count), load_first(p.indices, at, count)
                begin = 2 * (y * p.width + left)
                place = splat(np.int32(begin)) + lane_index() + lane_index()
                store_pairs(
                    x + begin,
                    select(where == place, gradient, zero),
                    select(where == place + one, gradient, zero),
                    2 * count,
                )
                place = place + below
                store_pairs(
                    x + (begin + p.width),
                    select(where == place, gradient, zero),
                    select(where == place + one, gradient, zero),
                    2 * count,
                )
            if p.width > 2 * p.out_width:
                x[2 * y * p.width + p.width - 1] = np.float32(0)
                x[(2 * y + 1) * p.width + p.width - 1] = np.float32(0)
        clear(x + 2 * p.out_height * p.width, (p.height - 2 * p.out_height) * p.width)
    return 0


@device_function
def store_pairs(out, even, odd, count):
    """out[:count] = even[0], odd[0], even[1], odd[1], …"""
    store_first(out, 0, interleave(even, odd, 0), count)
    store_first(out, 16, interleave(even, odd, 1), count - 16)


@device_function
def clear(x, size):
    """x[:size] = 0."""
    zero = splat(np.float32(0))
    for i in range(0, size - 15, 16):
        store(x, i, zero)
    store_first(x, size // 16 * 16, zero, size % 16)


@device_function
def window_scale(p, y, column):
    """1 / number of elements that the mean of a window divides by."""
    top, left = y * p.stride_y - p.pad_y, column * p.stride_x - p.pad_x
    bottom, right = min(top + p.kernel_y, p.height + p.pad_y), min(left + p.kernel_x, p.width + p.pad_x)
    if p.count_padding == 0:
        top, left, bottom, right = max(top, 0), max(left, 0), min(bottom, p.height), min(right, p.width)
    return np.float32(1) / np.float32((bottom - top) * (right - left))


@kernel(Pool)
def average_pool_planes(start, stop, row, scratch):
    """out = sum of each window in the order (y, x) times 1 / its size."""
    p = unpack(row, Pool)
    for plane in range(start, stop):
        x = p.x + plane * p.height * p.width
        out = p.out + plane * p.out_height * p.out_width
        for y in range(p.out_height):
            for column in range(p.out_width):
                top, left = y * p.stride_y - p.pad_y, column * p.stride_x - p.pad_x
                total = np.float32(0)
                for line in range(max(top, 0), min(top + p.kernel_y, p.height)):
                    for place in range(max(left, 0), min(left + p.kernel_x, p.width)):
                        total += x[line * p.width + place]
                out[y * p.out_width + column] = total * window_scale(p, y, column)
    return 0


@kernel(Pool)
def average_pool_gradient(start, stop, row, scratch):
    """x (the gradient of the input) = out (that of the output) spread evenly over each window."""
    p = unpack(row, Pool)
    for plane in range(start, stop):
        x = p.x + plane * p.height * p.width
        out = p.out + plane * p.out_height * p.out_width
        clear(x, p.height * p.width)
        for y in range(p.out_height):
            for column in range(p.out_width):
                top, left = y * p.stride_y - p.pad_y, column * p.stride_x - p.pad_x
                share = out[y * p.out_width + column] * window_scale(p, y, column)
                for line in range(max(top, 0), min(top + p.kernel_y, p.height)):
                    for place in range(max(left, 0), min(left + p.kernel_x, p.width)):
                        x[line * p.width + place] += share
    return 0


def _append(program, which, pooled, indices, picture, kernel_size, stride, padding, dilation=(1, 1), count_padding=1):
    """Append one row: ``pooled`` are the arrays of the output's shape, ``picture`` of the input's."""
    reason = float32_contiguous(pooled, picture)
    if reason is not None or picture.size == 0:
        return reason
    height, width = picture.shape[-2:]
    args = Pool(
        pooled, indices, picture, height, width, *pooled.shape[-2:], *kernel_size, *stride, *padding, *dilation,
        int(count_padding),
    )  # fmt: skip
    planes = picture.size // (height * width)
    chunk = max(1, min(ELEMENTS_A_CHUNK // (height * width), planes))
    program.append(which, planes, args, chunk=chunk, scratch=16)
    return None


def _is_2x2(out, x, kernel, stride, padding, dilation) -> bool:
    """Whether windows of 2 × 2 lie side by side: out (…, oh, ow) pooled from x (…, h, w)."""
    is_plain = kernel == (2, 2) and stride == (2, 2) and padding == (0, 0) and dilation == (1, 1)
    return is_plain and all(n == size // 2 for n, size in zip(out.shape[2:], x.shape[2:], strict=True))


def max_pool2d(program, out, indices, x, kernel, stride, padding, dilation):
    which = max_pool_2x2 if _is_2x2(out, x, kernel, stride, padding, dilation) else max_pool_planes
    return _append(program, which, out, indices, x, kernel, stride, padding, dilation)


def max_pool2d_backward(program, out, grad, indices, kernel, stride, padding, dilation):
    which = max_pool_2x2_gradient if _is_2x2(grad, out, kernel, stride, padding, dilation) else max_pool_gradient
    return _append(program, which, grad, indices, out, kernel, stride, padding, dilation)


def avg_pool2d(program, out, x, kernel, stride, padding, count_include_pad):
    return _append(program, average_pool_planes, out, None, x, kernel, stride, padding, (1, 1), count_include_pad)


def avg_pool2d_backward(program, out, grad, kernel, stride, padding, count_include_pad):
    return _append(program, average_pool_gradient, grad, None, out, kernel, stride, padding, (1, 1), count_include_pad)


FUNCTIONS = (max_pool2d, max_pool2d_backward, avg_pool2d, avg_pool2d_backward)
