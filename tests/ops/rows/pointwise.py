"""Rows of copies and of functions of one tensor."""

from __future__ import annotations

import numpy as np
import scipy.special

from numbanet import autograd
from numbanet.nn import functional as F
from numbanet.ops import pointwise, shape, transfer
from tests.ops import oracles
from tests.ops.row import Row
from tests.ops.samples import SIZES, SPECIAL, away, each, given, normal, positive


def unary(name, kind, oracle, sampler=normal, specials=True, **settings):
    cases = each(sampler) + ([[given(SPECIAL)]] if specials else [])
    kinds = kind if isinstance(kind, list) else [kind]
    return Row(name, kinds, lambda x: getattr(x, name)(), oracle, cases, **settings)


def sigmoid_size(x):
    return np.maximum(scipy.special.expit(x), 1e-37)


def _there_and_back(x):
    """Through the same op as a move between back ends, which needs only one back end to be there."""
    return transfer.transfer(transfer.transfer(x, "numpy"), x.backend)


ROWS = [
    unary("clone", pointwise.Clone, lambda x: x, twice=True),
    unary("neg", pointwise.Neg, np.negative, twice=True),
    unary("abs", pointwise.Abs, np.abs, away, twice=True),
    unary("exp", pointwise.Exp, np.exp, specials=False, twice=True),
    unary("log", pointwise.Log, np.log, positive, twice=True),
    unary("sqrt", pointwise.Sqrt, np.sqrt, positive, twice=True),
    unary("square", pointwise.Square, np.square, twice=True),
    unary("reciprocal", pointwise.Reciprocal, np.reciprocal, away, twice=True),
    unary("tanh", [pointwise.Tanh, pointwise.TanhBackward], np.tanh, twice=True),
    unary(
        "sigmoid", [pointwise.Sigmoid, pointwise.SigmoidBackward], scipy.special.expit, size=sigmoid_size, twice=True
    ),
    unary("erf", pointwise.Erf, scipy.special.erf, twice=True),
    Row(
        "gelu",
        [pointwise.Gelu, pointwise.GeluBackward],
        F.gelu,
        oracles.gelu,
        [*each(normal), [normal(97, scale=5)], [given(SPECIAL)]],
        twice=True,
    ),
    Row(
        "gelu with tanh",
        [pointwise.Gelu, pointwise.GeluBackward],
        lambda x: F.gelu(x, approximate="tanh"),
        oracles.gelu_tanh,
        [*each(normal), [normal(97, scale=5)], [given(SPECIAL)]],
        size=lambda x: np.where(x < 0, 1 + x**2, 1) * np.abs(oracles.gelu_tanh(x)) + 1e-30,
        twice=True,
    ),
    unary("relu", pointwise.Relu, lambda x: np.where(x < 0, 0, x), away, twice=True),
    unary("sin", pointwise.Sin, np.sin, specials=False, twice=True, size=lambda x: np.ones(x.shape)),
    unary("cos", pointwise.Cos, np.cos, specials=False, twice=True, size=lambda x: np.ones(x.shape)),
    unary("sign", pointwise.Step, np.sign, away),
    unary("floor", pointwise.Step, np.floor, away),
    unary("ceil", pointwise.Step, np.ceil, away),
    unary("round", pointwise.Step, np.rint, away),
    unary("isnan", pointwise.Predicate, np.isnan, differentiable=False),
    unary("isinf", pointwise.Predicate, np.isinf, differentiable=False),
    unary("logical_not", pointwise.Predicate, np.logical_not, differentiable=False),
    Row(
        "relu_backward",
        [pointwise.ReluBackward],
        lambda g, y: autograd.apply(pointwise.RELU_BACKWARD, g, y),
        lambda g, y: np.where(y <= 0, 0, g),
        [[normal(*s), away(*s)] for s in SIZES],
        nan=False,
    ),  # as PyTorch: g where y is NaN
    Row(
        "exp of specials",
        [pointwise.Exp],
        lambda x: x.exp(),
        np.exp,
        [[given([*SPECIAL, 0.0])]],
        differentiable=False,
        tolerance=64,
    ),
    Row(
        "double",
        [pointwise.Cast],
        lambda x: x.double().float() if x.dtype == np.float32 else x.float().double(),
        lambda x: x.astype(np.float32).astype(np.float64),
        each(normal),
        differentiable=False,
    ),
    Row(
        "long",
        [pointwise.Cast],
        lambda x: x.long(),
        lambda x: x.astype(np.int64),
        each(normal),
        differentiable=False,
        nan=False,
    ),
    Row(
        "contiguous",
        [pointwise.Contiguous, shape.Permute],
        lambda x: x.T.contiguous(),
        lambda x: x.T,
        each(normal, (33, 17), (3, 1, 5), (130,), ()),
        twice=True,
    ),
    Row(
        "copy_",
        [pointwise.CopyFrom],
        lambda x, y: x.clone().copy_(y),
        lambda x, y: np.broadcast_to(y, x.shape),
        [[normal(*a), normal(*b)] for a, b in [((7,), (7,)), ((33, 17), (17,)), ((3, 4), ()), ((0, 3), (3,))]],
        nan=False,
    ),
    Row(
        "fill_",
        [pointwise.Fill],
        lambda x: x.clone().fill_(2.5),
        lambda x: np.full(x.shape, 2.5),
        each(normal),
        nan=False,
    ),
    Row("transfer", [transfer.Transfer], lambda x: _there_and_back(x), lambda x: x, each(normal)),
]
