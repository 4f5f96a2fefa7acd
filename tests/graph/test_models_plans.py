"""The plans of all registered models: Python does no call of them, and the independent checker walks through them."""

from __future__ import annotations

import pytest

from numbanet import models
from numbanet.cli.planning import make_plans
from numbanet.graph import GraphError
from tests.graph.arena_checker import overlaps

FAST = ("lenet5", "gpt", "lstm_classifier")
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name not in FAST)) for name in models.list_models()]
RETURN_A_STATE = ("char_gru", "char_lstm", "char_rnn", "word_lstm")
"""Their result holds an object that a plan cannot give anew."""


@pytest.mark.parametrize("name", NAMES)
def test_no_python_and_no_overlap(name):
    try:
        plans, _ = make_plans(name, 4, None, "cpu", {})
    except GraphError:
        assert name in RETURN_A_STATE
        return
    for plan in plans.values():
        assert overlaps(plan) == []
        assert [(call.name, reason) for call, reason in plan.host_segments] == []
