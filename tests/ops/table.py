"""The table of operations: every op class has a row (test_table.py looks), and all tests of ops are made from it.

To add an op, add a row: a function of tensors, an oracle in float64, inputs of awkward sizes.
"""

from __future__ import annotations

import numpy as np
import scipy.special

from numbanet import autograd
from numbanet.nn import functional as F
from numbanet.ops import binary as binary_ops
from numbanet.ops import conv, indexing, loss, matmul, optim, pointwise, pool, random, reduce, shape, transfer
from tests.ops import oracles
from tests.ops.row import Row
from tests.ops.samples import (
    SPECIAL,
    away,
    bools,
    distinct,
    given,
    integers,
    normal,
    positive,
    ties,
)

SIZES = [(), (1,), (7,), (130,), (517,), (33, 17), (3, 1, 5), (0, 4)]
BROADCASTS = [((130,), (130,)), ((3, 1, 5), (4, 1)), ((517, 3), (3,)), ((7,), ()), ((0, 3), (3,)), ((33, 17), (33, 1))]


def each(sampler, *shapes):
    """A case a shape, of one input."""
    return [[sampler(*shape)] for shape in shapes or SIZES]


def unary(name, kind, oracle, sampler=normal, specials=True, **settings):
    cases = each(sampler) + ([[given(SPECIAL)]] if specials else [])
    return Row(name, [kind], lambda x: getattr(x, name)(), oracle, cases, **settings)


def binary(name, kind, function, oracle, left=normal, right=normal, **settings):
    return Row(name, [kind], function, oracle, [[left(*a), right(*b)] for a, b in BROADCASTS], **settings)


def sigmoid_size(x):
    return np.maximum(scipy.special.expit(x), 1e-37)


