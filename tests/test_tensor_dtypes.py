"""The dtypes of results, by PyTorch's rules."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda f, d, i, b: f + 1, "float32"),
        (lambda f, d, i, b: f * 1.5, "float32"),
        (lambda f, d, i, b: 2 - f, "float32"),
        (lambda f, d, i, b: f + np.float64(1), "float32"),
        (lambda f, d, i, b: d * 2, "float64"),
        (lambda f, d, i, b: f + d, "float64"),
        (lambda f, d, i, b: f + d[0], "float32"),
        (lambda f, d, i, b: i + f, "float32"),
        (lambda f, d, i, b: i + 1, "int64"),
        (lambda f, d, i, b: i + 1.5, "float32"),
        (lambda f, d, i, b: i / 2, "float32"),
        (lambda f, d, i, b: i // 2, "int64"),
        (lambda f, d, i, b: i + True, "int64"),
        (lambda f, d, i, b: b + 1, "int64"),
        (lambda f, d, i, b: b + 1.0, "float32"),
        (lambda f, d, i, b: b * f, "float32"),
        (lambda f, d, i, b: b & b, "bool"),
        (lambda f, d, i, b: b.sum(), "int64"),
        (lambda f, d, i, b: i.sum(), "int64"),
        (lambda f, d, i, b: f > 1, "bool"),
        (lambda f, d, i, b: i.exp(), "float32"),
        (lambda f, d, i, b: f**2, "float32"),
        (lambda f, d, i, b: i**2, "int64"),
        (lambda f, d, i, b: 2**f, "float32"),
        (lambda f, d, i, b: b.where(f, 0.0), "float32"),
        (lambda f, d, i, b: b.where(1, i), "int64"),
        (lambda f, d, i, b: f.argmax(), "int64"),
        (lambda f, d, i, b: nb.cat([f, d]), "float64"),
        (lambda f, d, i, b: np.ones(2) * f, "float64"),
        (lambda f, d, i, b: f + i.int(), "float32"),
        (lambda f, d, i, b: i.int() + i, "int64"),
    ],
)
def test_result_dtypes(backend, make, dtype):
    f, d = nb.tensor([1.0, 2.0]), nb.tensor([1.0, 2.0], dtype=nb.float64)
    i, b = nb.tensor([1, 2]), nb.tensor([True, False])
    result = make(f, d, i, b)
    assert isinstance(result, nb.Tensor)
    assert result.dtype == dtype


def test_dtype_conversions(backend):
    x = nb.tensor([1.7, -1.7])
    assert x.long().tolist() == [1, -1]
    assert x.double().dtype == nb.float64
    assert x.float() is x
    assert x.to(nb.int32).dtype == nb.int32
    assert x.to("float64").dtype == nb.float64
    assert x.to(float) is x
    assert x.bool().tolist() == [True, True]
    assert x.to(nb.tensor([1])).dtype == nb.int64
    assert x.to(nb.float32, copy=True).data_ptr() != x.data_ptr()
    y = nb.tensor([1.0], requires_grad=True)
    y.double().sum().backward()
    assert y.grad.dtype == nb.float32


def test_mixed_dtype_gradients_have_the_leafs_dtype(backend):
    x, y = nb.tensor([2.0], requires_grad=True), nb.tensor([3.0], dtype=nb.float64, requires_grad=True)
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (nb.float32, nb.float64)


def test_bool_arithmetic(backend):
    b = nb.tensor([True, False])
    assert (~b).tolist() == [False, True]
    assert (b | ~b).tolist() == [True, True]
    assert (b ^ True).tolist() == [False, True]
    with pytest.raises(RuntimeError, match="bool"):
        b.sub(b)
    with pytest.raises(RuntimeError, match="bool"):
        _ = -b
    with pytest.raises(TypeError, match="bool tensors"):
        nb.arange(2) & 1


def test_operators_with_strangers(backend):
    x = nb.ones(2)
    for operation in (lambda: x + "a", lambda: None * x, lambda: x @ 2, lambda: x < "a", lambda: x ** "a"):
        with pytest.raises(TypeError):
            operation()
    for method in (x.maximum, x.eq, x.add_, nb.arange(2).mul_):
        with pytest.raises(TypeError, match="do not go together"):
            method("a")
    assert (x == "a") is False
    assert (x != None) is True  # noqa: E711
