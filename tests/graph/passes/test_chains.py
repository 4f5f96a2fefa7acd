"""Pointwise functions behind each other become one call."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb
from numbanet import autograd
from numbanet.graph.lower import make_call
from numbanet.graph.passes import fuse_chains
from numbanet.graph.passes.chains import MOST_ARRAYS, MOST_STEPS
from numbanet.graph.trace import TEMPORARY, Buffer
from numbanet.kernels.array import Array
from numbanet.kernels.backend import load_backend
from numbanet.nn import functional as F
from tests.graph.passes.checks import arrays, names, planned, without

SHAPE = (7, 900)


def the_chain(calls) -> dict:
    (call,) = [one for one in calls if one.name == "pointwise_chain"]
    return call.arguments


@pytest.mark.parametrize("shape", [(1,), (5, 3), (3, 4097)])
def test_a_chain(backend, shape):
    given = the_chain(planned(lambda x, y: ((x * 2 + y).tanh() - y).relu(), arrays(shape, shape)))
    assert [step[1] for step in given["steps"]] == ["mul", "add", "tanh", "sub", "relu"]
    assert len(given["outs"]) == 1
    assert len(given["inputs"]) == 3


def test_without_the_pass(backend, monkeypatch):
    without(monkeypatch, fuse_chains)
    assert len(planned(lambda x, y: ((x * 2 + y).tanh() - y).relu(), arrays(SHAPE, SHAPE))) == 5


def test_every_function(backend):
    """Two functions each, as the eager ones, with NaN and infinities."""

    def make(seed):
        x, y = (np.random.default_rng(seed).standard_normal(500).astype(np.float32) for _ in range(2))
        x[:6] = np.nan, np.inf, -np.inf, 0, -0.0, 1e38
        return nb.tensor(x), nb.tensor(y)

    def function(x, y):
        unary = [x.relu(), x.exp(), x.log(), x.sigmoid(), x.sin(), x.cos(), x.sqrt(), x.floor(), F.gelu(x), x.abs()]
        binary = [x / y, x**y, x.maximum(y), x.minimum(y), x // y, x % y, x - y]
        return [one.tanh() * y for one in unary + binary]

    with np.errstate(all="ignore"):
        calls = planned(function, make)
    assert set(names(calls)) == {"pointwise_chain"}


def test_results_of_several_shapes(backend):
    """A view in the middle, with a result in front of it and one behind: one size, two shapes."""

    def function(x):
        y = x.exp() * 2
        return y, (y.view(4, 6) + 1).tanh()

    given = the_chain(planned(function, arrays((24,))))
    assert sorted(out.shape for out in given["outs"]) == [(4, 6), (24,)]


def test_a_value_that_is_kept(backend):
    def function(x):
        y = x.exp()
        return y, (y + 1).sin()

    given = the_chain(planned(function, arrays(SHAPE)))
    assert len(given["outs"]) == 2
    assert sorted(given["kept"]) == [2, 4]


def test_a_gradient(backend):
    def function(x):
        x = x.detach().requires_grad_()
        y = x * x.sigmoid()
        return y, autograd.grad(y.sum(), x)[0]

    calls = names(planned(function, arrays(SHAPE)))
    assert len(calls) <= 3
    assert "binary" not in calls


def test_branches_that_meet(backend):
    def function(x, y):
        return (x.exp() + y) * (y.tanh() - x)

    calls = planned(function, arrays(SHAPE, SHAPE))
    assert names(calls) == ["pointwise_chain"]
    assert len(the_chain(calls)["inputs"]) == 2


def test_a_value_that_is_reduced_between(backend):
    def function(x):
        y = x.exp()
        return (y / y.sum()).log()

    calls = planned(function, arrays(SHAPE))
    assert names(calls) == ["unary", "reduce", "pointwise_chain"]


def test_broadcasting_ends_a_chain(backend):
    def function(x, y):
        return (x.exp() + y).sin()

    assert names(planned(function, arrays(SHAPE, SHAPE[1:])))[0] == "unary"
    assert names(planned(function, arrays(SHAPE[1:], SHAPE)))[0] == "unary"


def test_strides_end_a_chain(backend):
    assert "pointwise_chain" not in names(planned(lambda x: x.exp().T + 1, arrays((5, 6))))


def test_another_dtype_ends_a_chain(backend):
    calls = names(planned(lambda x: (x.exp() > 1).float() * 2, arrays(SHAPE)))
    assert "pointwise_chain" not in calls


def test_in_place_changes_stay_in_order(backend):
    def function(x):
        y = x.exp()
        z = y * 2
        y.add_(1)
        return z.sin(), y.cos()

    assert names(planned(function, arrays(SHAPE))) == ["pointwise_chain", "binary", "unary"]


def test_an_input_that_is_overwritten_between(backend):
    def function(x, y):
        z = x.exp()
        x.copy_(y)
        return z * 2, x.clone()

    assert names(planned(function, arrays(SHAPE, SHAPE))) == ["pointwise_chain", "copy", "copy"]


def test_a_step_that_writes_what_the_chain_reads(backend):
    """No op does that; a function of the contract may."""
    load = load_backend(backend)
    x, y = (Array(Buffer(at, load.allocate(40), TEMPORARY), (10,), np.dtype(np.float32)) for at in range(2))
    first = make_call("unary", {"out": y, "x": x, "function": "exp"}, None)
    second = make_call("binary", {"out": x, "x": y, "y": y, "function": "add"}, None)
    assert fuse_chains([first, second], load) == [first, second]


def test_chains_have_an_end(backend):
    def long(x):
        for _ in range(3 * MOST_STEPS):
            x = x.sin()
        return x

    calls = planned(long, arrays(SHAPE))
    assert max(len(call.arguments["steps"]) for call in calls) <= MOST_STEPS

    def wide(*inputs):
        total = inputs[0]
        for one in inputs[1:]:
            total = total + one
        return total

    calls = planned(wide, arrays(*[SHAPE] * (2 * MOST_ARRAYS)))
    assert len(calls) > 1
    assert all(len(call.arguments["inputs"]) < MOST_ARRAYS for call in calls if call.name == "pointwise_chain")


def test_a_result_takes_the_memory_of_an_input(backend):
    """But not while a later step reads that."""

    def function(x, w):
        a = x @ w
        y = a.exp()
        return y, y * 2 + a

    calls = planned(function, arrays((30, 40), (40, 50)))
    outs, inputs = (the_chain(calls)[name] for name in ("outs", "inputs"))
    first, second = [out.storage for out, kept in sorted(zip(outs, the_chain(calls)["kept"], strict=True), key=at_kept)]
    assert second in {one.storage for one in inputs}
    assert first not in {one.storage for one in inputs}


def at_kept(pair) -> int:
    return pair[1]
