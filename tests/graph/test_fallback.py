"""compile(fallback=…): what cannot be replayed is run as it is, with every effect of every call, and says why once."""

from __future__ import annotations

import random

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn, optim
from tests.graph.networks import batches, training_step

RATE = 1.0


class Odd(nn.Module):
    """A linear layer with a habit."""

    def __init__(self, habit) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.habit = habit
        self.calls = 0
        self.seen = []
        self.rng = np.random.default_rng(0)
        self.own_random = random.Random(0)
        self.notes = Notes()

    def forward(self, x):
        return self.habit(self, self.fc(x))


def counting(model, y):
    model.calls += 1
    return y if model.calls < 6 else -y


def remembering(model, y):
    model.seen.append(y.shape)
    return y * float(len(model.seen) > 6)


class Notes:
    """What a model may keep beside itself."""

    def __init__(self) -> None:
        self.pages = [[]]

    def write(self, text) -> int:
        self.pages[0].append(text)
        return len(self.pages[0])


NOTES, SEEN, GENERATOR = Notes(), [], np.random.default_rng(0)


def remembering_elsewhere(model, y):
    SEEN.append(y.shape)
    return y * float(len(SEEN) > 6)


def noting(model, y):
    return y * float(NOTES.write(y.shape) > 6)


def noting_itself(model, y):
    return y * float(model.notes.write(y.shape) > 6)


def rarely(draw):
    """Nearly every draw has the same effect, so two recordings are alike."""
    return lambda model, y: y * 2 if draw(model) < 0.02 else y


HABITS = {
    "looks at a value": (lambda model, y: y * 2 if float(y.sum()) > 0 else y, "this reads the value of a tensor"),
    "counts": (counting, "calls is 1 and was 0: each call changes it"),
    "remembers": (remembering, "each call changes seen"),
    "remembers elsewhere": (remembering_elsewhere, "each call changes SEEN"),
    "writes into an object": (noting, "each call changes NOTES"),
    "writes into an object of its own": (noting_itself, "each call changes notes"),
    "draws from a global": (rarely(lambda model: GENERATOR.random()), "each call changes GENERATOR"),
    "draws from random": (rarely(lambda model: random.random()), "the state of Python's random"),
    "draws from numpy": (rarely(lambda model: np.random.random()), "the state of numpy.random"),  # noqa: NPY002
    "draws from its own": (rarely(lambda model: model.rng.random()), "each call changes rng"),
    "draws from Python's own": (rarely(lambda model: model.own_random.random()), "each call changes own_random"),
    "keeps a tensor": (lambda model, y: vars(model).setdefault("kept", []).append(y) or y, "kept"),
    "calls hooks": (lambda model, y: y.register_hook(lambda g: g * 2) and y, "a hook is called"),
}


def losses(model, compiled: bool, told=None) -> list[float]:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - it is what a user may draw from
    NOTES.pages[0].clear()
    SEEN.clear()
    GENERATOR.bit_generator.state = np.random.default_rng(0).bit_generator.state
    step = training_step(model, optim.SGD(model.parameters(), 0.1, momentum=0.9))
    if compiled:
        step = nb.compile(step, fallback=told.append)
    return [step(x, t)[0].item() for x, t in batches(8, 6, (4,)) * 5]


def twins(make) -> list:
    """The same model twice."""
    models = []
    for _ in range(2):
        nb.manual_seed(0)
        models.append(make())
    return models


@pytest.mark.parametrize("name", HABITS)
def test_it_is_what_it_would_be_without(backend, name):
    habit, why = HABITS[name]
    one, other = twins(lambda: Odd(habit))
    told: list[str] = []
    assert losses(one, False) == losses(other, True, told)
    assert len(told) == 1
    assert why in told[0]
    np.testing.assert_array_equal(one.fc.weight.detach().numpy(), other.fc.weight.detach().numpy())
    assert (one.calls, one.seen) == (other.calls, other.seen)


@pytest.mark.parametrize(
    "hang",
    [
        lambda model, hook: model.fc.register_forward_hook(lambda m, x, y: hook(y)),
        lambda model, hook: model.fc.register_forward_pre_hook(lambda m, x: hook(None)),
        lambda model, hook: model.fc.register_full_backward_hook(lambda m, x, y: hook(None)),
        lambda model, hook: model.fc.weight.register_hook(lambda g: hook(g)),
    ],
)
def test_hooks_are_called_in_each_step(backend, hang):
    model, calls, told = Odd(lambda model, y: y), [], []
    hang(model, lambda value: calls.append(1))
    losses(model, True, told)
    assert len(calls) == 40
    assert told == ["a hook is called, whose Python a replay would leave out"]


@pytest.mark.parametrize("hang", ["register_step_pre_hook", "register_step_post_hook"])
def test_hooks_of_an_optimiser(backend, hang):
    model, calls, told = Odd(lambda model, y: y), [], []
    optimizer = optim.SGD(model.parameters(), 0.1)
    getattr(optimizer, hang)(lambda *arguments: calls.append(1))
    step = nb.compile(training_step(model, optimizer), fallback=told.append)
    for x, t in batches(6, 6, (4,)):
        step(x, t)
    assert len(calls) == 6
    assert len(told) == 1


class Scaled(Odd):
    """A linear layer and a factor."""

    def forward(self, x):
        return self.fc(x) * RATE


@pytest.mark.parametrize("make", [lambda: Scaled(None), lambda: Odd(lambda model, y: y * RATE)])
def test_a_global_that_the_method_of_a_module_names(backend, make):
    global RATE
    model, told = make(), []
    function, x = nb.compile(lambda x: model(x), fallback=told.append), nb.randn(2, 4)
    for rate in (1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 1.0):
        RATE = rate
        np.testing.assert_array_equal(function(x).numpy(), model(x).detach().numpy())
    assert len(function.plans) == 2
    assert told == []


def test_what_can_be_replayed_is(backend):
    model, told = Odd(lambda model, y: y), []
    step = nb.compile(training_step(model, optim.SGD(model.parameters(), 0.1)), fallback=told.append)
    for x, t in batches(6, 6, (4,)):
        step(x, t)
    assert step.plans
    assert told == []


def test_too_many_kinds_are_told_of(backend):
    told: list[str] = []
    function = nb.compile(lambda x: x + 1, max_captures=1, fallback=told.append)
    for size in (1, 1, 1, 2, 3):
        assert function(nb.zeros(size)).tolist() == [1] * size
    assert len(told) == 1
    assert "was recorded for 1 kinds of calls" in told[0]


def test_an_exception_of_the_functions_own_is_raised(backend):
    function = nb.compile(lambda x: x @ x, fallback=print)
    with pytest.raises(RuntimeError):
        function(nb.zeros(2, 3))
    assert function(nb.ones(2, 2)).tolist() == [[2, 2], [2, 2]]
