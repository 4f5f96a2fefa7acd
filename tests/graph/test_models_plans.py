"""The plans of all registered models: Python does no call of them, and the independent checker walks through them."""

from __future__ import annotations

import pytest

from numbanet import models
from numbanet.cli.planning import make_functions
from numbanet.graph.inspect import plan_of
from tests.graph.arena_checker import overlaps

FAST = ("lenet5", "gpt", "lstm_classifier")
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name not in FAST)) for name in models.list_models()]


@pytest.mark.parametrize("name", NAMES)
def test_no_python_and_no_overlap(name):
    for function, given in make_functions(name, 4, None, "cpu", {}).calls.values():
        plan = plan_of(function, *given)
        assert overlaps(plan) == []
        assert [(call.name, reason) for call, reason in plan.host_segments] == []
