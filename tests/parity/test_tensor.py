"""Tensor's methods, operators and the functions of the top level against PyTorch's, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest

from tests.parity.compare import Case, check_parity

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

A = (4, 5)
MASK = np.arange(20).reshape(A) % 3 == 0
ROWS = np.array([2, 0, 2], dtype=np.int64)
COLUMNS = np.array([1, 1, 4], dtype=np.int64)
TIED = np.array([[1, 3, 3], [2, 2, 1]], dtype=np.float32)

POINTWISE = [
    Case("add", lambda lib, x, y: x + y, (A, A)),
    Case("add_broadcast", lambda lib, x, y: x + y, (A, (5,))),
    Case("add_broadcast_both", lambda lib, x, y: x + y, ((4, 1), (1, 5))),
    Case("add_number", lambda lib, x: 2 + x + 1.5, (A,)),
    Case("sub", lambda lib, x, y: x - y, (A, (4, 1))),
    Case("rsub", lambda lib, x: 3 - x, (A,)),
    Case("mul", lambda lib, x, y: x * y, (A, (1, 5))),
    Case("div", lambda lib, x, y: x / y, (A, A), positive=True),
    Case("rdiv", lambda lib, x: 2.0 / x, (A,), positive=True),
    Case("pow_number", lambda lib, x: x**3, (A,)),
    Case("pow_half", lambda lib, x: x**0.5, (A,), positive=True),
    Case("pow_tensor", lambda lib, x, y: x**y, (A, A), positive=True),
    Case("neg", lambda lib, x: -x, (A,)),
    Case("abs", lambda lib, x: x.abs(), (A,)),
    Case("exp", lambda lib, x: x.exp(), (A,)),
    Case("log", lambda lib, x: x.log(), (A,), positive=True),
    Case("sqrt", lambda lib, x: x.sqrt(), (A,), positive=True),
    Case("relu", lambda lib, x: x.relu(), (A,)),
    Case("sigmoid", lambda lib, x: x.sigmoid(), (A,)),
    Case("tanh", lambda lib, x: x.tanh(), (A,)),
    Case("sin", lambda lib, x: x.sin(), (A,)),
    Case("cos", lambda lib, x: x.cos(), (A,)),
    Case("clamp", lambda lib, x: x.clamp(-0.5, 0.5), (A,)),
    Case("clamp_min", lambda lib, x: x.clamp(min=0.1), (A,)),
    Case("maximum", lambda lib, x, y: lib.maximum(x, y), (A, A)),
    Case("minimum", lambda lib, x, y: lib.minimum(x, y), (A, (5,))),
    Case("where", lambda lib, x, y, mask: lib.where(mask, x, y), (A, A, MASK)),
    Case("compare", lambda lib, x, y: [x < y, x <= y, x > y, x >= y, x == y, x != y], (A, A), grad=False),
]

REDUCTIONS = [
    Case("sum", lambda lib, x: x.sum(), (A,)),
    Case("sum_dim", lambda lib, x: x.sum(dim=1), ((2, 3, 4),)),
    Case("sum_dims", lambda lib, x: x.sum(dim=(0, 2), keepdim=True), ((2, 3, 4),)),
    Case("mean", lambda lib, x: x.mean(), (A,)),
    Case("mean_dim", lambda lib, x: x.mean(dim=-1, keepdim=True), (A,)),
    Case("var", lambda lib, x: x.var(dim=1), (A,)),
    Case("std", lambda lib, x: x.std(), (A,)),
    Case("var_biased", lambda lib, x: x.var(False), (A,)),
    Case("var_axes", lambda lib, x: x.var((0, 2), correction=2, keepdim=True), ((4, 3, 5),)),
    Case("var_unbiased", lambda lib, x: x.var(1, unbiased=False), ((4, 3, 5),)),
    Case("std_of_equals", lambda lib, x: x.expand(2, 3).std(0, correction=0), ((1, 3),)),
    Case("mean_axes", lambda lib, x: x.mean((0, 2)), ((4, 3, 5),)),
    Case("sum_middle", lambda lib, x: x.sum(1), ((4, 33, 5),)),
    Case("argmax_middle", lambda lib, x: x.argmax(1), ((4, 33, 5),), grad=False),
    Case("max", lambda lib, x: x.max(), (A,)),
    Case("max_dim", lambda lib, x: x.max(dim=1), (A,)),
    Case("min_dim", lambda lib, x: x.min(dim=0), (A,)),
    Case("argmax", lambda lib, x: [x.argmax(), x.argmax(dim=1), x.argmin(dim=0)], (A,), grad=False),
    Case("argmax_tied", lambda lib, x: x.argmax(dim=1), (TIED,), grad=False),
    Case("prod", lambda lib, x: x.prod(), ((3, 2),)),
    Case("any_all", lambda lib, m: [m.any(), m.all()], (MASK,), grad=False),
]

SHAPES = [
    Case("reshape", lambda lib, x: x.reshape(2, -1), (A,)),
    Case("view", lambda lib, x: x.view(20), (A,)),
    Case("flatten", lambda lib, x: x.flatten(1), ((2, 3, 4),)),
    Case("transpose", lambda lib, x: x.transpose(0, 2), ((2, 3, 4),)),
    Case("permute", lambda lib, x: x.permute(2, 0, 1), ((2, 3, 4),)),
    Case("t", lambda lib, x: x.T, (A,)),
    Case("squeeze", lambda lib, x: x.squeeze(1), ((4, 1, 5),)),
    Case("unsqueeze", lambda lib, x: x.unsqueeze(-1), (A,)),
    Case("expand", lambda lib, x: x.expand(3, 4, 5), ((4, 1),)),
    Case("cat", lambda lib, x, y: lib.cat([x, y], dim=1), (A, (4, 2))),
    Case("stack", lambda lib, x, y: lib.stack([x, y], dim=1), (A, A)),
    Case("transposed_sum", lambda lib, x: x.T.exp().sum(dim=0), (A,)),
]

INDEXING = [
    Case("index_int", lambda lib, x: x[2], (A,)),
    Case("index_negative", lambda lib, x: x[-1, 3], (A,)),
    Case("index_slice", lambda lib, x: x[1:3, ::2], (A,)),
    Case("index_ellipsis", lambda lib, x: x[..., 1], ((2, 3, 4),)),
    Case("index_none", lambda lib, x: x[:, None, 1:], (A,)),
    Case("index_rows", lambda lib, x, rows: x[rows], (A, ROWS)),
    Case("index_pairs", lambda lib, x, rows, columns: x[rows, columns], (A, ROWS, COLUMNS)),
    Case("index_mixed", lambda lib, x, columns: x[1:, columns], (A, COLUMNS)),
    Case("index_mask", lambda lib, x, mask: x[mask], (A, MASK)),
]

PRODUCTS = [
    Case("matmul", lambda lib, x, y: x @ y, ((6, 7), (7, 5))),
    Case("matmul_vector", lambda lib, x, y: x @ y, ((6, 7), (7,))),
    Case("vector_matmul", lambda lib, x, y: x @ y, ((7,), (7, 5))),
    Case("dot", lambda lib, x, y: x @ y, ((7,), (7,))),
    Case("matmul_batch", lambda lib, x, y: x @ y, ((3, 6, 7), (3, 7, 5))),
    Case("matmul_broadcast", lambda lib, x, y: x @ y, ((3, 6, 7), (7, 5))),
    Case("matmul_transposed", lambda lib, x, y: x.T @ y.T, ((7, 6), (5, 7))),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", POINTWISE + REDUCTIONS + SHAPES + INDEXING + PRODUCTS, ids=str)
def test_tensor(case: Case, dtype: str) -> None:
    check_parity(case, dtype)


def test_second_derivative() -> None:
    def curvature(library, x):
        loss = (x**3).tanh().sum()
        (slope,) = library.autograd.grad(loss, x, create_graph=True)
        return (slope**2).sum()

    check_parity(Case("second", curvature, (A,)), "float64")


@pytest.mark.parametrize(
    ("left", "right"),
    [("float32", "float64"), ("int64", "float32"), ("bool", "float32"), ("bool", "int64"), ("int32", "int64")],
)
def test_promotion(left: str, right: str) -> None:
    x, y = np.ones(3, dtype=left), np.ones(3, dtype=right)
    check_parity(Case("promotion", lambda lib, x, y: x + y, (x, y), grad=False), "float64")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("number", [2, 2.5, True])
def test_promotion_with_a_number(dtype: str, number: float) -> None:
    x = np.ones(3, dtype=dtype)
    check_parity(Case("promotion", lambda lib, x: x * number, (x,), grad=False), "float64")
