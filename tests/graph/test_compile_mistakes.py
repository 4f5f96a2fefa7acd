"""compile and what is an error: each says what was wrong, and the process goes on."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn
from numbanet.graph import ControlFlowError, FrozenNumberError, GraphError, SideEffectError
from numbanet.graph.inspect import plan_of
from numbanet.nn import functional as F
from tests.graph.calls import values
from tests.graph.networks import NETWORKS, OPTIMISERS, batches, training_step


def call_often(function, *arguments) -> None:
    for _ in range(10):
        function(*arguments)


def test_a_choice_by_a_value_names_the_line(backend):
    def function(x):
        y = x * 2
        if y.sum() > 0:
            return y
        return -y

    line = function.__code__.co_firstlineno + 2
    compiled = nb.compile(function)
    with pytest.raises(ControlFlowError, match=rf"test_compile_mistakes.py:{line}: this reads the value of a tensor"):
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
    with pytest.raises(FrozenNumberError, match=r"test_compile_mistakes.py:\d+: a number was 0.0 and is 1.0"):
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
    with pytest.raises(SideEffectError, match=r"test_compile_mistakes.py:\d+: the compiled function keeps a tensor"):
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
