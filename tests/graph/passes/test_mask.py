"""The gradient through a ReLU is cut by the kernel that reads it."""

from __future__ import annotations

import pytest

from numbanet import autograd
from numbanet.graph.passes import fuse_activations, fuse_masks
from numbanet.nn import functional as F
from tests.graph.passes.checks import arrays, names, planned, without

SHAPE = (3, 4, 5, 6)
NORMS = {
    "batch_norm": lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
    "group_norm": lambda x, w, b: F.group_norm(x, 2, w, b),
}
EACH = pytest.mark.parametrize(("name", "norm"), NORMS.items(), ids=NORMS)


def gradients(norm, with_residual: bool, more=None):
    """relu(norm(x) + r) and the gradients of all inputs."""

    def function(x, r, w, b):
        leaves = [one.detach().requires_grad_() for one in (x, w, b, r)]
        y = norm(*leaves[:3])
        y = (y + leaves[3] * 1 if with_residual else y).relu()
        if more is not None:
            y = more(y, *leaves)
        return y, *autograd.grad((y * y).sum(), leaves if with_residual else leaves[:3])

    return planned(function, arrays(SHAPE, SHAPE, (4,), (4,)))


def the_norm(calls, name):
    (call,) = [one for one in calls if one.name == f"{name}_backward"]
    return call.arguments


@EACH
def test_behind_a_norm(backend, name, norm):
    """The sign is that of the norm's output, which its gradient finds again."""
    calls = gradients(norm, False)
    given = the_norm(calls, name)
    assert "relu_backward" not in names(calls)
    assert given["activation"] == "relu"
    assert given["y"] is None
    assert given["residual_out"] is None


@EACH
def test_behind_a_sum(backend, name, norm):
    calls = gradients(norm, True)
    given = the_norm(calls, name)
    assert "relu_backward" not in names(calls)
    assert given["y"] is not None
    assert given["residual_out"] is not None


@EACH
def test_without_the_passes(backend, name, norm, monkeypatch):
    without(monkeypatch, fuse_masks)
    assert "relu_backward" in names(gradients(norm, False))


@EACH
def test_a_relu_that_was_not_fused(backend, name, norm, monkeypatch):
    """Then its output is read, for that is not what the norm wrote."""
    without(monkeypatch, fuse_activations)
    calls = gradients(norm, False)
    assert "relu_backward" not in names(calls)
    assert the_norm(calls, name)["y"] is not None


@pytest.mark.parametrize("is_first", [True, False])
def test_behind_a_convolution(backend, is_first):
    """A gradient of the weights alone cuts it itself; two readers have it cut once."""

    def function(x, w):
        x, w = x.detach().requires_grad_(not is_first), w.detach().requires_grad_()
        y = F.conv2d(x, w, padding=1).relu()
        return y, *autograd.grad((y * y).sum(), [w] if is_first else [w, x])

    calls = planned(function, arrays((2, 4, 5, 6), (6, 4, 3, 3)))
    (gradient,) = [call for call in calls if call.name == "conv2d_weight_grad"]
    assert ("relu_backward" in names(calls)) is not is_first
    assert (gradient.arguments["output"] is not None) is is_first
