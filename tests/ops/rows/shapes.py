"""Rows of views and indexing."""

from __future__ import annotations

import numpy as np

import numbanet
from numbanet.nn import functional as F
from numbanet.ops import indexing, shape
from tests.ops.row import Row
from tests.ops.samples import bools, each, given, integers, normal


def _repeat_axis(x, index):
    return x[index]


def _cat(tensors, dim):
    return numbanet.cat(tensors, dim)


def _assigned(x, index, values):
    x = x.clone()
    x[index] = values
    return x


def _assigned_array(x, index, values):
    x = x.copy()
    x[index] = values
    return x


def _added(x, index, values):
    x = x.copy()
    np.add.at(x, index, values)
    return x


VIEWS = [
    Row(
        "reshape",
        [shape.Reshape],
        lambda x: x.reshape(3, -1),
        lambda x: x.reshape(3, -1),
        each(normal, (3,), (6, 5), (9, 130)),
        twice=True,
    ),
    Row(
        "permute",
        [shape.Permute],
        lambda x: x.permute(2, 0, 1) * 2,
        lambda x: x.transpose(2, 0, 1) * 2,
        each(normal, (3, 1, 5), (2, 33, 17), (2, 0, 3)),
        twice=True,
    ),
    Row(
        "expand",
        [shape.Expand],
        lambda x: x.expand(4, 3, 5),
        lambda x: np.broadcast_to(x, (4, 3, 5)),
        each(normal, (3, 1), (5,), (4, 1, 5)),
        twice=True,
    ),
    Row("alias", [shape.Alias], lambda x: x.alias() * 2, lambda x: x * 2, each(normal), twice=True),
    Row(
        "slice",
        [shape.Slice, shape.Place],
        lambda x: x[1:, None, ::2, -1],
        lambda x: x[1:, None, ::2, -1],
        each(normal, (3, 5, 2), (130, 7, 1), (1, 4, 3)),
        twice=True,
    ),
]


PADDING = [
    Row(
        f"pad {pad} with {value}",
        [shape.Place, shape.Slice],
        lambda x, p=pad, v=value: F.pad(x, p, value=v),
        lambda x, p=pad, v=value: np.pad(x, ((0, 0), p[2:], p[:2]), constant_values=v),
        each(normal, (3, 5, 2), (130, 7, 1), (2, 1, 33)),
        twice=True,
    )
    for pad, value in (((1, 2, 0, 3), 1.5), ((0, 0, 4, 0), 0.0), ((0, 0, 0, 0), -1.0))
]


INDEXING = [
    Row(
        "take",
        [indexing.Take, indexing.TakeBackward],
        _repeat_axis,
        _repeat_axis,
        [
            [normal(5, 3), integers(-5, 5, 7)],
            [normal(130), integers(0, 130, 3, 2)],
            [normal(4), integers(0, 4, 0)],
            [normal(3, 1, 2), integers(0, 3, 517)],
        ],
        twice=True,
    ),
    Row(
        "take among slices",
        [indexing.Take, indexing.TakeBackward],
        lambda x, i: x[:, i, None, 1:],
        lambda x, i: x[:, i, None, 1:],
        [[normal(4, 5, 3), integers(0, 5, 2, 3)]],
        twice=True,
    ),
    Row(
        "take apart",
        [indexing.Take, indexing.TakeBackward],
        lambda x, i, j: x[i, 1:, j],
        lambda x, i, j: x[i, 1:, j],
        [
            [normal(4, 5, 3), integers(0, 4, 7), integers(0, 3, 7)],
            [normal(4, 5, 3), integers(0, 4, 2, 1), integers(0, 3, 3)],
        ],
    ),
    Row(
        "take apart behind a slice",
        [indexing.Take, indexing.TakeBackward],
        lambda x, i, j: x[:, i, None, :, j],
        lambda x, i, j: x[:, i, None, :, j],
        [[normal(2, 4, 5, 3), integers(0, 4, 7), integers(0, 3, 7)]],
    ),
    Row(
        "mask",
        [indexing.Take, indexing.TakeBackward],
        _repeat_axis,
        _repeat_axis,
        [[normal(33, 17), bools(33, 17)], [normal(6, 2), bools(6)]],
    ),
    Row(
        "gather",
        [indexing.Take],
        lambda x, i: x.gather(1, i),
        lambda x, i: np.take_along_axis(x, i, 1),
        [[normal(5, 7), integers(0, 7, 5, 3)]],
    ),
    Row(
        "put",
        [indexing.Put],
        lambda x, v, i: _assigned(x, i, v),
        lambda x, v, i: _assigned_array(x, i, v),
        [
            [normal(5, 3), normal(2, 3), given([4, 1])],
            [normal(130), normal(), given([[0], [7]])],
            [normal(4, 2), normal(2), bools(4)],
        ],
        twice=True,
        nan=False,
    ),
    Row(
        "put slice",
        [indexing.Put],
        lambda x, v: _assigned(x, (slice(1, None), 0), v),
        lambda x, v: _assigned_array(x, (slice(1, None), 0), v),
        [[normal(5, 3), normal(4)], [normal(2, 1, 7), normal(7)]],
        twice=True,
        nan=False,
    ),
    Row(
        "index_add_",
        [indexing.Put],
        lambda x, v, i: x.clone().index_add_(0, i, v),
        lambda x, v, i: _added(x, i, v),
        [[normal(5, 3), normal(7, 3), integers(0, 5, 7)], [normal(2), normal(130), integers(0, 2, 130)]],
        tolerance=256,
    ),
    Row(
        "cat",
        [indexing.Concatenate],
        lambda x, y, z: _cat((x, y, z), 1),
        lambda x, y, z: np.concatenate((x, y, z), 1),
        [[normal(3, 2), normal(3, 0), normal(3, 517)], [normal(130, 1, 2), normal(130, 4, 2), normal(130, 1, 2)]],
        twice=True,
    ),
]


ROWS = [*VIEWS, *PADDING, *INDEXING]
