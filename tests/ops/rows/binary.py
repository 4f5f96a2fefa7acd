"""Rows of functions of two and three tensors."""

from __future__ import annotations

import numpy as np

from numbanet.ops import binary as binary_ops
from tests.ops.row import Row
from tests.ops.samples import away, bools, normal, positive, ties

BROADCASTS = [((130,), (130,)), ((3, 1, 5), (4, 1)), ((517, 3), (3,)), ((7,), ()), ((0, 3), (3,)), ((33, 17), (33, 1))]


def binary(name, kind, function, oracle, left=normal, right=normal, **settings):
    return Row(name, [kind], function, oracle, [[left(*a), right(*b)] for a, b in BROADCASTS], **settings)


ROWS = [
    binary("add", binary_ops.Add, lambda x, y: x + y, np.add, size=lambda x, y: np.abs(x) + np.abs(y), twice=True),
    binary("sub", binary_ops.Sub, lambda x, y: x - y, np.subtract, size=lambda x, y: np.abs(x) + np.abs(y), twice=True),
    binary("mul", binary_ops.Mul, lambda x, y: x * y, np.multiply, twice=True),
    binary("div", binary_ops.Div, lambda x, y: x / y, np.divide, right=away, twice=True),
    binary("pow", binary_ops.Pow, lambda x, y: x**y, np.power, left=positive, tolerance=64, twice=True),
    binary("maximum", binary_ops.Extreme, lambda x, y: x.maximum(y), np.maximum),
    binary("minimum", binary_ops.Extreme, lambda x, y: x.minimum(y), np.minimum),
    binary(
        "remainder",
        binary_ops.Rounded,
        lambda x, y: x % y.detach(),
        np.remainder,
        right=away,
        size=lambda x, y: np.abs(x) + np.abs(y),
        differentiable=False,
    ),
    binary("floor_divide", binary_ops.Rounded, lambda x, y: x // y, np.floor_divide, right=away, differentiable=False),
    *(
        binary(
            name,
            binary_ops.Compare,
            lambda x, y, name=name: getattr(x, name)(y),
            getattr(np, oracle),
            left=ties,
            right=ties,
            differentiable=False,
        )
        for name, oracle in [
            ("eq", "equal"),
            ("ne", "not_equal"),
            ("lt", "less"),
            ("le", "less_equal"),
            ("gt", "greater"),
            ("ge", "greater_equal"),
            ("logical_and", "logical_and"),
            ("logical_or", "logical_or"),
            ("logical_xor", "logical_xor"),
        ]
    ),
    Row(
        "where",
        [binary_ops.Where],
        lambda c, x, y: c.where(x, y),
        np.where,
        [
            [bools(130), normal(130), normal(130)],
            [bools(3, 1), normal(5), normal(4, 1, 1)],
            [bools(0, 3), normal(3), normal()],
        ],
        twice=True,
    ),
]
