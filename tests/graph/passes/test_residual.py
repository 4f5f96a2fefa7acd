"""A sum behind a norm or a product is done by the layer's kernel."""

from __future__ import annotations

import pytest

import numbanet as nb
from numbanet import nn
from numbanet.graph.passes import fuse_residuals
from numbanet.nn import functional as F
from tests.graph.networks import training_step
from tests.graph.passes.checks import arrays, names, planned, without

SHAPE = (3, 4, 5, 6)
NORMS = {
    "batch_norm": lambda w, b: lambda x: F.batch_norm(x, None, None, w, b, training=True),
    "group_norm": lambda w, b: lambda x: F.group_norm(x, 2, w, b),
}


@pytest.fixture(params=NORMS)
def name(request):
    return request.param


@pytest.fixture
def norm(backend, name):
    return NORMS[name](nb.randn(4), nb.randn(4))


@pytest.mark.parametrize("turned", [False, True])
def test_a_norm_a_sum_and_a_relu(name, norm, turned):
    (call,) = planned(lambda x, r: (r + norm(x) if turned else norm(x) + r).relu(), arrays(SHAPE, SHAPE))
    assert call.name == name
    assert call.arguments["residual"] is not None
    assert call.arguments["activation"] == "relu"


def test_the_sum_lies_where_the_residual_does(backend):
    """A product of two blocks writes the first before it could read what it is added to."""
    x, w, total = (nb.randn(*shape) for shape in ((9, 300), (300, 20), (9, 20)))
    expected = total + x @ w
    compiled = nb.compile(lambda x, w, total: total.add_(x @ w))
    for _ in range(3):
        result = total.clone()
        compiled(x, w, result)
        assert (result == expected).all().item()


def test_in_place(name, norm):
    assert names(planned(lambda x, r: norm(x).add_(r) * 2, arrays(SHAPE, SHAPE))) == [name, "binary"]


def test_without_the_pass(name, norm, monkeypatch):
    without(monkeypatch, fuse_residuals)
    assert names(planned(lambda x, r: norm(x) + r, arrays(SHAPE, SHAPE))) == [name, "binary"]


def test_a_residual_that_is_made_later(name, norm):
    """The norm waits for it."""
    calls = planned(lambda x, r: norm(x) + r.exp(), arrays(SHAPE, SHAPE))
    assert names(calls) == ["unary", name]


def test_a_residual_that_is_broadcast(name, norm):
    assert names(planned(lambda x, r: norm(x) + r, arrays(SHAPE, (4, 1, 1)))) == [name, "binary"]


def test_twice_the_same(name, norm):
    def function(x):
        y = norm(x)
        return y + y

    assert names(planned(function, arrays(SHAPE))) == [name, "binary"]


def test_a_value_that_is_read_elsewhere(name, norm):
    def function(x, r):
        y = norm(x)
        return (y + r) * y

    calls = planned(function, arrays(SHAPE, SHAPE))
    assert calls[0].arguments["residual"] is None


def test_an_input_that_is_changed_before_the_sum(name, norm):
    def function(x, r):
        y = norm(x)
        x.fill_(3)
        return y + r

    calls = planned(function, arrays(SHAPE, SHAPE))
    assert names(calls) == [name, "fill", "binary"]


@pytest.mark.parametrize("is_square", [True, False])
def test_a_product(backend, is_square):
    """And what is broadcast stays a sum of its own."""
    weight = nb.randn(4, 6)
    calls = planned(lambda x, r: (F.linear(x, weight) + r).tanh(), arrays((5, 6), (5, 4) if is_square else (4,)))
    assert names(calls) == (["matmul"] if is_square else ["matmul", "binary", "unary"])


class Plain(nn.Module):
    """A residual block as people write it, with a shortcut of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.second, self.norm2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.shortcut, self.norm3 = nn.Conv2d(2, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.third, self.norm4 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        y = F.relu(self.norm1(self.first(x)))
        y = F.relu(self.norm2(self.second(y)) + self.norm3(self.shortcut(x)))
        y = F.relu(self.norm4(self.third(y)) + y)
        return self.head(F.adaptive_avg_pool2d(y, 1).flatten(1))


def test_a_residual_network_has_no_pass_over_memory_of_its_own(backend):
    """Nor has its gradient, but for the sums of gradients."""
    model = Plain()
    step = nb.compile(training_step(model, nb.optim.SGD(model.parameters(), 0.1)))
    x, y = nb.randn(5, 2, 6, 6), nb.tensor([0, 1, 2, 0, 1])
    for _ in range(3):
        step(x, y)
    found = names(step.plans[-1].calls)
    assert found.count("unary") == found.count("relu_backward") == 0
    assert found.count("binary") == 1