POINTWISE = [
    unary("clone", pointwise.Clone, lambda x: x, twice=True),
    unary("neg", pointwise.Neg, np.negative, twice=True),
    unary("abs", pointwise.Abs, np.abs, away, twice=True),
    unary("exp", pointwise.Exp, np.exp, specials=False, twice=True),
    unary("log", pointwise.Log, np.log, positive, twice=True),
    unary("sqrt", pointwise.Sqrt, np.sqrt, positive, twice=True),
    unary("square", pointwise.Square, np.square, twice=True),
    unary("reciprocal", pointwise.Reciprocal, np.reciprocal, away, twice=True),
    unary("tanh", pointwise.Tanh, np.tanh, twice=True),
    unary("sigmoid", pointwise.Sigmoid, scipy.special.expit, size=sigmoid_size, twice=True),
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
    Row("relu_backward", [pointwise.ReluBackward], lambda g, y: autograd.apply(pointwise.RELU_BACKWARD, g, y),
        lambda g, y: np.where(y <= 0, 0, g), [[normal(*s), away(*s)] for s in SIZES], nan=False),  # as PyTorch: g where y is NaN
    Row("exp of specials", [pointwise.Exp], lambda x: x.exp(), np.exp, [[given([*SPECIAL, 0.0])]], differentiable=False,
        tolerance=64),
    Row("double", [pointwise.Cast], lambda x: x.double().float() if x.dtype == np.float32 else x.float().double(),
        lambda x: x.astype(np.float32).astype(np.float64), each(normal), differentiable=False),
    Row("long", [pointwise.Cast], lambda x: x.long(), lambda x: x.astype(np.int64), each(normal), differentiable=False, nan=False),
    Row("contiguous", [pointwise.Contiguous, shape.Permute], lambda x: x.T.contiguous(), lambda x: x.T, each(normal, (33, 17), (3, 1, 5), (130,), ()), twice=True),
    Row("copy_", [pointwise.CopyFrom], lambda x, y: x.clone().copy_(y), lambda x, y: np.broadcast_to(y, x.shape),
        [[normal(*a), normal(*b)] for a, b in [((7,), (7,)), ((33, 17), (17,)), ((3, 4), ()), ((0, 3), (3,))]], nan=False),
    Row("fill_", [pointwise.Fill], lambda x: x.clone().fill_(2.5), lambda x: np.full(x.shape, 2.5), each(normal), nan=False),
    binary("add", binary_ops.Add, lambda x, y: x + y, np.add, size=lambda x, y: np.abs(x) + np.abs(y), twice=True),
    binary("sub", binary_ops.Sub, lambda x, y: x - y, np.subtract, size=lambda x, y: np.abs(x) + np.abs(y), twice=True),
    binary("mul", binary_ops.Mul, lambda x, y: x * y, np.multiply, twice=True),
    binary("div", binary_ops.Div, lambda x, y: x / y, np.divide, right=away, twice=True),
    binary("pow", binary_ops.Pow, lambda x, y: x**y, np.power, left=positive, tolerance=64, twice=True),
    binary("maximum", binary_ops.Extreme, lambda x, y: x.maximum(y), np.maximum),
    binary("minimum", binary_ops.Extreme, lambda x, y: x.minimum(y), np.minimum),
    binary("remainder", binary_ops.Rounded, lambda x, y: x % y.detach(), np.remainder, right=away,
           size=lambda x, y: np.abs(x) + np.abs(y), differentiable=False),
    binary("floor_divide", binary_ops.Rounded, lambda x, y: x // y, np.floor_divide, right=away, differentiable=False),
    *(binary(name, binary_ops.Compare, lambda x, y, name=name: getattr(x, name)(y), getattr(np, oracle), left=ties,
             right=ties, differentiable=False)
      for name, oracle in [("eq", "equal"), ("ne", "not_equal"), ("lt", "less"), ("le", "less_equal"), ("gt", "greater"),
                           ("ge", "greater_equal"), ("logical_and", "logical_and"), ("logical_or", "logical_or"),
                           ("logical_xor", "logical_xor")]),
    Row("where", [binary_ops.Where], lambda c, x, y: c.where(x, y), np.where,
        [[bools(130), normal(130), normal(130)], [bools(3, 1), normal(5), normal(4, 1, 1)], [bools(0, 3), normal(3), normal()]],
        twice=True),
    Row("transfer", [transfer.Transfer], lambda x: _there_and_back(x), lambda x: x, each(normal)),
]  # fmt: skip


def _there_and_back(x):
    """Through the same op as a move between back ends, which needs only one back end to be there."""
    return transfer.transfer(transfer.transfer(x, "numpy"), x.backend)


AXES = [((), None), ((7,), 0), ((130, 3), 0), ((3, 517), 1), ((4, 1, 5), (0, 2)), ((3, 4, 5), 1), ((0, 3), 0), ((2, 0), 0),
        ((33, 17), None), ((1030, 5), 0), ((2100,), 0)]  # fmt: skip


def reduction(name, kind, oracle, sampler, axes=AXES, **settings):
    """A row an axis: the axis is part of the function."""
    rows = []
    for extents, axis in axes:
        for keepdim in (False, True):
            rows.append(
                Row(
                    f"{name} {extents} {axis} {keepdim}",
                    [kind],
                    lambda x, axis=axis, keepdim=keepdim: getattr(x, name)(axis, keepdim=keepdim),
                    lambda x, axis=axis, keepdim=keepdim: oracle(x, axis=axis, keepdims=keepdim),
                    [[sampler(*extents)]],
                    **{
                        key: (lambda x, axis=axis, keepdim=keepdim, f=value: f(x, axis=axis, keepdims=keepdim))
                        if key == "size"
                        else value
                        for key, value in settings.items()
                    },
                )
            )
    return rows


FILLED = [(extents, axis) for extents, axis in AXES if 0 not in extents]
ALONG = [(extents, axis) for extents, axis in FILLED if isinstance(axis, int)]

REDUCTIONS = [
    *reduction("sum", reduce.Sum, np.sum, normal, size=lambda x, **k: np.abs(x).sum(**k), twice=True),
    *reduction("prod", reduce.Prod, np.prod, positive, [((7,), 0), ((13, 3), 0), ((3, 4, 2), (0, 2)), ((0, 3), 0)], tolerance=64, twice=True),
    Row("prod with zeros", [reduce.Prod], lambda x: x.prod(1), lambda x: x.prod(1),
        [[given([[1.0, 2, 3], [0, 2, 3], [0, 0, 3]])]]),
    *reduction("mean", reduce.Sum, np.mean, normal, FILLED, size=lambda x, **k: np.abs(x).mean(**k)),
    *reduction("amax", reduce.Amax, np.max, distinct, FILLED),
    *reduction("amin", reduce.Amin, np.min, distinct, FILLED),
    *reduction("argmax", reduce.Argreduce, np.argmax, ties, ALONG, differentiable=False),
    *reduction("argmin", reduce.Argreduce, np.argmin, ties, ALONG, differentiable=False),
    *reduction("any", reduce.Truth, np.any, ties, differentiable=False),
    *reduction("all", reduce.Truth, np.all, ties, differentiable=False),
    *(Row(f"{name} along {axis}", [reduce.MaxAlong], lambda x, name=name, axis=axis: tuple(getattr(x, name)(axis)),
          lambda x, name=name, axis=axis: (getattr(np, name)(x, axis), getattr(np, f"arg{name}")(x, axis)),
          [[distinct(5, 7)], [distinct(130, 3)], [distinct(3, 517)], [distinct(2, 2)]], twice=False)
      for name in ("max", "min") for axis in (0, 1)),
    Row("var", [reduce.Sum], lambda x: x.var(1), lambda x: x.var(1, ddof=1), [[normal(3, 33)], [normal(7, 2)]], tolerance=64),
    Row("norm", [reduce.Sum], lambda x: x.norm(dim=1), lambda x: np.linalg.norm(x, axis=1), [[normal(3, 33)]]),
]  # fmt: skip

VIEWS = [
    Row("reshape", [shape.Reshape], lambda x: x.reshape(3, -1), lambda x: x.reshape(3, -1), each(normal, (3,), (6, 5), (9, 130)), twice=True),
    Row("permute", [shape.Permute], lambda x: x.permute(2, 0, 1) * 2, lambda x: x.transpose(2, 0, 1) * 2,
        each(normal, (3, 1, 5), (2, 33, 17), (2, 0, 3)), twice=True),
    Row("expand", [shape.Expand], lambda x: x.expand(4, 3, 5), lambda x: np.broadcast_to(x, (4, 3, 5)),
        each(normal, (3, 1), (5,), (4, 1, 5)), twice=True),
    Row("alias", [shape.Alias], lambda x: x.alias() * 2, lambda x: x * 2, each(normal), twice=True),
    Row("slice", [shape.Slice, shape.SliceBackward], lambda x: x[1:, None, ::2, -1], lambda x: x[1:, None, ::2, -1],
        each(normal, (3, 5, 2), (130, 7, 1), (1, 4, 3)), twice=True),
]  # fmt: skip


def _repeat_axis(x, index):
    return x[index]


INDEXING = [
    Row("take", [indexing.Take, indexing.TakeBackward], _repeat_axis, _repeat_axis,
        [[normal(5, 3), integers(-5, 5, 7)], [normal(130), integers(0, 130, 3, 2)], [normal(4), integers(0, 4, 0)],
         [normal(3, 1, 2), integers(0, 3, 517)]], twice=True),
    Row("take among slices", [indexing.Take, indexing.TakeBackward], lambda x, i: x[:, i, None, 1:], lambda x, i: x[:, i, None, 1:],
        [[normal(4, 5, 3), integers(0, 5, 2, 3)]], twice=True),
    Row("take apart", [indexing.Take, indexing.TakeBackward], lambda x, i, j: x[i, 1:, j], lambda x, i, j: x[i, 1:, j],
        [[normal(4, 5, 3), integers(0, 4, 7), integers(0, 3, 7)], [normal(4, 5, 3), integers(0, 4, 2, 1), integers(0, 3, 3)]]),
    Row("mask", [indexing.Take, indexing.TakeBackward], _repeat_axis, _repeat_axis, [[normal(33, 17), bools(33, 17)], [normal(6, 2), bools(6)]]),
    Row("gather", [indexing.Take], lambda x, i: x.gather(1, i), lambda x, i: np.take_along_axis(x, i, 1), [[normal(5, 7), integers(0, 7, 5, 3)]]),
    Row("put", [indexing.Put], lambda x, v, i: _assigned(x, i, v), lambda x, v, i: _assigned_array(x, i, v),
        [[normal(5, 3), normal(2, 3), given([4, 1])], [normal(130), normal(), given([[0], [7]])], [normal(4, 2), normal(2), bools(4)]], twice=True,
        nan=False),
    Row("put slice", [indexing.Put], lambda x, v: _assigned(x, (slice(1, None), 0), v),
        lambda x, v: _assigned_array(x, (slice(1, None), 0), v), [[normal(5, 3), normal(4)], [normal(2, 1, 7), normal(7)]], twice=True, nan=False),
    Row("index_add_", [indexing.Put], lambda x, v, i: x.clone().index_add_(0, i, v), lambda x, v, i: _added(x, i, v),
        [[normal(5, 3), normal(7, 3), integers(0, 5, 7)], [normal(2), normal(130), integers(0, 2, 130)]], tolerance=256),
    Row("cat", [indexing.Concatenate], lambda x, y, z: _cat((x, y, z), 1), lambda x, y, z: np.concatenate((x, y, z), 1),
        [[normal(3, 2), normal(3, 0), normal(3, 517)], [normal(130, 1, 2), normal(130, 4, 2), normal(130, 1, 2)]], twice=True),
]  # fmt: skip


def _cat(tensors, dim):
    import numbanet

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


def _product_size(a, b):
    return np.matmul(np.abs(a), np.abs(b))


def _linear_size(x, w, b=None):
    return np.abs(x) @ np.abs(w).T + (0 if b is None else np.abs(b))


MATRICES = [((1, 1), (1, 1)), ((7, 13), (13, 5)), ((130, 33), (33, 17)), ((33, 517), (517, 19)), ((3, 5, 7), (3, 7, 2)),
            ((5, 7), (3, 7, 2)), ((2, 1, 5, 7), (4, 7, 2)), ((0, 3), (3, 2)), ((3, 0), (0, 2)), ((65, 64), (64, 129)),
            ((7,), (7, 3)), ((2, 7), (7,)), ((7,), (7,))]  # fmt: skip
LAYERS = [(1, 1, 1), (7, 13, 5), (128, 400, 120), (130, 17, 33), (33, 517, 10), (0, 3, 2)]

PRODUCTS = [
    Row("matmul", [matmul.MatMul], lambda a, b: a @ b, np.matmul, [[normal(*a), normal(*b)] for a, b in MATRICES],
        size=_product_size, multilinear=True, twice=True),
    Row("matmul transposed", [matmul.MatMul], lambda a, b: a.mT @ b.mT, lambda a, b: np.matmul(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)),
        [[normal(13, 7), normal(5, 13)], [normal(130, 33), normal(17, 130)], [normal(2, 5, 3), normal(2, 4, 5)]],
        size=lambda a, b: _product_size(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)), multilinear=True, twice=True),
    Row("linear", [matmul.Linear], F.linear, lambda x, w: x @ w.T, [[normal(m, k), normal(n, k)] for m, k, n in LAYERS],
        size=_linear_size, multilinear=True, twice=True),
    Row("linear with bias", [matmul.Linear], F.linear, lambda x, w, b: x @ w.T + b,
        [[normal(m, k), normal(n, k), normal(n)] for m, k, n in LAYERS] + [[normal(2, 3, 5), normal(4, 5), normal(4)]],
        size=_linear_size, multilinear=True, twice=True),
    Row("linear with relu", [matmul.Linear, pointwise.ReluBackward], lambda x, w, b: F.linear(x, w, b, activation="relu"),
        lambda x, w, b: np.maximum(x @ w.T + b, 0), [[normal(m, k), normal(n, k), normal(n)] for m, k, n in LAYERS],
        size=_linear_size, multilinear=True, twice=True),
]  # fmt: skip

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


