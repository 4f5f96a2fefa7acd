"""Which back end tensors belong to, and the random state."""

from __future__ import annotations

import pytest

import numbanet as nb
from numbanet import random


def test_unknown_back_end(backend):
    with pytest.raises(ValueError, match="unknown back end 'cuda'"):
        nb.set_backend("cuda")
    assert nb.get_backend() == backend


def test_back_end_from_the_environment(monkeypatch):
    from numbanet import backends

    monkeypatch.setattr(backends, "_current", None)
    monkeypatch.setenv("NUMBANET_BACKEND", "numpy")
    assert nb.get_backend() == "numpy"
    monkeypatch.setattr(backends, "_current", None)
    monkeypatch.setenv("NUMBANET_BACKEND", "cuda")
    with pytest.raises(ValueError, match="NUMBANET_BACKEND=cuda"):
        nb.get_backend()


def test_moving_between_back_ends(backend):
    x = nb.tensor([1.0, 2.0], requires_grad=True)
    y = x.to(backend="numpy")
    assert y.backend == "numpy"
    assert (y is x) == (backend == "numpy")
    (y * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]
    assert x.grad.backend == backend
    with pytest.raises(ValueError, match="unknown back end"):
        x.to(backend="cuda")


def test_mixing_back_ends_is_an_error():
    pytest.importorskip("numba")
    before = nb.get_backend()
    try:
        nb.set_backend("cpu")
        x = nb.ones(2)
        nb.set_backend("numpy")
        y = nb.ones(2)
        with pytest.raises(RuntimeError, match="Add got tensors of different back ends"):
            x + y
        with pytest.raises(RuntimeError, match="different back ends"):
            x.add_(y)
        assert x.copy_(y * 4).tolist() == [4, 4]
        assert (x + y.to("cpu")).tolist() == [5, 5]
    finally:
        nb.set_backend(before)


def test_seed(backend):
    nb.manual_seed(5)
    a, b = nb.rand(3, 3), nb.randn(5)
    nb.manual_seed(5)
    assert nb.rand(3, 3).equal(a)
    assert nb.randn(5).equal(b)
    assert not nb.randn(5).equal(b)
    assert nb.initial_seed() == 5
    nb.manual_seed(6)
    assert not nb.rand(3, 3).equal(a)
    with pytest.raises(ValueError, match="64 bits"):
        nb.manual_seed(2**64)


def test_streams_are_apart(backend):
    from numbanet.nn import functional as F

    nb.manual_seed(1)
    a = nb.randn(4)
    nb.manual_seed(1)
    F.dropout(nb.ones(100), 0.5)
    assert nb.randn(4).equal(a)


def test_random_state_can_be_saved(backend):
    import json

    nb.manual_seed(3)
    nb.rand(7)
    nb.zeros(5).bernoulli_()
    state = json.loads(json.dumps(random.get_state()))
    a, b = nb.rand(3), nb.zeros(5).bernoulli_()
    nb.manual_seed(0)
    random.set_state(state)
    assert nb.rand(3).equal(a)
    assert nb.zeros(5).bernoulli_().equal(b)


def test_random_distributions(backend):
    x = nb.empty(20_000).uniform_(-1, 3)
    assert -1 <= x.min().item() < -0.99
    assert abs(x.mean().item() - 1) < 0.05
    z = nb.empty(20_000).normal_(2, 3)
    assert abs(z.mean().item() - 2) < 0.1
    assert abs(z.std().item() - 3) < 0.1
    assert abs(nb.empty(20_000).bernoulli_(0.25).mean().item() - 0.25) < 0.02
    i = nb.randint(-2, 3, (1000,))
    assert i.dtype == nb.int64
    assert sorted(set(i.tolist())) == [-2, -1, 0, 1, 2]
    with pytest.raises(RuntimeError):
        nb.zeros(2).normal_(0, -1)


def test_both_back_ends_draw_the_same(backend):
    nb.manual_seed(11)
    found = nb.rand(5).to("numpy"), nb.randn(5).to("numpy")
    nb.set_backend("numpy")
    nb.manual_seed(11)
    assert nb.rand(5).equal(found[0])
    assert nb.randn(5).allclose(found[1])
