"""Results take over the memory of inputs that nobody reads afterwards."""

from __future__ import annotations

import numpy as np

import numbanet as nb
from numbanet.graph.passes import overwrite_inputs
from numbanet.graph.trace import Buffer
from tests.graph.passes.checks import arrays, copies, without


def plan_of(function, make):
    compiled = nb.compile(function)
    for seed in range(4):
        for a, b in zip(copies(function(*make(seed))), copies(compiled(*make(seed))), strict=True):
            np.testing.assert_array_equal(a, b)
    (plan,) = compiled.plans
    return plan


def in_place(plan) -> list[bool]:
    """Of each call, whether its output lies where one of its inputs does."""
    found = []
    for call in plan.calls:
        out = call.arguments["out"].storage
        found.append(sum(array.storage is out for array in call.reads) > 1)
    return found


def test_a_chain_needs_one_buffer(backend):
    """The result, into which all is written."""
    plan = plan_of(lambda x: x.exp().sin().sum(0).exp().cos(), arrays((40, 30)))
    assert in_place(plan) == [False, True, False, True, True]
    assert sum(isinstance(storage, Buffer) for storage, _, _ in plan.arena) == 1


def test_more_buffers_without_the_pass(backend, monkeypatch):
    without(monkeypatch, overwrite_inputs)
    plan = plan_of(lambda x: x.exp().sin().sum(0).exp().cos(), arrays((40, 30)))
    assert not any(in_place(plan))


def test_an_input_that_is_read_later(backend):
    def function(x):
        y = x.exp()
        return y.sin().sum(0) + y.cos().sum(0)

    assert in_place(plan_of(function, arrays((5, 6))))[:2] == [False, False]


def test_what_is_not_temporary_stays(backend):
    weight = nb.ones(5, 6)
    assert not any(in_place(plan_of(lambda x: ((x + weight).sum(0), x.exp()), arrays((5, 6)))))


def test_a_transposed_view_of_the_same_memory(backend):
    def function(x):
        y = x.exp()
        return (y + y.T).sum(0)

    assert not any(in_place(plan_of(function, arrays((6, 6)))))


def test_a_part_of_the_memory(backend):
    def function(x):
        return x.exp()[1:].sin().sum(0)

    assert not any(in_place(plan_of(function, arrays((6, 6)))))


def test_a_broadcast_input(backend):
    assert not any(in_place(plan_of(lambda x: (x.exp() + nb.zeros(3, 4)).sum(0), arrays((1, 4)))))


def test_both_inputs_are_the_same(backend):
    def function(x):
        y = x.exp()
        return (y * y).sum(0)

    assert in_place(plan_of(function, arrays((6, 6))))[1]


def test_another_size_of_element(backend):
    assert not any(in_place(plan_of(lambda x: (x.exp() > 1).float().sum(0), arrays((6, 6)))))


def test_a_gradient_is_written_where_it_stays(backend):
    weight = nb.ones(6, requires_grad=True)

    def step(x):
        weight.grad = None
        (weight * x).exp().sum().backward()
        return x * 1

    compiled = nb.compile(step)
    held = []
    for number in range(6):
        compiled(nb.full((6,), float(number)))
        held.append((number, weight.grad))
    for number, gradient in held:
        np.testing.assert_allclose(gradient.numpy(), number * np.exp(np.full(6, number)), rtol=1e-6)
