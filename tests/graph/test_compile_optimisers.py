"""compile and optimisers whose options, state or parameters change between calls, and steps that fail."""

from __future__ import annotations

import pytest

import numbanet as nb
from numbanet import nn, optim
from numbanet.nn import functional as F
from tests.graph.networks import OPTIMISERS, assert_same, batches, state_of, training_step


def losses_and_state(make_optimizer, change, compiled: bool, steps: int):
    """Of steps before each of which ``change(number, model, optimizer)`` is called; what an error says in the place of
    a loss. Step 6 has a label too large."""
    nb.manual_seed(5)
    model = nn.Linear(3, 2)
    optimizer = make_optimizer(model.parameters())
    average = optim.AveragedModel(model, 0.9, warmup=True)

    def function(x, targets):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), targets)
        loss.backward()
        optimizer.step()
        average.update_parameters(model)
        return loss

    step, losses = nb.compile(function) if compiled else function, []
    for number, (x, targets) in enumerate(batches(steps, 4, (3,), 2)):
        change(number, model, optimizer)
        try:
            losses.append(step(x, targets + (number == 6)).item())
        except IndexError as error:
            losses.append(str(error))
    assert not compiled or step.plans
    return losses, state_of(model, optimizer), average.state_dict()["n_averaged"], average.module.weight.tolist()


def assert_changes_are_followed(make_optimizer, change, steps: int = 14) -> None:
    eager, compiled = (losses_and_state(make_optimizer, change, one, steps) for one in (False, True))
    assert eager[0] == compiled[0]
    assert_same(eager[1], compiled[1])
    assert eager[2:] == compiled[2:]


def test_an_optimiser_of_which_an_option_changed(backend):
    def change(number, model, optimizer):
        if number in (4, 9):
            optimizer.param_groups[0]["momentum"] = 0.9 * (number == 4)

    assert_changes_are_followed(lambda parameters: optim.SGD(parameters, 0.1), change)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_whose_state_is_taken_away(backend, name):
    def change(number, model, optimizer):
        if number == 5:
            optimizer.state.clear()

    assert_changes_are_followed(OPTIMISERS[name], change)


def test_a_parameter_that_is_frozen_now_and_then(backend):
    """Each time its count of Adam's steps falls further behind the others'."""

    def change(number, model, optimizer):
        model.bias.requires_grad_(number % 8 < 4)

    assert_changes_are_followed(OPTIMISERS["adamw"], change, 60)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_step_that_fails_does_not_count(backend, name):
    assert_changes_are_followed(OPTIMISERS[name], lambda *_: None)


def test_an_optimiser_state_that_is_loaded(backend):
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)
    step = nb.compile(training_step(model, optimizer))
    data = batches(3, 4, (3,), 2)
    for inputs, targets in data:
        step(inputs, targets)
    kept = {n: {k: v.clone() for k, v in s.items()} for n, s in optimizer.state_dict()["state"].items()}
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    runs = []
    for _ in range(2):
        optimizer.load_state_dict({"state": kept, "param_groups": optimizer.state_dict()["param_groups"]})
        model.load_state_dict(weights)
        runs.append([step(*data[0])[0].item() for _ in range(5)])
    assert runs[0] == runs[1]
