"""Rows of reductions."""

from __future__ import annotations

import numpy as np

from numbanet.autograd import apply
from numbanet.ops import reduce
from tests.ops.row import Row
from tests.ops.samples import distinct, given, normal, positive, ties

AXES = [
    ((), None),
    ((7,), 0),
    ((130, 3), 0),
    ((3, 517), 1),
    ((4, 1, 5), (0, 2)),
    ((3, 4, 5), 1),
    ((0, 3), 0),
    ((2, 0), 0),
    ((33, 17), None),
    ((1030, 5), 0),
    ((2100,), 0),
]


def reduction(name, kind, oracle, sampler, axes=AXES, size=None, **settings):
    """A row an axis: the axis is part of the function."""

    def row(extents, axis, keepdim):
        def at_axis(function):
            return lambda x: function(x, axis=axis, keepdims=keepdim)

        return Row(
            f"{name} {extents} {axis} {keepdim}",
            [kind],
            lambda x: getattr(x, name)(axis, keepdim=keepdim),
            at_axis(oracle),
            [[sampler(*extents)]],
            size=size and at_axis(size),
            **settings,
        )

    return [row(extents, axis, keepdim) for extents, axis in axes for keepdim in (False, True)]


FILLED = [(extents, axis) for extents, axis in AXES if 0 not in extents]
FILLED += [((2, 3, 4, 5), (0, 2)), ((3, 600, 3), 1), ((5, 130, 17), 1), ((1030, 70), 0)]
ALONG = [(extents, axis) for extents, axis in FILLED if isinstance(axis, int)]

ROWS = [
    *reduction("sum", reduce.Sum, np.sum, normal, size=lambda x, **k: np.abs(x).sum(**k), twice=True),
    *reduction(
        "prod",
        reduce.Prod,
        np.prod,
        positive,
        [((7,), 0), ((13, 3), 0), ((3, 4, 2), (0, 2)), ((0, 3), 0)],
        tolerance=64,
        twice=True,
    ),
    Row(
        "prod with zeros",
        [reduce.Prod],
        lambda x: x.prod(1),
        lambda x: x.prod(1),
        [[given([[1.0, 2, 3], [0, 2, 3], [0, 0, 3]])]],
    ),
    *reduction("mean", reduce.Mean, np.mean, normal, FILLED, size=lambda x, **k: np.abs(x).mean(**k), twice=True),
    *reduction("amax", reduce.Amax, np.max, distinct, FILLED),
    *reduction("amin", reduce.Amin, np.min, distinct, FILLED),
    *reduction("argmax", reduce.Argreduce, np.argmax, ties, ALONG, differentiable=False),
    *reduction("argmin", reduce.Argreduce, np.argmin, ties, ALONG, differentiable=False),
    *reduction("any", reduce.Truth, np.any, ties, differentiable=False),
    *reduction("all", reduce.Truth, np.all, ties, differentiable=False),
    *(
        Row(
            f"{name} along {axis}",
            [reduce.MaxAlong],
            lambda x, name=name, axis=axis: tuple(getattr(x, name)(axis)),
            lambda x, name=name, axis=axis: (getattr(np, name)(x, axis), getattr(np, f"arg{name}")(x, axis)),
            [[distinct(5, 7)], [distinct(130, 3)], [distinct(3, 517)], [distinct(2, 2)]],
            twice=False,
        )
        for name in ("max", "min")
        for axis in (0, 1)
    ),
    *reduction(
        "var",
        reduce.Variance,
        lambda x, axis, keepdims: np.var(x, axis, ddof=1, keepdims=keepdims),
        normal,
        [(extents, axis) for extents, axis in FILLED if extents],
        tolerance=64,
        twice=True,
    ),
    Row(
        "var and mean",
        [reduce.Variance],
        lambda x: apply(reduce.Variance((0, 2), True, 0.0), x),
        lambda x: (x.var((0, 2), keepdims=True), x.mean((0, 2), keepdims=True)),
        [[normal(4, 3, 5)], [normal(2, 1, 517)], [normal(130, 3, 1)]],
        size=lambda x: (x.var((0, 2), keepdims=True), np.abs(x).mean((0, 2), keepdims=True)),
        tolerance=64,
        twice=True,
    ),
    Row(
        "std",
        [reduce.Variance],
        lambda x: x.std((0, 2), correction=2),
        lambda x: x.std((0, 2), ddof=2),
        [[normal(4, 3, 5)], [normal(1, 3, 17)]],
        tolerance=64,
        twice=True,
    ),
    Row("norm", [reduce.Sum], lambda x: x.norm(dim=1), lambda x: np.linalg.norm(x, axis=1), [[normal(3, 33)]]),
]
