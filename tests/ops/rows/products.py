"""Rows of matrix products and convolutions."""

from __future__ import annotations

import functools

import numpy as np
import scipy.special

from numbanet.nn import functional as F
from numbanet.ops import conv, matmul
from tests.ops import oracles
from tests.ops.row import Row
from tests.ops.samples import as_pair, normal


def _product_size(a, b):
    return np.matmul(np.abs(a), np.abs(b))


def _linear_size(x, w, b=None, residual=None):
    size = np.abs(x) @ np.abs(w).T + (0 if b is None else np.abs(b))
    return size if residual is None else size + np.abs(residual)


GELUS = ("gelu", "gelu_tanh")
AFTER = {
    None: lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": scipy.special.expit,
    "tanh": np.tanh,
    "gelu": oracles.gelu,
    "gelu_tanh": oracles.gelu_tanh,
}


def _linear_after(activation, x, w, b, residual):
    return F.linear(x, w, b, activation, residual)


def _oracle_after(activation, x, w, b, residual):
    return AFTER[activation](x @ w.T + b + residual)


MATRICES = [
    ((1, 1), (1, 1)),
    ((7, 13), (13, 5)),
    ((130, 33), (33, 17)),
    ((33, 517), (517, 19)),
    ((3, 5, 7), (3, 7, 2)),
    ((5, 7), (3, 7, 2)),
    ((2, 1, 5, 7), (4, 7, 2)),
    ((0, 3), (3, 2)),
    ((3, 0), (0, 2)),
    ((65, 64), (64, 129)),
    ((7,), (7, 3)),
    ((2, 7), (7,)),
    ((7,), (7,)),
]
LAYERS = [(1, 1, 1), (7, 13, 5), (128, 400, 120), (130, 17, 33), (33, 517, 10), (0, 3, 2)]
FINISHED_LAYERS = [(7, 13, 5), (130, 17, 33), (0, 3, 2)]

PRODUCTS = [
    Row(
        "matmul",
        [matmul.MatMul],
        lambda a, b: a @ b,
        np.matmul,
        [[normal(*a), normal(*b)] for a, b in MATRICES],
        size=_product_size,
        multilinear=True,
        twice=True,
    ),
    Row(
        "matmul transposed",
        [matmul.MatMul],
        lambda a, b: a.mT @ b.mT,
        lambda a, b: np.matmul(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)),
        [[normal(13, 7), normal(5, 13)], [normal(130, 33), normal(17, 130)], [normal(2, 5, 3), normal(2, 4, 5)]],
        size=lambda a, b: _product_size(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)),
        multilinear=True,
        twice=True,
    ),
    Row(
        "linear",
        [matmul.Linear, matmul.LinearBackward],
        F.linear,
        lambda x, w: x @ w.T,
        [[normal(m, k), normal(n, k)] for m, k, n in LAYERS],
        size=_linear_size,
        multilinear=True,
        twice=True,
    ),
    Row(
        "linear with bias",
        [matmul.Linear, matmul.LinearBackward],
        F.linear,
        lambda x, w, b: x @ w.T + b,
        [[normal(m, k), normal(n, k), normal(n)] for m, k, n in LAYERS] + [[normal(2, 3, 5), normal(4, 5), normal(4)]],
        size=_linear_size,
        multilinear=True,
        twice=True,
    ),
    Row(
        "linear with relu",
        [matmul.Linear, matmul.LinearBackward],
        lambda x, w, b: F.linear(x, w, b, activation="relu"),
        lambda x, w, b: np.maximum(x @ w.T + b, 0),
        [[normal(m, k), normal(n, k), normal(n)] for m, k, n in LAYERS],
        size=_linear_size,
        multilinear=True,
        twice=True,
    ),
    *(
        Row(
            f"linear with residual and {activation}",
            [matmul.Linear, matmul.LinearBackward] if activation not in GELUS else [matmul.Linear],
            functools.partial(_linear_after, activation),
            functools.partial(_oracle_after, activation),
            [[normal(m, k), normal(n, k, scale=k**-0.5), normal(n), normal(m, n)] for m, k, n in FINISHED_LAYERS],
            size=lambda *x, least=activation == "sigmoid": _linear_size(*x) + least,
            twice=True,
        )
        for activation in (None, "relu", "sigmoid", "tanh", *GELUS)
    ),
]

# x, weight, stride, padding, dilation, groups
CONVOLUTIONS = [
    ((1, 1, 1, 1), (1, 1, 1, 1), 1, 0, 1, 1),
    ((2, 3, 7, 5), (4, 3, 3, 3), 1, 1, 1, 1),
    ((3, 1, 28, 28), (6, 1, 5, 5), 1, 2, 1, 1),
    ((2, 6, 14, 14), (16, 6, 5, 5), 1, 0, 1, 1),
    ((2, 4, 11, 13), (7, 4, 3, 2), (2, 3), (1, 0), 1, 1),
    ((2, 4, 12, 9), (6, 2, 3, 3), 1, (2, 1), 2, 2),
    ((1, 17, 9, 37), (33, 17, 3, 3), 1, 1, 1, 1),
    ((1, 5, 8, 8), (5, 1, 3, 3), 2, 1, 1, 5),
    ((5, 8, 6, 6), (9, 8, 1, 1), 1, 0, 1, 1),
    ((2, 3, 9, 9), (4, 3, 1, 1), 2, 0, 1, 1),
    ((1, 2, 5, 130), (3, 2, 2, 7), 1, 0, 1, 1),
    ((0, 3, 6, 6), (4, 3, 3, 3), 1, 1, 1, 1),
]


def _conv_rows():
    for x, weight, stride, padding, dilation, groups in CONVOLUTIONS:
        settings = (as_pair(stride), as_pair(padding), as_pair(dilation), groups)
        name = f"{x} {weight} {stride} {padding} {dilation} {groups}"
        size = lambda x, w, b=None, s=settings: oracles.conv2d(abs(x), abs(w), None if b is None else abs(b), *s)  # noqa: E731
        ops = [conv.Conv2d, conv.Conv2dBackward, conv.Conv2dInputGrad, conv.Conv2dWeightGrad] if x[0] else [conv.Conv2d]
        shared = {"size": size, "multilinear": True, "twice": x[0] > 0}
        yield Row(
            f"conv2d {name}",
            ops,
            lambda x, w, s=settings: F.conv2d(x, w, None, *s),
            lambda x, w, s=settings: oracles.conv2d(x, w, None, *s),
            [[normal(*x), normal(*weight)]],
            **shared,
        )
        yield Row(
            f"conv2d with bias and relu {name}",
            ops,
            lambda x, w, b, s=settings: F.conv2d(x, w, b, *s, activation="relu"),
            lambda x, w, b, s=settings: _relu(oracles.conv2d(x, w, b, *s)),
            [[normal(*x), normal(*weight), normal(weight[0])]],
            **shared,
        )
    yield Row(
        "conv2d with bias",
        [conv.Conv2dWeightGrad],
        F.conv2d,
        oracles.conv2d,
        [[normal(2, 3, 7, 5), normal(4, 3, 3, 3), normal(4)]],
        size=lambda x, w, b: oracles.conv2d(abs(x), abs(w), abs(b)),
        multilinear=True,
        twice=True,
    )


def _relu(x):
    return np.where(x < 0, 0, x)


ROWS = [*PRODUCTS, *_conv_rows()]
