"""A batch norm with given statistics is folded into the convolution before it: within 1e-5 of eager execution."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn
from numbanet.graph.passes import fold_batch_norms
from tests.graph.passes.checks import names, same_bits, without


def network(norm: nn.Module | None = None, bias: bool = True, **settings) -> nn.Module:
    """A convolution and a norm whose statistics and weights are none of the usual."""
    model = nn.Sequential(nn.Conv2d(3, 5, 3, bias=bias, **settings), norm or nn.BatchNorm2d(5))
    nb.manual_seed(1)
    with nb.no_grad():
        for tensor in (*model.parameters(), model[1].running_mean, model[1].running_var):
            if tensor is not None:
                tensor.uniform_(0.2, 1.7)
    return model.eval()


def pictures(seed: int, size: int = 4) -> nb.Tensor:
    return nb.tensor(np.random.default_rng(seed).standard_normal((size, 3, 9, 8), np.float32))


def planned(function, calls: int = 4) -> list[str]:
    """The names of the plan's calls; results are within 1e-5 of eager execution, against the largest."""
    compiled = nb.compile(function)
    with nb.no_grad():
        for seed in range(calls):
            expected, found = (one(pictures(seed)).numpy() for one in (function, compiled))
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    (plan,) = compiled.plans
    return names(plan.calls)


FOLDED = ["batch_norm_fold", "conv2d"]


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"bias": False},
        {"norm": lambda: nn.BatchNorm2d(5, affine=False)},
        {"stride": 2, "padding": 1},
        {"groups": 1, "dilation": 2},
    ],
    ids=["bias", "no bias", "not affine", "stride", "dilation"],
)
@pytest.mark.parametrize("activation", [False, True])
def test_convolution_norm_and_activation(backend, model, activation):
    settings = {**model, "norm": model["norm"]()} if "norm" in model else model
    model = network(**settings)
    assert planned(lambda x: model(x).relu() if activation else model(x)) == FOLDED


def test_groups_and_one_dimension(backend):
    deep, lines = nn.Conv2d(3, 6, 3, groups=3), nn.Conv1d(3, 4, 3)
    norms = nn.BatchNorm2d(6).eval(), nn.BatchNorm1d(4).eval()
    assert planned(lambda x: norms[0](deep(x))) == FOLDED
    assert planned(lambda x: norms[1](lines(x.flatten(2)))) == FOLDED


def test_float64(backend):
    model = network().double()
    assert planned(lambda x: model(x.double()))[-2:] == FOLDED


def test_weights_and_statistics_may_change(backend):
    model = network()
    compiled = nb.compile(model)
    with nb.no_grad():
        for seed in range(6):
            for tensor in (*model.parameters(), model[1].running_mean, model[1].running_var):
                tensor.mul_(1.1)
            expected = model(pictures(seed)).numpy()
            np.testing.assert_allclose(compiled(pictures(seed)).numpy(), expected, rtol=0, atol=1e-5 * expected.max())
    assert names(compiled.plans[0].calls) == FOLDED


def read_twice(model):
    def function(x):
        y = model[0](x)
        return model[1](y) * y

    return function


def activated_before(model):
    return lambda x: model[1](model[0](x).relu())


def reshaped_into_samples(model):
    """Two samples for one: each has half of the pixels of what was 5 channels, in other channels."""
    return lambda x: model[1](model[0](x).reshape(8, 5, 7, 3))


def reshaped_into_channels(model):
    norm = nn.BatchNorm2d(10).eval()
    norm.running_mean.normal_()
    return lambda x: norm(model[0](x).reshape(4, 10, 7, 3))


@pytest.mark.parametrize("make", [read_twice, activated_before, reshaped_into_samples, reshaped_into_channels])
def test_what_is_read_elsewhere_or_otherwise_stays(backend, make):
    assert "batch_norm_fold" not in planned(make(network()))


def test_a_norm_without_eps_stays(backend):
    """A channel without variance is infinite eagerly, and would be not a number in a sum of infinite products."""
    model = network(nn.BatchNorm2d(5, eps=0.0))
    with nb.no_grad():
        model[1].running_var[2] = 0
    compiled = nb.compile(model)
    with nb.no_grad():
        for seed in range(4):
            np.testing.assert_array_equal(compiled(pictures(seed)).numpy(), model(pictures(seed)).numpy())
    assert "batch_norm_fold" not in names(compiled.plans[0].calls)


def test_training_is_left_alone(backend):
    """Its own statistics, and given ones whose gradients are wanted: the bits of eager execution."""
    for train in (True, False):
        model = network().train(train)

        def step(x, model=model):
            loss = model(x).square().mean()
            loss.backward()
            return loss

        compiled = nb.compile(step)
        for seed in range(3):
            model.zero_grad()
            compiled(pictures(seed))
        assert "batch_norm_fold" not in names(compiled.plans[0].calls)


def test_frozen_layers_of_a_training_step(backend):
    """Nobody asks for gradients of the norm, and what is trained behind it has the bits of eager execution."""

    def train(compiled: bool):
        model = network().requires_grad_(False)
        head = nn.Linear(5, 2)
        nn.init.constant_(head.weight, 0.3)
        optimizer = nb.optim.SGD(head.parameters(), 0.1)

        def step(x):
            optimizer.zero_grad()
            loss = head(model(x).mean((2, 3))).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        function = nb.compile(step) if compiled else step
        losses = [function(pictures(seed)).item() for seed in range(5)]
        return losses, head.weight.detach().numpy().tobytes(), function

    eager, compiled = train(False), train(True)
    assert compiled[:2] == eager[:2]
    assert "batch_norm" in names(compiled[2].plans[0].calls)


def test_without_the_pass(backend, monkeypatch):
    without(monkeypatch, fold_batch_norms)
    model = network()
    compiled = nb.compile(model)
    with nb.no_grad():
        for seed in range(3):
            assert same_bits(compiled(pictures(seed)).numpy(), model(pictures(seed)).numpy())
    assert names(compiled.plans[0].calls) == ["conv2d", "batch_norm"]


def test_a_whole_network(backend):
    model = nb.models.create_model("resnet20").eval()
    compiled = nb.compile(model)
    with nb.no_grad():
        for seed in range(3):
            x = nb.tensor(np.random.default_rng(seed).standard_normal((2, 3, 32, 32), np.float32))
            expected = model(x).numpy()
            np.testing.assert_allclose(compiled(x).numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    found = names(compiled.plans[0].calls)
    assert found.count("batch_norm_fold") == 10
    assert found.count("batch_norm") == 9  # with a residual, which they add in the same pass
