"""Results that nobody reads are not computed."""

from __future__ import annotations

import numbanet as nb
from numbanet import autograd, nn
from numbanet.graph.passes import drop_unread
from tests.graph.passes.checks import arrays, names, planned, without


def test_a_chain_that_leads_nowhere(backend):
    def function(x):
        (x.exp() * 2).sum()
        return x + 1

    assert names(planned(function, arrays((3, 4)))) == ["binary"]


def test_every_call_stays_without_the_pass(backend, monkeypatch):
    without(monkeypatch, drop_unread)
    assert len(planned(lambda x: (x.exp().sum(), x + 1)[1], arrays((3, 4)))) == 3


def test_a_gradient_that_is_not_asked_for(backend):
    """The gradient of the input is computed eagerly, because it wants one."""
    weight = nb.randn(4, 4, 3, 3)

    def function(x):
        x = x.detach().requires_grad_()
        w = weight.detach().requires_grad_()
        total = (nn.functional.conv2d(x * 1, w, padding=1) ** 2).sum()
        return autograd.grad(total, [w, x])[0]

    calls = names(planned(function, arrays((2, 4, 5, 5))))
    assert "conv2d_weight_grad" in calls
    assert "conv2d_input_grad" not in calls


def test_an_optional_output(backend):
    bias = nb.zeros(3, requires_grad=True)
    weight = nb.randn(3, 2, 3, 3, requires_grad=True)

    def function(x):
        total = (nn.functional.conv2d(x, weight, bias) ** 2).sum()
        return autograd.grad(total, [weight, bias])[0]

    calls = planned(function, arrays((2, 2, 5, 5)))
    (gradient,) = [call for call in calls if call.name == "conv2d_weight_grad"]
    assert gradient.arguments["bias_out"] is None


def test_gradients_of_a_norm_that_are_not_asked_for(backend):
    """Each is left out by itself, and the others keep their bits."""
    weight, bias = nb.randn(20, requires_grad=True), nb.randn(20, requires_grad=True)
    for chosen in range(3):

        def function(x, chosen=chosen):
            x = x.detach().requires_grad_()
            total = (nn.functional.batch_norm(x * 1, None, None, weight, bias, training=True) ** 2).sum()
            return autograd.grad(total, [x, weight, bias])[chosen]

        calls = planned(function, arrays((3, 20, 4, 5)))
        (gradient,) = [call for call in calls if call.name == "batch_norm_backward"]
        given = [gradient.arguments[name] is not None for name in ("out", "weight_out", "bias_out")]
        assert given == [number == chosen for number in range(3)]


def test_what_outlives_the_call_stays(backend):
    """Running statistics, gradients of parameters, and tensors that are changed in place."""
    norm = nn.BatchNorm1d(3)
    total = nb.zeros(3)

    def function(x):
        norm(x).sum()
        total.add_(x.sum(0))
        return x * 2

    compiled = nb.compile(function)
    for number in range(1, 6):
        compiled(nb.ones(2, 3))
        assert norm.num_batches_tracked.item() == number
        assert total.tolist() == [2 * number] * 3
    (plan,) = compiled.plans
    assert "batch_norm" in names(plan.calls)


def test_a_write_into_a_part_is_not_lost(backend):
    def function(x):
        y = x.clone()
        y[1:].fill_(3)
        return y

    assert len(planned(function, arrays((4, 2)))) == 2


def test_a_view_of_an_argument_that_no_call_uses(backend):
    weight = nb.ones(2, 3)

    def function(x, y):
        x.exp()
        return x.T, weight.T, y + 1

    planned(function, arrays((2, 3), (2, 3)))
    compiled = nb.compile(function)
    for number in range(5):
        weight.fill_(number)
        x, turned, _ = compiled(nb.full((2, 3), number + 0.5), nb.ones(2, 3))
        assert x.tolist() == [[number + 0.5] * 2] * 3
        assert turned.tolist() == [[number] * 2] * 3
