"""compile from the user's side: what is replayed, what is recorded anew, and what is an error."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn, optim
from numbanet.graph import ControlFlowError, FrozenNumberError, GraphError, SideEffectError
from numbanet.graph.inspect import plan_of
from numbanet.nn import functional as F
from numbanet.ops import base
from tests.conftest import needs_numba
from tests.graph.networks import NETWORKS, OPTIMISERS, assert_same, batches, deep, state_of, training_step


class Counted:
    """A function that counts how often Python runs it."""

    def __init__(self, function):
        self.function = function
        self.runs = []

    def __call__(self, *args, **kwargs):
        self.runs.append(1)
        return self.function(*args, **kwargs)


def call_often(function, *arguments) -> None:
    for _ in range(10):
        function(*arguments)


def values(*numbers: float) -> nb.Tensor:
    return nb.tensor(np.array(numbers, np.float32))


# --- replays ---------------------------------------------------------------------------------------------------------
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


# --- kinds of calls --------------------------------------------------------------------------------------------------
def test_at_most_so_many_kinds_are_recorded(backend):
    function = nb.compile(lambda x: x + 1, max_captures=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in (1, 2, 1, 2, 1, 2):
            function(nb.zeros(size))
    with pytest.warns(RuntimeWarning, match=r"input 0 has shape \(3,\), and had \("):
        assert function(nb.zeros(3)).tolist() == [1, 1, 1]
    assert len(function.plans) == 2
    assert function(nb.ones(2)).tolist() == [2, 2]


def test_declared_dimensions_do_not_count(backend):
    function = nb.compile(lambda x: x + 1, max_captures=1, dynamic=[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in (1, 2, 3, 4, 5) * 3:
            assert function(nb.zeros(size)).tolist() == [1] * size
    assert len(function.plans) == 5


def test_a_value_that_the_code_names_is_looked_at(backend):
    rate = 0.5

    def scaled(x):
        return x * rate

    function = nb.compile(scaled)
    for rate in (0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.5):
        assert function(values(1)).item() == rate


def test_another_tensor_or_model_by_the_same_name(backend):
    masks, models = [values(1, 1), values(5, 5)], [nn.Linear(2, 2), nn.Linear(2, 2)]
    mask, model = masks[0], models[0]
    x = values(1, 2)
    function = nb.compile(lambda x: model(x * mask))
    for number in (0, 0, 0, 1, 1, 1, 0):
        mask, model = masks[number], models[number]
        np.testing.assert_array_equal(function(x).numpy(), model(x * mask).detach().numpy())
    assert len(function.plans) == 2


def test_a_hook_that_comes_later(backend):
    model, x = nn.Linear(3, 2), nb.randn(4, 3)
    function = nb.compile(lambda x: model(x))
    for _ in range(3):
        function(x)
    handle = model.register_forward_hook(lambda module, inputs, output: output * 0)
    for _ in range(3):
        assert function(x).tolist() == [[0, 0]] * 4
    handle.remove()
    assert len(function.plans) == 2
    np.testing.assert_array_equal(function(x).numpy(), model(x).detach().numpy())


@needs_numba
def test_a_module_with_arrays_of_its_own(backend):
    model = nn.Linear(3, 2)
    model.means, model.none, model.weights_hooks = np.ones(3), np.ones(0), np.ones(2)
    for fallback in (None, pytest.fail):
        compiled = nb.compile(model, fallback=fallback)
        for number in range(4):
            x = values(number, 1.0, 2.0)
            assert compiled(x).tolist() == model(x).tolist()
        assert compiled.plans


def test_arguments_of_another_back_end():
    before, function = nb.get_backend(), nb.compile(lambda x: x + 1)
    for name in ("numpy", "cpu", "numpy"):
        nb.set_backend(name)
        for _ in range(3):
            assert function(values(1))._array.storage.backend.name == name
    nb.set_backend(before)


def test_a_setting_in_a_dictionary(backend):
    settings = {"factor": 2.0, "calls": 0}

    def scaled(x):
        settings["calls"] += 1
        return x * settings["factor"]

    function = nb.compile(scaled)
    for factor in (2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 2.0):
        settings["factor"] = factor
        assert function(values(1)).item() == factor
    assert settings["calls"] == 4


def test_a_number_that_is_an_argument(backend):
    function = nb.compile(lambda x, factor: x * factor)
    for factor in (2, 2, 2, 3, 3, 3.5, 2):
        assert function(values(1), factor).item() == factor


def test_a_deleted_parameter_is_noticed(backend):
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    function, x = nb.compile(lambda x: model(x)), nb.randn(2, 3)
    for _ in range(3):
        function(x)
    bias = model[0].bias
    del model[0].bias
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'bias'"):
        function(x)
    model[0].bias = bias
    np.testing.assert_array_equal(function(x).numpy(), model(x).detach().numpy())


# --- mistakes --------------------------------------------------------------------------------------------------------
def test_a_choice_by_a_value_names_the_line(backend):
    def function(x):
        y = x * 2
        if y.sum() > 0:
            return y
        return -y

    line = function.__code__.co_firstlineno + 2
    compiled = nb.compile(function)
    with pytest.raises(ControlFlowError, match=rf"test_compile.py:{line}: this reads the value of a tensor"):
        compiled(values(1))
    assert (values(1) * 2).tolist() == [2]  # nothing is being recorded any more


@pytest.mark.parametrize("look", [float, lambda t: t.numpy(), lambda t: t.tolist(), lambda t: t.item(), np.asarray])
def test_every_way_to_a_value(backend, look):
    compiled = nb.compile(lambda x: look(x.sum()))
    with pytest.raises(ControlFlowError):
        compiled(values(1))


def test_a_counter_that_enters_a_computation(backend):
    counter = iter(range(100))
    compiled = nb.compile(lambda x: x * next(counter))
    compiled(values(1))
    with pytest.raises(FrozenNumberError, match=r"test_compile.py:\d+: a number was 0.0 and is 1.0"):
        compiled(values(1))


def test_random_numbers_of_numpy(backend):
    rng = np.random.default_rng(0)
    compiled = nb.compile(lambda x: x + nb.tensor(rng.standard_normal(3).astype(np.float32)))
    compiled(values(1, 2, 3))
    with pytest.raises(FrozenNumberError, match=r"a tensor of shape \(3,\) that is made from Python data"):
        compiled(values(1, 2, 3))


def test_a_tensor_that_is_kept(backend):
    kept = []

    def function(x):
        kept.append(x * 2)
        return x + 1

    compiled = nb.compile(function)
    compiled(values(1))
    with pytest.raises(SideEffectError, match=r"test_compile.py:\d+: the compiled function keeps a tensor"):
        compiled(values(1))


def test_an_exception_while_recording(backend):
    model = NETWORKS["residual"]()
    step = nb.compile(training_step(model, OPTIMISERS["momentum"](model.parameters())))
    inputs, targets = batches(1)[0]
    with pytest.raises(ValueError, match="expected 4D input"):
        step(inputs[0], targets)
    losses = [step(inputs, targets)[0].item() for _ in range(6)]
    assert losses[-1] < losses[0]


def test_a_wrong_label_in_a_replay(backend):
    function = nb.compile(lambda x, t: F.cross_entropy(x, t))
    x, labels = nb.randn(3, 4), nb.tensor([0, 1, 2])
    for _ in range(3):
        good = function(x, labels).item()
    with pytest.raises(IndexError, match="target 9 of row 1 is out of range"):
        function(x, nb.tensor([0, 9, 2]))
    assert function(x, labels).item() == good


def test_a_function_that_does_something_else_each_time(backend):
    parts = iter(range(1, 100))

    def function(x):
        for _ in range(next(parts)):
            x = x + 1
        return x

    compiled = nb.compile(function)
    with pytest.raises(GraphError, match=r"does something else with each call.*ops were run before"):
        call_often(compiled, values(1))


def test_a_seed_inside(backend):
    def function(x):
        nb.manual_seed(3)
        return x + nb.rand(2)

    compiled = nb.compile(function)
    with pytest.raises(GraphError, match="manual_seed; call it outside"):
        call_often(compiled, values(1, 2))


def test_a_function_that_calls_itself(backend):
    compiled = nb.compile(lambda x, again: other() if again else x + 1)

    def other():
        return compiled(values(1), False)

    assert compiled(values(1), True).item() == 2  # part of the outer one


def test_functions_without_tensors(backend):
    """As arguments, and at all."""
    model, x = nn.Linear(3, 2), values(1.0, 2.0, 3.0)
    compiled = nb.compile(lambda: model(x))
    assert [compiled().tolist() for _ in range(4)] == [model(x).tolist()] * 4
    assert [call.name for call in plan_of(lambda: model(x)).calls] == ["matmul"]
    compiled = nb.compile(lambda number: number + 1)
    assert [compiled(number) for number in (3, 3, 3, 4, 4, 4, 3)] == [4, 4, 4, 5, 5, 5, 4]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_records_for_itself(backend, duplicate):
    model = nn.Linear(3, 2)
    compiled = nb.compile(model, max_captures=3, dynamic=[0])
    for number in range(3):
        compiled(values(number, 1.0, 2.0))
    twin = duplicate(compiled)
    assert (twin.max_captures, twin.dynamic, twin.plans) == (3, {0}, [])
    assert (twin.weight is model.weight) == (duplicate is copy.copy)
    for number in range(4):
        x = values(number, 1.0, 2.0)
        assert twin(x).tolist() == compiled(x).tolist() == model(x).tolist()
    assert len(twin.plans) == 1
    with nb.no_grad():
        twin.weight.zero_()
    assert (model.weight.sum().item() == 0) == (duplicate is copy.copy)


def test_what_cannot_be_compiled():
    with pytest.raises(TypeError, match="expects a function or a module, got int"):
        nb.compile(3)
    with pytest.raises(ValueError, match="max_captures"):
        nb.compile(len, max_captures=0)
