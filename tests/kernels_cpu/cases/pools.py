"""Pools: side by side, overlapping, with gaps, padded, dilated, wider than a vector, with NaN and infinities."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.numpy import KERNELS as NUMPY
from tests.kernels_cpu.cases.case import Case, of_terms, random, unset

# name: (n, c, h, w), kernel, stride, padding, dilation, ceil
GEOMETRIES = {
    "2 x 2": ((2, 3, 8, 10), (2, 2), (2, 2), (0, 0), (1, 1), False),
    "2 x 2, odd": ((2, 3, 7, 41), (2, 2), (2, 2), (0, 0), (1, 1), False),
    "2 x 2, odd, ceil": ((2, 3, 7, 41), (2, 2), (2, 2), (0, 0), (1, 1), True),
    "2 x 2, wide": ((1, 2, 4, 70), (2, 2), (2, 2), (0, 0), (1, 1), False),
    "2 x 2, many planes": ((9, 8, 28, 28), (2, 2), (2, 2), (0, 0), (1, 1), False),
    "overlapping": ((2, 2, 9, 37), (3, 3), (2, 2), (0, 0), (1, 1), False),
    "overlapping, padded": ((2, 2, 9, 37), (3, 3), (2, 2), (1, 1), (1, 1), False),
    "overlapping, many planes": ((3, 7, 13, 31), (3, 3), (2, 2), (0, 0), (1, 1), False),
    "overlapping, padded, many planes": ((3, 7, 12, 30), (3, 3), (2, 2), (1, 1), (1, 1), False),
    "overlapping, one output": ((4, 9, 4, 3), (3, 3), (2, 2), (0, 0), (1, 1), False),
    "overlapping, small and padded": ((4, 9, 2, 1), (3, 3), (2, 2), (1, 1), (1, 1), False),
    "overlapping, padded above and below": ((3, 3, 21, 71), (3, 3), (2, 2), (1, 0), (1, 1), False),
    "overlapping, padded beside": ((3, 3, 21, 61), (3, 3), (2, 2), (0, 1), (1, 1), False),
    "overlapping, ceil": ((3, 5, 10, 12), (3, 3), (2, 2), (0, 0), (1, 1), True),
    "overlapping, very wide": ((3, 2, 14, 1400), (3, 3), (2, 2), (1, 1), (1, 1), False),
    "stride 1": ((1, 2, 6, 20), (3, 2), (1, 1), (1, 1), (1, 1), False),
    "stride 3": ((1, 2, 11, 60), (2, 3), (3, 3), (1, 1), (1, 1), False),
    "gaps": ((1, 2, 11, 23), (2, 2), (3, 4), (0, 0), (1, 1), False),
    "dilated": ((1, 3, 12, 43), (3, 3), (2, 2), (1, 1), (2, 3), False),
    "all of it": ((3, 2, 5, 6), (5, 6), (1, 1), (0, 0), (1, 1), False),
    "one column": ((2, 2, 9, 1), (2, 1), (2, 1), (0, 0), (1, 1), False),
    "ceil, padded": ((1, 2, 8, 9), (3, 3), (2, 2), (1, 1), (1, 1), True),
    "2 x 2, narrow": ((3, 7, 10, 10), (2, 2), (2, 2), (0, 0), (1, 1), False),
    "2 x 2, narrow and odd": ((3, 7, 5, 7), (2, 2), (2, 2), (0, 0), (1, 1), False),
    "2 x 2, one output": ((5, 7, 2, 3), (2, 2), (2, 2), (0, 0), (1, 1), False),
    "groups of planes": ((3, 11, 9, 10), (3, 3), (2, 2), (1, 1), (1, 1), False),
    "small planes": ((2, 17, 3, 2), (2, 2), (1, 1), (1, 1), (1, 1), False),
    "small outputs": ((2, 20, 7, 7), (3, 3), (2, 2), (0, 0), (1, 1), False),
    "several bands": ((1, 17, 37, 61), (3, 3), (2, 2), (1, 1), (1, 1), False),
    "several bands of large windows": ((1, 3, 40, 70), (11, 5), (3, 2), (5, 2), (1, 1), True),
    "overlapping much, one apart": ((2, 3, 9, 37), (3, 3), (1, 1), (1, 1), (1, 1), False),
    "overlapping much, one apart, several bands": ((1, 2, 90, 70), (7, 5), (1, 1), (3, 2), (1, 1), False),
    "overlapping much, two apart": ((2, 3, 60, 41), (4, 4), (2, 2), (1, 1), (1, 1), True),
    "overlapping much, lines left out": ((2, 3, 11, 60), (2, 3), (4, 1), (0, 1), (1, 1), False),
    "overlapping much, wide kernel": ((2, 3, 5, 33), (2, 21), (1, 2), (0, 10), (1, 1), False),
    "windows beside the picture": ((1, 2, 2, 2), (2, 2), (1, 1), (1, 1), (3, 3), False),
    "more cells than a byte can say": ((2, 3, 20, 23), (17, 16), (2, 3), (8, 8), (1, 1), False),
}


def out_shape(shape, kernel, stride, padding, dilation, ceil):
    """PyTorch's rule: the last window begins inside the picture or the padding at its left."""
    sizes = []
    for a in (0, 1):
        span = shape[2 + a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1
        count = -(-span // stride[a]) + 1 if ceil else span // stride[a] + 1
        if (count - 1) * stride[a] >= shape[2 + a] + padding[a]:
            count -= 1
        sizes.append(count)
    return (*shape[:2], *sizes)


def _pictures(name, shape):
    """A plain picture, one with many equal maxima, and one with NaN and infinities."""
    yield "", random(name, *shape)
    yield ", equal", np.round(random(name, *shape))
    odd = random(name, *shape)
    odd.flat[::5], odd.flat[::7], odd.flat[::11] = -np.inf, np.nan, np.inf
    yield ", NaN and infinities", odd
    yield ", all -inf", np.full(shape, -np.inf, np.float32)


def _positions(kernel):
    """The type of the places in a window."""
    return np.uint8 if kernel[0] * kernel[1] <= 256 else np.int32


def _maximum():
    for name, (shape, kernel, stride, padding, dilation, ceil) in GEOMETRIES.items():
        out = out_shape(shape, kernel, stride, padding, dilation, ceil)
        window = (kernel, stride, padding, dilation)
        for kind, x in _pictures(name, shape):
            args = (unset(*out), unset(*out, dtype=_positions(kernel)), x, *window)
            yield Case(f"max_pool2d {name}{kind}", "max_pool2d", args, changed=(0, 1))
        value, places = unset(*out), unset(*out, dtype=_positions(kernel))
        NUMPY["max_pool2d"](value, places, np.round(random(name, *shape)), *window)
        args = (unset(*shape), random(f"grad {name}", *out), places, *window)
        yield Case(f"max_pool2d_backward {name}", "max_pool2d_backward", args, tolerance=of_terms(4))


def _average():
    for name, (shape, kernel, stride, padding, dilation, ceil) in GEOMETRIES.items():
        if dilation != (1, 1):
            continue
        out = out_shape(shape, kernel, stride, padding, dilation, ceil)
        for counted in (True, False):
            kind, window = ", padding counted" if counted else "", (kernel, stride, padding, counted)
            args = (unset(*out), random(name, *shape), *window)
            yield Case(f"avg_pool2d {name}{kind}", "avg_pool2d", args, tolerance=of_terms(4))
            args = (unset(*shape), random(name, *out), *window)
            yield Case(f"avg_pool2d_backward {name}{kind}", "avg_pool2d_backward", args, tolerance=of_terms(4))


# (n, c, h, w), output
ADAPTIVE = {
    "global": ((5, 3, 7, 7), (1, 1)),
    "global, long": ((2, 3, 13, 17), (1, 1)),
    "even": ((2, 9, 8, 12), (4, 3)),
    "uneven": ((2, 9, 8, 11), (3, 4)),
    "larger than the picture": ((1, 17, 5, 3), (7, 8)),
    "several bands": ((1, 2, 90, 70), (7, 13)),
    "as it is": ((1, 3, 4, 5), (4, 5)),
    "windows of 2 x 2": ((2, 9, 14, 38), (7, 19)),
    "windows of 2 x 2, narrow": ((2, 9, 6, 10), (3, 5)),
    "windows of 3 x 3": ((2, 9, 13, 13), (6, 6)),
    "windows of 3 x 2": ((2, 9, 13, 12), (6, 6)),
}


def _adaptive():
    for name, (shape, size) in ADAPTIVE.items():
        out, grad = (*shape[:2], *size), random(f"grad {name}", *shape[:2], *size)
        yield Case(
            f"adaptive_avg_pool2d {name}",
            "adaptive_avg_pool2d",
            (unset(*out), random(name, *shape)),
            tolerance=of_terms(8),
        )
        args = (unset(*shape), grad)
        yield Case(f"adaptive_avg_pool2d_backward {name}", "adaptive_avg_pool2d_backward", args, tolerance=of_terms(8))
        for kind, x in _pictures(name, shape):
            args = (unset(*out), unset(*out, dtype=np.int32), x)
            yield Case(f"adaptive_max_pool2d {name}{kind}", "adaptive_max_pool2d", args, changed=(0, 1))
        value, indices = unset(*out), unset(*out, dtype=np.int32)
        NUMPY["adaptive_max_pool2d"](value, indices, np.round(random(name, *shape)))
        args = (unset(*shape), grad, indices)
        yield Case(f"adaptive_max_pool2d_backward {name}", "adaptive_max_pool2d_backward", args, tolerance=of_terms(8))


POOLS = [*_maximum(), *_average(), *_adaptive()]
