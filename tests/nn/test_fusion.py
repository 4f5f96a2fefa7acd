"""A layer and its ReLU in one kernel: the same bits, and never behind anybody's back."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb
from numbanet import autograd, nn
from numbanet.nn import functional as F
from numbanet.nn.fusion import activated, pooled

LAYERS = {
    "Linear": (lambda: nn.Linear(40, 30), (9, 40)),
    "Linear without bias": (lambda: nn.Linear(40, 30, bias=False), (3, 2, 40)),
    "Conv2d": (lambda: nn.Conv2d(3, 8, 3, padding=1), (4, 3, 10, 9)),
    "Conv2d, same": (lambda: nn.Conv2d(4, 8, 2, padding="same", groups=2), (2, 4, 7, 7)),
}


def ops_of(function, *inputs):
    """The result, and the names of the ops that were run for it."""
    names = []
    before = autograd.set_recorder(lambda op, inputs, outputs: names.append(type(op).__name__))
    try:
        return function(*inputs), names
    finally:
        autograd.set_recorder(before)


def gradients(layer, output):
    layer.zero_grad()
    (output * output).sum().backward()
    return [parameter.grad.numpy().copy() for parameter in layer.parameters()]


@pytest.mark.parametrize("name", LAYERS)
def test_the_same_bits(backend, name):
    make, shape = LAYERS[name]
    layer = make()
    x = nb.tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    fused, fewer = ops_of(activated, layer, nn.ReLU(), x)
    plain, more = ops_of(lambda x: nn.ReLU()(layer(x)), x)
    assert len(fewer) == len(more) - 1
    np.testing.assert_array_equal(fused.detach().numpy(), plain.detach().numpy())
    assert (fused.detach().numpy() == 0).any()
    for one, other in zip(gradients(layer, fused), gradients(layer, plain), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("activation", [nn.GELU(), nn.GELU("tanh"), nn.Sigmoid(), nn.Tanh()], ids=str)
def test_a_linear_layer_and_other_activations(backend, activation):
    layer, x = nn.Linear(30, 17), nb.tensor(np.random.default_rng(0).normal(size=(13, 30)).astype(np.float32))
    with nb.no_grad():
        fused, names = ops_of(activated, layer, activation, x)
        assert len(names) == 1
        np.testing.assert_array_equal(fused.numpy(), activation(layer(x)).numpy())
    fused, plain = activated(layer, activation, x), activation(layer(x))
    np.testing.assert_array_equal(fused.detach().numpy(), plain.detach().numpy())
    for one, other in zip(gradients(layer, fused), gradients(layer, plain), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_residual_of_another_shape():
    x, weight = nb.ones(4, 3), nb.ones(2, 3)
    with pytest.raises(RuntimeError, match=r"a residual of shape \(4, 3\) does not fit a result of shape \(4, 2\)"):
        F.linear(x, weight, residual=nb.ones(4, 3))
    with pytest.raises(RuntimeError, match=r"a residual of shape \(3, 4, 2\) does not fit .* of shape \(4, 3, 2\)"):
        F.linear(nb.ones(4, 3, 3), weight, residual=nb.ones(3, 4, 2))


def test_sequential_fuses_what_follows_each_other():
    net = nn.Sequential(nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.ReLU(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    x = nb.tensor(np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32))
    out, names = ops_of(net, x)
    assert len(names) == 5, names
    expected = x
    for module in net:
        expected = module(expected)
    np.testing.assert_array_equal(out.detach().numpy(), expected.detach().numpy())


def test_hooks_see_what_they_would_see():
    layer, relu = nn.Linear(5, 4), nn.ReLU()
    net = nn.Sequential(layer, relu)
    x = nb.tensor(np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32))
    assert len(ops_of(net, x)[1]) == 1
    for module, register in (
        (layer, "register_forward_hook"),
        (layer, "register_full_backward_hook"),
        (relu, "register_forward_pre_hook"),
        (relu, "register_full_backward_pre_hook"),
    ):
        seen = []
        with getattr(module, register)(lambda *args, seen=seen: seen.append(args[-1])):
            net(x).sum().backward()
        assert len(seen) == 1
        value = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
        if "forward" in register:
            assert value.detach().numpy().min() < 0, "before the ReLU"


def test_layers_of_ones_own_are_called():
    class Loud(nn.Linear):
        def forward(self, input):
            return super().forward(input) + 1

    class Leaky(nn.ReLU):
        def forward(self, input):
            return input * 2

    x = nb.ones(1, 2)
    loud = Loud(2, 2)
    np.testing.assert_array_equal(activated(loud, nn.ReLU(), x).detach().numpy(), nn.ReLU()(loud(x)).detach().numpy())
    plain = nn.Linear(2, 2)
    np.testing.assert_array_equal(activated(plain, Leaky(), x).detach().numpy(), 2 * plain(x).detach().numpy())


POOLED = {
    "LeNet's first": (lambda: nn.Conv2d(1, 6, 5, padding=2), (4, 1, 12, 12)),
    "LeNet's second": (lambda: nn.Conv2d(6, 16, 5), (5, 6, 14, 14)),
    "same": (lambda: nn.Conv2d(4, 8, 3, padding="same", groups=2, bias=False), (2, 4, 9, 9)),
}


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh()], ids=str)
@pytest.mark.parametrize("name", POOLED)
def test_a_pool_behind_a_convolution(backend, name, activation):
    """One op and the same bits; the gradients are sums in another order."""
    make, shape = POOLED[name]
    layer, pool = make(), nn.MaxPool2d(2)
    x = nb.tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    fused, names = ops_of(pooled, layer, pool, activation, x)
    assert names[0] == "Conv2dMaxPool"
    assert len(names) == (1 if type(activation) is nn.ReLU else 2)
    plain = activation(pool(layer(x)))
    np.testing.assert_array_equal(fused.detach().numpy(), plain.detach().numpy())
    for one, other in zip(gradients(layer, fused), gradients(layer, plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize(
    "pool",
    [nn.MaxPool2d(2, padding=1), nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d(2, dilation=2), nn.AvgPool2d(2)],
    ids=str,
)
def test_a_pool_that_is_not_fused(backend, pool):
    layer, x = nn.Conv2d(2, 3, 3), nb.randn(2, 2, 9, 9)
    result, names = ops_of(pooled, layer, pool, nn.ReLU(), x)
    assert "Conv2dMaxPool" not in names
    np.testing.assert_array_equal(result.detach().numpy(), nn.ReLU()(pool(layer(x))).detach().numpy())


def test_a_pool_with_a_hook(backend):
    layer, pool, seen = nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), []
    pool.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    pooled(layer, pool, nn.ReLU(), nb.randn(2, 2, 8, 8))
    assert seen == [(2, 3, 3, 3)]
