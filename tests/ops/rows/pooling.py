"""Rows of pooling."""

from __future__ import annotations

import numpy as np

from numbanet.nn import functional as F
from numbanet.ops import conv_pool, pool
from tests.ops import oracles
from tests.ops.row import Row
from tests.ops.samples import as_pair, distinct, normal, ties

# x, kernel, stride, padding, dilation, ceil_mode
POOLS = [
    ((1, 1, 1, 1), 1, 1, 0, 1, False),
    ((2, 6, 28, 28), 2, 2, 0, 1, False),
    ((2, 3, 7, 5), 3, 2, 1, 1, False),
    ((1, 2, 9, 11), (3, 2), (1, 3), (1, 0), (2, 1), False),
    ((3, 1, 10, 7), 3, 2, 0, 1, True),
    ((1, 1, 130, 5), 2, 2, 1, 1, True),
    ((2, 3, 13, 37), 5, 3, 2, 1, False),
    ((2, 3, 17, 19), (17, 16), 2, (8, 2), 1, False),
    ((2, 3, 9, 37), 3, 1, 1, 1, False),
    ((1, 2, 21, 33), (3, 5), (1, 2), (1, 2), 1, True),
    ((0, 2, 4, 4), 2, 2, 0, 1, False),
]


def _pool_rows():
    for extents, kernel, stride, padding, dilation, ceil_mode in POOLS:
        k, s, p, d = map(as_pair, (kernel, stride, padding, dilation))
        name = f"{extents} {kernel} {stride} {padding} {dilation} {ceil_mode}"
        settings = (k, s, p, d, ceil_mode)
        ops = [pool.MaxPool2d, pool.MaxPool2dBackward] if extents[0] else [pool.MaxPool2d]
        yield Row(
            f"max_pool2d {name}",
            ops,
            lambda x, t=settings: F.max_pool2d(x, *t),
            lambda x, t=settings: oracles.max_pool2d(x, *t),
            [[distinct(*extents)]],
            twice=extents[0] > 0,
        )
        yield Row(
            f"max_pool2d with indices {name}",
            [pool.MaxPool2d, pool.MaxPool2dIndices],
            lambda x, t=settings: F.max_pool2d(x, *t, return_indices=True),
            lambda x, t=settings: (oracles.max_pool2d(x, *t), oracles.max_pool2d_indices(x, *t)),
            [[ties(*extents)]],
            differentiable=False,
        )
        if d == (1, 1):
            for include in (False, True):
                ops = [pool.AvgPool2d, pool.AvgPool2dBackward] if extents[0] else [pool.AvgPool2d]
                yield Row(
                    f"avg_pool2d {name} {include}",
                    ops,
                    lambda x, t=(k, s, p, ceil_mode, include): F.avg_pool2d(x, *t),
                    lambda x, t=(k, s, p, ceil_mode, include): oracles.avg_pool2d(x, *t),
                    [[normal(*extents)]],
                    size=lambda x, t=(k, s, p, ceil_mode, include): oracles.avg_pool2d(abs(x), *t),
                    twice=extents[0] > 0,
                )


# x, output_size
ADAPTIVE = [
    ((2, 3, 4, 6), (2, 1)),
    ((2, 3, 7, 7), 1),
    ((1, 17, 7, 5), (3, 4)),
    ((3, 5, 2, 3), (4, 3)),
    ((1, 2, 33, 41), (5, 7)),
    ((2, 1, 1, 1), 1),
    ((0, 2, 4, 4), 3),
]


def _adaptive_rows():
    for extents, size in ADAPTIVE:
        both = as_pair(size)
        ops = [pool.AdaptiveAvgPool2d, pool.AdaptiveAvgPool2dBackward] if extents[0] else [pool.AdaptiveAvgPool2d]
        yield Row(
            f"adaptive_avg_pool2d {extents} {size}",
            ops,
            lambda x, t=size: F.adaptive_avg_pool2d(x, t),
            lambda x, t=both: oracles.adaptive_pool2d(x, t, np.mean),
            [[normal(*extents)]],
            size=lambda x, t=both: oracles.adaptive_pool2d(abs(x), t, np.mean),
            twice=extents[0] > 0,
        )
        ops = [pool.AdaptiveMaxPool2d, pool.AdaptiveMaxPool2dBackward] if extents[0] else [pool.AdaptiveMaxPool2d]
        yield Row(
            f"adaptive_max_pool2d {extents} {size}",
            ops,
            lambda x, t=size: F.adaptive_max_pool2d(x, t),
            lambda x, t=both: oracles.adaptive_pool2d(x, t, np.max),
            [[distinct(*extents)]],
            twice=extents[0] > 0,
        )
        yield Row(
            f"adaptive_max_pool2d with indices {extents} {size}",
            [pool.AdaptiveMaxPool2d],
            lambda x, t=size: F.adaptive_max_pool2d(x, t, return_indices=True),
            lambda x, t=both: oracles.adaptive_max_pool2d(x, t),
            [[ties(*extents)]],
            differentiable=False,
        )


# x, weight, stride, padding, dilation, groups, window and stride of the pool
CONVOLUTIONS = [
    ((2, 1, 12, 14), (6, 1, 5, 5), 1, 2, 1, 1, 2, 2),
    ((3, 6, 14, 14), (16, 6, 5, 5), 1, 0, 1, 1, 2, 2),
    ((2, 5, 17, 19), (4, 5, 3, 3), (1, 2), 1, (2, 1), 1, 3, 2),
    ((2, 4, 7, 6), (4, 2, 3, 3), 1, 1, 1, 2, (1, 2), 1),
    ((0, 3, 6, 6), (4, 3, 3, 3), 1, 1, 1, 1, 2, 2),
]


def _conv_pool_rows():
    for x, weight, stride, padding, dilation, groups, window, step in CONVOLUTIONS:
        settings = (as_pair(stride), as_pair(padding), as_pair(dilation), groups)
        pooling = (as_pair(window), as_pair(step))
        ops = [conv_pool.Conv2dMaxPool, conv_pool.Conv2dMaxPoolBackward] if x[0] else [conv_pool.Conv2dMaxPool]
        for activation in (None, "relu"):

            def pooled(x, w, b, s=settings, p=pooling, activation=activation):
                return F.conv2d(x, w, b, *s, activation=activation, pool=p)

            def oracle(x, w, b, s=settings, p=pooling, activation=activation):
                y = oracles.max_pool2d(oracles.conv2d(x, w, b, *s), *p, (0, 0), (1, 1), False)
                return y if activation is None else np.where(y < 0, 0, y)

            yield Row(
                f"conv2d with max pool {x} {weight} {settings} {pooling} {activation}",
                ops,
                pooled,
                oracle,
                [[normal(*x), normal(*weight), normal(weight[0])]],
                size=lambda x, w, b, oracle=oracle: oracle(abs(x), abs(w), abs(b)),
                twice=x[0] > 0,
            )


ROWS = [*_pool_rows(), *_conv_pool_rows(), *_adaptive_rows()]
