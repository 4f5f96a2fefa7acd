"""compile from the user's side: what is replayed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn, optim
from numbanet.ops import base
from tests.conftest import needs_numba
from tests.graph.calls import Counted, values
from tests.graph.networks import NETWORKS, OPTIMISERS, batches, deep, training_step


def test_python_runs_twice_and_then_no_more(backend):
    counted = Counted(lambda x: (x * 2).relu() + 1)
    function = nb.compile(counted)
    for number in range(6):
        assert function(values(number, -1)).tolist() == [2 * number + 1, 1]
    assert len(counted.runs) == 2


def test_results_of_earlier_replays_do_not_change(backend):
    function = nb.compile(lambda x: {"sum": x.sum(), "rows": [x + 1, x.T], "name": "same"})
    inputs = [nb.randn(2, 3) for _ in range(6)]
    results = [function(x) for x in inputs]
    for x, result in zip(inputs, results, strict=True):
        np.testing.assert_array_equal(result["rows"][0].numpy(), x.numpy() + 1)
        np.testing.assert_array_equal(result["rows"][1].numpy(), x.numpy().T)
        assert result["sum"].item() == x.sum().item()
        assert result["name"] == "same"


def test_gradients_that_somebody_holds_do_not_change(backend):
    model = NETWORKS["residual"]()
    step = nb.compile(training_step(model, optim.SGD(model.parameters(), 0.1)))
    held, copies = [], []
    for inputs, targets in batches(8):
        step(inputs, targets)
        gradient = model.head.weight.grad
        held.append((gradient, gradient.numpy()[1:], gradient.detach())[len(held) % 3])
        copies.append(np.array(held[-1].numpy() if isinstance(held[-1], nb.Tensor) else held[-1]))
        del gradient
    for gradient, copied in zip(held, copies, strict=True):
        np.testing.assert_array_equal(gradient.numpy() if isinstance(gradient, nb.Tensor) else gradient, copied)


def test_gradients_keep_their_memory_if_nobody_holds_them():
    model = NETWORKS["residual"]()
    step = nb.compile(training_step(model, optim.SGD(model.parameters(), 0.1)))
    inputs, targets = batches(1)[0]
    for _ in range(4):
        step(inputs, targets)
    before = model.head.weight.grad.data_ptr()
    step(inputs, targets)
    assert model.head.weight.grad.data_ptr() == before


def calls_of_a_replay(layers: int) -> int:
    """Python calls, of functions in Python and in C, in one replay of a training step."""
    nb.set_backend("cpu")
    model = deep(layers)
    step = nb.compile(training_step(model, optim.SGD(model.parameters(), 0.1, momentum=0.9)))
    inputs, targets = batches(1)[0]
    for _ in range(6):
        step(inputs, targets)
    events = []
    sys.setprofile(lambda frame, event, argument: events.append(event) if event in ("call", "c_call") else None)
    step(inputs, targets)
    sys.setprofile(None)
    assert not step.plans[-1].host_segments
    return len(events)


@needs_numba
def test_python_calls_do_not_grow_with_the_graph():
    assert calls_of_a_replay(2) == calls_of_a_replay(9)


def test_inputs_may_be_views_of_other_tensors(backend):
    data = nb.randn(20, 3)
    function = nb.compile(lambda x: (x * x).sum(1))
    for begin in range(8):
        part = data[begin : begin + 4]
        np.testing.assert_array_equal(function(part).numpy(), (part * part).sum(1).numpy())
        turned = data[:6].T
        np.testing.assert_array_equal(function(turned).numpy(), (turned * turned).sum(1).numpy())


@pytest.mark.parametrize("parts", [(slice(0, 2), slice(0, 2)), (slice(0, 2), slice(2, 4)), (slice(2, 4), slice(1, 3))])
def test_arguments_that_share_memory(backend, parts):
    function = nb.compile(lambda x, y: x.add_(1) + 10 * y)
    pairs = [lambda: list(map(values(1, 2, 3, 4).__getitem__, parts)), lambda: [values(5, 6), values(7, 8)]]
    for make in (pairs[0], pairs[1], pairs[0]):
        x, y = make()
        expected = (x.add_(1) + 10 * y).tolist()
        for _ in range(4):
            assert function(*make()).tolist() == expected


def test_an_argument_that_the_function_works_with_besides(backend):
    weight = values(1, 2)
    function = nb.compile(lambda x: x + 10 * weight)
    for _ in range(3):
        assert function(weight).tolist() == [11, 22]
    for _ in range(3):
        assert function(values(5, 6)).tolist() == [15, 26]


def test_an_argument_that_is_changed(backend):
    function = nb.compile(lambda x: x.add_(1))
    for _ in range(4):
        x = values(1, 2)
        result = function(x)
        assert x.tolist() == [2, 3]
        assert result is x
        assert x._version == 1


def test_a_module_and_its_modes(backend):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    compiled, x = nb.compile(model), nb.randn(5, 3)
    for mode in (True, False, True, False, True):
        compiled.train(mode)
        for _ in range(3):
            state = nb.random.get_state()
            twin = {name: value.clone() for name, value in model.state_dict().items()}
            result = compiled(x)
            after = nb.random.get_state()
            nb.random.set_state(state)
            model.load_state_dict(twin)
            np.testing.assert_array_equal(result.numpy(), model(x).detach().numpy())
            assert nb.random.get_state() == after
    assert len(compiled.plans) == 2


def test_gradients_are_added_up_where_eager_adds_them(backend):
    weight = nb.ones(3, requires_grad=True)
    step = nb.compile(lambda x: (weight * x).sum().backward())
    for count in range(1, 7):
        step(values(1, 2, 3))
        assert weight.grad.tolist() == [count, 2 * count, 3 * count]
    weight.grad = None
    step(values(1, 1, 1))
    assert weight.grad.tolist() == [1, 1, 1]


def test_gradients_of_inputs(backend):
    def function(x):
        y = (x * x).sum()
        y.backward()
        return y

    compiled = nb.compile(function)
    for number in range(5):
        x = nb.tensor([1.0, number], requires_grad=True)
        compiled(x)
        assert x.grad.tolist() == [2, 2 * number]


def test_gradients_that_are_dropped_at_the_end(backend):
    model, inputs = nn.Linear(3, 2), nb.randn(4, 3)
    optimizer = optim.Adam(model.parameters(), 0.1)

    def step(x):
        model(x).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    compiled, weights = nb.compile(step), []
    for run in (step, compiled):
        nn.init.constant_(model.weight, 0.5)
        nn.init.constant_(model.bias, 0.5)
        optimizer.state.clear()
        for _ in range(6):
            run(inputs)
            assert model.weight.grad is None
        weights.append(model.weight.detach().numpy().copy())
    np.testing.assert_array_equal(*weights)


def test_memory_that_moved_is_found(backend):
    model = nn.Linear(3, 2)
    function, x = nb.compile(lambda x: model(x)), nb.randn(4, 3)
    for _ in range(3):
        function(x)
    model.weight.data = nb.ones(2, 3)
    model.bias.data = nb.zeros(2)
    np.testing.assert_allclose(function(x).numpy(), np.repeat(x.numpy().sum(1, keepdims=True), 2, 1), rtol=1e-5)
    assert len(function.plans) == 1


@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_two_steps_of_an_optimiser_in_a_call(backend, name):
    runs = []
    for wrap in (lambda step: step, nb.compile):
        nb.manual_seed(1)
        model = nn.Linear(3, 2)
        optimizer, average = OPTIMISERS[name](model.parameters()), optim.AveragedModel(model)

        def twice(x, model=model, optimizer=optimizer, average=average):
            for _ in range(2):
                optimizer.zero_grad()
                model(x).square().sum().backward()
                optimizer.step()
                average.update_parameters(model)

        step, x = wrap(twice), nb.randn(4, 3)
        for _ in range(6):
            step(x)
        runs.append([*model.parameters(), *average.module.parameters()])
    for eager, replayed in zip(*runs, strict=True):
        np.testing.assert_array_equal(eager.detach().numpy(), replayed.detach().numpy())


def test_ops_that_are_made_anew(backend):
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), 0.1)
    step = nb.compile(training_step(model, optimizer))
    inputs, targets = batches(1, 4, (3,), 2)[0]
    for _ in range(4):
        step(inputs, targets)
        base._made.clear()  # as happens after MOST_MADE different ones
    assert len(step.plans) == 1


def test_a_gradient_that_grows_stays_the_tensor_it_is(backend):
    model, x = nn.Linear(3, 2), nb.randn(4, 3)
    optimizer = optim.SGD(model.parameters(), 0.01)

    def function(x):
        model(x).square().sum().backward()
        optimizer.step()

    step = nb.compile(function)
    step(x)
    held = model.weight.grad
    for _ in range(5):
        step(x)
        assert model.weight.grad is held
    value = held.numpy().copy()
    optimizer.zero_grad()
    for _ in range(5):
        step(x)
    np.testing.assert_array_equal(held.numpy(), value)