def _pair(value):
    return value if isinstance(value, tuple) else (value, value)


def _conv_rows():
    for x, weight, stride, padding, dilation, groups in CONVOLUTIONS:
        settings = (_pair(stride), _pair(padding), _pair(dilation), groups)
        name = f"{x} {weight} {stride} {padding} {dilation} {groups}"
        size = lambda x, w, b=None, s=settings: oracles.conv2d(abs(x), abs(w), None if b is None else abs(b), *s)  # noqa: E731
        ops = [conv.Conv2d, conv.Conv2dInputGrad, conv.Conv2dWeightGrad] if x[0] else [conv.Conv2d]
        shared = {"size": size, "multilinear": True, "twice": x[0] > 0}
        yield Row(f"conv2d {name}", ops, lambda x, w, s=settings: F.conv2d(x, w, None, *s),
                  lambda x, w, s=settings: oracles.conv2d(x, w, None, *s), [[normal(*x), normal(*weight)]], **shared)  # fmt: skip
        yield Row(f"conv2d with bias and relu {name}", ops, lambda x, w, b, s=settings: F.conv2d(x, w, b, *s, activation="relu"),
                  lambda x, w, b, s=settings: _relu(oracles.conv2d(x, w, b, *s)),
                  [[normal(*x), normal(*weight), normal(weight[0])]], **shared)  # fmt: skip
    yield Row("conv2d with bias", [conv.Conv2dWeightGrad], F.conv2d, oracles.conv2d, [[normal(2, 3, 7, 5), normal(4, 3, 3, 3), normal(4)]],
              size=lambda x, w, b: oracles.conv2d(abs(x), abs(w), abs(b)), multilinear=True, twice=True)  # fmt: skip


