"""compile(check_nan=True): the first operation that makes a NaN or an infinity, with its module and line."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn, optim
from numbanet.graph import NonFiniteError
from tests.graph.networks import NETWORKS, OPTIMISERS, assert_same, batches, state_of, training_step


class Root(nn.Module):
    """√x of a part of a linear layer's outputs, whose gradient at 0 is infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x):
        return self.fc(x).relu().sqrt()


def line_of(function, below: int) -> str:
    return f"test_nan_check.py:{function.__code__.co_firstlineno + below}"


def test_a_logarithm_of_a_negative_number(backend):
    def function(x):
        y = x + 1
        z = y.log()
        return z.exp() * 2

    check = nb.compile(function, check_nan=True)
    assert check(nb.ones(2)).tolist() == function(nb.ones(2)).tolist()
    with pytest.raises(
        NonFiniteError, match=rf"{line_of(function, 2)}: \w+ makes nan at \(1,\) of its result"
    ) as caught:
        check(nb.tensor([1.0, -3.0]))
    assert "from inputs without any" in str(caught.value)
    assert check(nb.ones(2)).tolist() == function(nb.ones(2)).tolist()


def test_an_infinity(backend):
    check = nb.compile(lambda x: (x * 100).exp() - 1, check_nan=True)
    with pytest.raises(NonFiniteError, match=r"makes inf at \(0,\) of its result of shape \(1,\), from finite inputs"):
        check(nb.tensor([1.0]))


def test_of_the_backward_pass_by_module_and_line(backend):
    model = nn.Sequential(nn.Linear(3, 3), Root())
    with nb.no_grad():
        model[1].fc.weight.fill_(0.0)
        model[1].fc.bias.fill_(0.0)
    step = nb.compile(lambda x: model(x).sum().backward(), check_nan=True)
    match = rf"{line_of(Root.forward, 1)}: \w+ of 1 \(backward pass\) makes (inf|nan)"
    with pytest.raises(NonFiniteError, match=match):
        step(nb.ones(2, 3))


@pytest.mark.parametrize("what", ["input 0", "weight"])
def test_what_was_there_before(backend, what):
    model, x = nn.Linear(3, 2), nb.ones(2, 3)
    with nb.no_grad():
        (x if what == "input 0" else model.weight)[0, 1] = float("nan")
    check = nb.compile(lambda x: model(x), check_nan=True)
    with pytest.raises(NonFiniteError, match=rf"reads NaN from {what}, where it was before"):
        check(x)


def test_what_was_there_before_and_is_changed_in_place(backend):
    check = nb.compile(lambda x: x.add_(1.0), check_nan=True)
    with pytest.raises(NonFiniteError, match="reads NaN from input 0, where it was before"):
        check(nb.tensor([1.0, float("nan")]))
    assert check(nb.tensor([1.0, float("inf")])).tolist() == [2.0, float("inf")]
    check = nb.compile(lambda x: x.fill_(0.0).log_().sub_(x), check_nan=True)
    with pytest.raises(NonFiniteError, match="makes -inf at .* from finite inputs"):
        check(nb.tensor([float("inf"), 1.0]))


def test_a_state_of_the_optimiser_that_is_not_finite(backend):
    model = nn.Linear(2, 2)
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)
    step = nb.compile(training_step(model, optimizer), check_nan=True)
    step(nb.ones(1, 2), nb.tensor([0]))
    with nb.no_grad():
        optimizer.state[model.bias]["momentum_buffer"].fill_(float("nan"))
    with pytest.raises(NonFiniteError, match=r"SGD\w* reads NaN from a tensor of shape \(2,\), where it was before"):
        step(nb.ones(1, 2), nb.tensor([0]))


def test_an_optimiser_of_the_users(backend):
    class Own:
        def __init__(self, weight) -> None:
            self.param_groups, self.state = [{"params": [weight]}], {"velocity": nb.zeros(2), "steps": 0}

        def step(self) -> None:
            with nb.no_grad():
                self.param_groups[0]["params"][0].add_(self.state["velocity"])

    weight = nb.ones(2)
    optimizer = Own(weight)
    check = nb.compile(lambda: optimizer.step(), check_nan=True)
    check()
    optimizer.state["velocity"].fill_(float("inf"))
    check()
    assert weight.tolist() == [float("inf")] * 2


def test_infinities_of_masks_may_be_worked_with_in_place(backend):
    def function(x):
        y = x.clone()
        y[:, 1] = float("-inf")
        y.mul_(0.5)
        return y.softmax(1)

    assert nb.compile(function, check_nan=True)(nb.zeros(2, 3)).tolist() == [[0.5, 0, 0.5]] * 2


def test_infinities_for_masks_are_no_mistake(backend):
    mask = nb.tensor([[True, False, True]])
    check = nb.compile(lambda x: x.masked_fill(mask, float("-inf")).softmax(1), check_nan=True)
    assert check(nb.zeros(2, 3)).tolist() == [[0, 1, 0]] * 2
    blind = nb.compile(lambda x: nb.where(mask | ~mask, nb.full((1,), float("-inf")), x).softmax(1), check_nan=True)
    with pytest.raises(NonFiniteError, match=r"makes nan at \(0, 0\) of its result of shape \(2, 3\)"):
        blind(nb.zeros(2, 3))


def test_an_update_that_overflows(backend):
    model = nn.Linear(2, 2)
    step = nb.compile(training_step(model, optim.SGD(model.parameters(), 1e38)), check_nan=True)
    with pytest.raises(NonFiniteError, match=r"SGD\w* makes -?inf"):
        step(nb.tensor([[1e3, -1e3]]), nb.tensor([0]))


def test_the_bits_are_the_same():
    runs = []
    for check in (False, True):
        nb.manual_seed(0)
        model = NETWORKS["residual"]()
        optimizer = OPTIMISERS["adamw"](model.parameters())
        step = training_step(model, optimizer)
        step = nb.compile(step, check_nan=True) if check else step
        losses = [step(*batch)[0].item() for batch in batches(4)]
        runs.append((losses, state_of(model, optimizer)))
    assert runs[0][0] == runs[1][0]
    assert_same(runs[0][1], runs[1][1])


def test_values_may_be_looked_at(backend):
    check = nb.compile(lambda x: x * 2 if float(x.sum()) > 0 else x, check_nan=True)
    assert check(nb.ones(2)).tolist() == [2, 2]
    np.testing.assert_array_equal(check(-nb.ones(2)).numpy(), [-1, -1])
