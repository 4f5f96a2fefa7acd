"""Rows of locally connected layers."""

from __future__ import annotations

import numpy as np

from numbanet.nn import functional as F
from numbanet.ops import local
from tests.ops import oracles
from tests.ops.row import Row
from tests.ops.samples import normal

# x, output channels, kernel, stride, padding
LAYERS = [
    ((1, 1, 1, 1), 1, (1, 1), (1, 1), (0, 0)),
    ((3, 1, 5, 6), 3, (3, 3), (1, 1), (1, 1)),
    ((2, 3, 7, 5), 19, (3, 2), (2, 1), (1, 0)),
    ((17, 2, 4, 5), 5, (2, 3), (1, 2), (0, 1)),
]


def _local_rows():
    for extents, o, kernel, stride, padding in LAYERS:
        size = [(extents[2 + a] + 2 * padding[a] - kernel[a]) // stride[a] + 1 for a in (0, 1)]
        weight = (size[0] * size[1], extents[1] * kernel[0] * kernel[1], o)
        yield Row(
            f"locally_connected2d {extents} {o} {kernel} {stride} {padding}",
            [local.LocallyConnected2d, local.LocallyConnected2dInputGrad, local.LocallyConnected2dWeightGrad],
            lambda x, w, b, t=(kernel, stride, padding): F.locally_connected2d(x, w, b, *t),
            lambda x, w, b, t=(kernel, stride, padding): oracles.locally_connected2d(x, w, b, *t),
            [[normal(*extents), normal(*weight), normal(o, *size)]],
            size=lambda x, w, b, t=(kernel, stride, padding): oracles.locally_connected2d(*map(np.abs, (x, w, b)), *t),
            multilinear=True,
            twice=True,
        )


ROWS = list(_local_rows())