def _relu(x):
    return np.where(x < 0, 0, x)


# x, kernel, stride, padding, dilation, ceil_mode
POOLS = [
    ((1, 1, 1, 1), 1, 1, 0, 1, False),
    ((2, 6, 28, 28), 2, 2, 0, 1, False),
    ((2, 3, 7, 5), 3, 2, 1, 1, False),
    ((1, 2, 9, 11), (3, 2), (1, 3), (1, 0), (2, 1), False),
    ((3, 1, 10, 7), 3, 2, 0, 1, True),
    ((1, 1, 130, 5), 2, 2, 1, 1, True),
    ((2, 3, 13, 37), 5, 3, 2, 1, False),
    ((0, 2, 4, 4), 2, 2, 0, 1, False),
]


def _pool_rows():
    for extents, kernel, stride, padding, dilation, ceil_mode in POOLS:
        k, s, p, d = map(_pair, (kernel, stride, padding, dilation))
        name = f"{extents} {kernel} {stride} {padding} {dilation} {ceil_mode}"
        settings = (k, s, p, d, ceil_mode)
        ops = [pool.MaxPool2d, pool.MaxPool2dBackward] if extents[0] else [pool.MaxPool2d]
        yield Row(f"max_pool2d {name}", ops, lambda x, t=settings: F.max_pool2d(x, *t),
                  lambda x, t=settings: oracles.max_pool2d(x, *t), [[distinct(*extents)]], twice=extents[0] > 0)  # fmt: skip
        yield Row(f"max_pool2d with indices {name}", [pool.MaxPool2d], lambda x, t=settings: F.max_pool2d(x, *t, return_indices=True),
                  lambda x, t=settings: (oracles.max_pool2d(x, *t), oracles.max_pool2d_indices(x, *t)), [[ties(*extents)]],
                  differentiable=False)  # fmt: skip
        if d == (1, 1):
            for include in (False, True):
                ops = [pool.AvgPool2d, pool.AvgPool2dBackward] if extents[0] else [pool.AvgPool2d]
                yield Row(f"avg_pool2d {name} {include}", ops, lambda x, t=(k, s, p, ceil_mode, include): F.avg_pool2d(x, *t),
                          lambda x, t=(k, s, p, ceil_mode, include): oracles.avg_pool2d(x, *t), [[normal(*extents)]],
                          size=lambda x, t=(k, s, p, ceil_mode, include): oracles.avg_pool2d(abs(x), *t), twice=extents[0] > 0)  # fmt: skip
    yield Row("adaptive_avg_pool2d", [pool.AvgPool2d], lambda x: F.adaptive_avg_pool2d(x, (2, 1)),
              lambda x: x.reshape(2, 3, 2, 2, 1, 6).mean((3, 5)), [[normal(2, 3, 4, 6)]], size=lambda x: np.ones((2, 3, 2, 1)))  # fmt: skip


