"""Random functions have the same bits eager and compiled, and no two live buffers of theirs overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import numbanet as nb
from numbanet import autograd
from numbanet.graph.arena import Layout
from tests.graph.arena_checker import overlaps
from tests.graph.random_graphs import KINDS, Program, Step, arguments, programs, run

WITHOUT_CHANGES = tuple([kind for kind in KINDS if kind not in ("in place", "write")])
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
many = settings(few, max_examples=1000)


def bits(tensor) -> tuple:
    """All there is to see of a tensor; one NaN is as good as another."""
    array = tensor.detach().numpy().copy()
    array[np.isnan(array)] = np.nan
    return array.shape, array.tobytes()


def with_gradients(program: Program, inputs):
    leaves = [one.detach().requires_grad_() for one in inputs]
    results = run(program, leaves)
    total = sum((one * one).sum() for one in results)
    return [*results, *[one for one in autograd.grad(total, leaves, allow_unused=True) if one is not None]]


def assert_same_bits(program: Program, function=run) -> None:
    compiled = nb.compile(lambda *inputs: function(program, inputs))
    for seed in range(4):
        given_eager, given_compiled = arguments(seed), arguments(seed)
        state = nb.random.get_state()
        with np.errstate(all="ignore"):
            eager = [bits(one) for one in function(program, given_eager)]
            nb.random.set_state(state)
            again = [bits(one) for one in compiled(*given_compiled)]
        assert eager == again
        assert list(map(bits, given_eager)) == list(map(bits, given_compiled))
    for plan in compiled.plans:
        assert overlaps(plan) == []


@few
@given(programs())
def test_the_same_bits(backend, program):
    assert_same_bits(program)


@few
@given(programs(WITHOUT_CHANGES, most=8))
def test_the_same_bits_of_gradients(backend, program):
    assert_same_bits(program, with_gradients)


@pytest.mark.slow
@many
@given(programs(most=40))
def test_the_same_bits_of_many(backend, program):
    assert_same_bits(program)


@pytest.mark.slow
@many
@given(programs(WITHOUT_CHANGES, most=20))
def test_the_same_bits_of_many_gradients(backend, program):
    assert_same_bits(program, with_gradients)


def test_the_checker_sees_an_arena_in_which_all_lies_together(backend, monkeypatch):
    from numbanet.graph import plan

    lay_out = plan.lay_out
    monkeypatch.setattr(plan, "lay_out", lambda b: Layout([0] * len(b), lay_out(b).nbytes))
    program = Program([Step("unary", 0, 0, 0), Step("unary", 0, 0, 3), Step("matmul", 6, 7, 0)], [8])
    compiled = nb.compile(lambda *inputs: run(program, inputs))
    for seed in range(2):
        compiled(*arguments(seed))
    assert overlaps(compiled.plans[0])
