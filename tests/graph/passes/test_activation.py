"""A ReLU behind a layer is done by the layer's kernel."""

from __future__ import annotations

import pytest

import numbanet as nb
from numbanet import autograd
from numbanet.graph.passes import fuse_activations
from numbanet.nn import functional as F
from tests.graph.passes.checks import arrays, names, planned, without

LAYERS = {
    "linear": (lambda w, b: lambda x: F.linear(x, w, b), [(6, 4), (6,)], (5, 4), "matmul"),
    "matmul": (lambda w: lambda x: x @ w.T, [(6, 4)], (3, 5, 4), "matmul"),
    "conv2d": (lambda w, b: lambda x: F.conv2d(x, w, b, padding=1), [(6, 4, 3, 3), (6,)], (2, 4, 5, 6), "conv2d"),
    "batch_norm": (
        lambda w, b: lambda x: F.batch_norm(x, None, None, w, b, training=True),
        [(4,), (4,)],
        (3, 4, 5, 6),
        "batch_norm",
    ),
    "group_norm": (lambda w, b: lambda x: F.group_norm(x, 2, w, b), [(4,), (4,)], (3, 4, 5, 6), "group_norm"),
}


@pytest.fixture(params=LAYERS)
def case(request, backend):
    """A layer, the shape of its input, and the function of the contract that it is."""
    make, weights, shape, name = LAYERS[request.param]
    return make(*[nb.randn(*one) for one in weights]), shape, name


def test_a_layer_and_a_relu(case):
    layer, shape, name = case
    (call,) = planned(lambda x: layer(x).relu(), arrays(shape))
    assert (call.name, call.arguments["activation"]) == (name, "relu")


def test_in_place(case):
    layer, shape, name = case
    assert names(planned(lambda x: layer(x).relu_() * 2, arrays(shape))) == [name, "binary"]


def test_two_calls_without_the_pass(case, monkeypatch):
    layer, shape, name = case
    without(monkeypatch, fuse_activations)
    assert names(planned(lambda x: layer(x).relu(), arrays(shape))) == [name, "unary"]


def test_with_gradients(case):
    layer, shape, _ = case

    def function(x):
        x = x.detach().requires_grad_()
        y = layer(x).relu()
        return y, autograd.grad((y * y).sum(), x)[0]

    calls = planned(function, arrays(shape))
    assert "unary" not in names(calls)
    assert calls[0].arguments["activation"] == "relu"


def test_a_value_that_is_read_elsewhere(case):
    layer, shape, _ = case

    def function(x):
        y = layer(x)
        return y.relu() + y

    assert "unary" in names(planned(function, arrays(shape)))


def test_a_value_that_is_returned(case):
    layer, shape, name = case

    def function(x):
        y = layer(x)
        return y, y.relu()

    assert names(planned(function, arrays(shape))) == [name, "unary"]


def test_a_value_that_is_changed_between(case):
    layer, shape, name = case
    assert names(planned(lambda x: layer(x).add_(0.5).relu(), arrays(shape))) == [name, "binary", "unary"]


def test_a_part_of_a_value(case):
    layer, shape, _ = case
    assert "unary" in names(planned(lambda x: layer(x)[1:].relu(), arrays(shape)))


def test_a_result_in_memory_that_is_read_between(backend):
    """The ReLU writes where the layer's input still lies."""
    weight = nb.randn(4, 4)

    def function(x):
        y = F.linear(x, weight)
        z = x * 2
        x[...] = y.relu()
        return z

    calls = planned(function, arrays((5, 4)))
    assert calls[-1].name in ("copy", "unary")


@pytest.mark.parametrize("function", ["gelu", "tanh", "sigmoid"])
def test_another_activation(backend, function):
    """Products do more of them than convolutions; GELU's gradient reads what it is applied to."""
    weight, filters = nb.randn(6, 4, requires_grad=True), nb.randn(6, 4, 1, 1)
    activation = getattr(F, function)
    with nb.no_grad():
        assert names(planned(lambda x: activation(F.linear(x, weight)), arrays((5, 4)))) == ["matmul"]
    calls = planned(lambda x: activation(F.conv2d(x, filters)), arrays((2, 4, 3, 3)))
    assert names(calls) == ["conv2d", "unary"]

    def with_gradient(x):
        return autograd.grad((activation(F.linear(x, weight)) ** 2).sum(), weight)[0]

    assert ("unary" in names(planned(with_gradient, arrays((5, 4))))) is (function == "gelu")


def test_a_layer_that_has_one(backend):
    weight = nb.randn(6, 4)
    calls = planned(lambda x: F.linear(x, weight).relu().relu(), arrays((5, 4)))
    assert names(calls) == ["matmul", "unary"]


def test_in_place_after_a_read(case):
    layer, shape, name = case

    def function(x):
        y = layer(x)
        z = y * 2
        return z, y.relu_() * 3

    assert names(planned(function, arrays(shape)))[:2] == [name, "binary"]