CLASSES = [(1, 1), (7, 10), (130, 10), (3, 517), (33, 17)]


def _entropy_rows():
    for reduction in ("mean", "sum", "none"):
        for smoothing in (0.0, 0.1):
            for ignore in (-100, 1):
                settings = {"reduction": reduction, "ignore_index": ignore, "label_smoothing": smoothing}
                yield Row(f"cross_entropy {reduction} {smoothing} {ignore}", [loss.CrossEntropy, loss.CrossEntropyBackward],
                          lambda x, t, k=settings: F.cross_entropy(x, t, **k),
                          lambda x, t, k=settings: oracles.cross_entropy(x, t, **k),
                          [[normal(n, c, scale=3), integers(0, c, n)] for n, c in CLASSES if c > 1],
                          size=lambda x, t, k=settings: oracles.cross_entropy(x, t, **k) + 2 * np.abs(x).max(), refuses_twice="twice")  # fmt: skip


LOSSES = [
    Row("softmax", [loss.Softmax, loss.SoftmaxBackward], lambda x: F.softmax(x, -1), lambda x: scipy.special.softmax(x, -1),
        [[normal(*s, scale=3)] for s in CLASSES] + [[normal(7)], [normal(2, 3, 4)]], twice=True, tolerance=64),
    Row("softmax along 1", [loss.Softmax], lambda x: F.softmax(x, 1), lambda x: scipy.special.softmax(x, 1), [[normal(2, 3, 4)]], twice=True, tolerance=64),
    Row("log_softmax", [loss.Softmax, loss.SoftmaxBackward], lambda x: F.log_softmax(x, -1), lambda x: scipy.special.log_softmax(x, -1),
        [[normal(*s, scale=3)] for s in CLASSES] + [[normal(7)], [normal(0, 4)], [normal(2, 3, 4)]], twice=True,
        size=lambda x: np.abs(scipy.special.log_softmax(x, -1)) + 2 * np.abs(x).max(-1, keepdims=True)),
    Row("softmax of large numbers", [loss.Softmax], lambda x: F.softmax(x, -1), lambda x: scipy.special.softmax(x, -1),
        [[given([[1e4, 1e4, -1e4], [3e38, -3e38, 0], [-100, -100.5, -101]])]], differentiable=False, tolerance=64),
    *_entropy_rows(),
    Row("cross_entropy of infinite logits", [loss.CrossEntropy], lambda x, t: F.cross_entropy(x, t, reduction="none"),
        lambda x, t: oracles.cross_entropy(x, t, "none"),
        [[given([[0.0, -np.inf, 1], [np.inf, 0, 0], [0, np.nan, 1], [1e4, -1e4, 0]]), given([0, 1, 2, 1])]], differentiable=False),
    Row("nll_loss", [indexing.Take], lambda x, t: F.nll_loss(F.log_softmax(x, 1), t, ignore_index=1),
        lambda x, t: oracles.cross_entropy(x, t, ignore_index=1), [[normal(7, 10), integers(0, 10, 7)]], size=lambda x, t: np.abs(x).max() * 2,
        twice=True),
    Row("mse_loss", [pointwise.Square], F.mse_loss, lambda x, y: np.mean((x - y) ** 2), [[normal(7, 3), normal(7, 3)]], twice=True),
]  # fmt: skip


def _sgd(*hyper, momentum=True):
    def function(p, g, v):
        p, v = p.detach().clone(), v.detach().clone()
        optim.sgd_update([p], [g], [v] if momentum else [], p.new_tensor(hyper, p.dtype))
        return p, v

    return function


def _adam(lr, beta1, beta2, eps, decay, decoupled, step):
    def function(p, g, m, v):
        p, m, v = p.detach().clone(), m.detach().clone(), v.detach().clone()
        hyper = [lr, beta1, beta2, eps, decay, decoupled, 1 - beta1**step, (1 - beta2**step) ** 0.5]
        optim.adam_update([p], [g], [m], [v], p.new_tensor(hyper, p.dtype))
        return p, m, v

    return function


_PARAMETERS = [(), (1,), (130,), (33, 17), (0,)]


def _optimiser_rows():
    for hyper in [
        (0.1, 0.9, 0, 0, 0, 0),
        (0.1, 0.9, 0, 0, 0, 1),
        (0.1, 0.9, 0.5, 1e-2, 0, 0),
        (0.1, 0.9, 0, 1e-2, 1, 0),
        (0.1, 0, 0, 1e-2, 0, 0),
    ]:
        yield Row(f"sgd {hyper}", [optim.SGDUpdate], _sgd(*hyper, momentum=hyper[1] != 0), lambda p, g, v, h=hyper: oracles.sgd(p, g, v, *h),
                  [[normal(*s), normal(*s), normal(*s)] for s in _PARAMETERS], differentiable=False,
                  size=lambda p, g, v: abs(p) + abs(g) + abs(v))  # fmt: skip
    for hyper in [
        (1e-2, 0.9, 0.999, 1e-8, 0, 0, 1),
        (1e-2, 0.9, 0.999, 1e-8, 1e-2, 0, 7),
        (1e-2, 0.8, 0.99, 1e-6, 1e-2, 1, 100),
    ]:
        yield Row(f"adam {hyper}", [optim.AdamUpdate], _adam(*hyper), lambda p, g, m, v, h=hyper: oracles.adam(p, g, m, v, *h),
                  [[normal(*s), normal(*s), normal(*s), positive(*s)] for s in _PARAMETERS], differentiable=False,
                  tolerance=64, size=lambda p, g, m, v: abs(p) + abs(g) + abs(m) + v + g * g)  # fmt: skip


def _random(kind, *settings):
    return lambda x: autograd.apply_inplace(kind(12345678901, 1, 6, *settings), x.detach().clone())


RANDOM = [
    Row("uniform_", [random.Uniform], _random(random.Uniform, -1.0, 3.0),
        lambda x, dtype: -1 + 4 * oracles.uniform(x.shape, dtype, 12345678901, 1, 6), each(normal, (), (7,), (33, 17)), differentiable=False, nan=False,
        dtype_matters=True, size=lambda x: np.full(x.shape, 4.0)),
    Row("normal_", [random.Normal], _random(random.Normal, 0.5, 2.0),
        lambda x, dtype: 0.5 + 2 * oracles.normal(x.shape, dtype, 12345678901, 1, 6), each(normal, (), (7,), (33, 17)), differentiable=False, nan=False,
        dtype_matters=True, size=lambda x: np.full(x.shape, 4.0)),
]  # fmt: skip

TABLE: list[Row] = [
    *POINTWISE,
    *REDUCTIONS,
    *VIEWS,
    *INDEXING,
    *PRODUCTS,
    *_conv_rows(),
    *_pool_rows(),
    *LOSSES,
    *_optimiser_rows(),
    *RANDOM,
]
