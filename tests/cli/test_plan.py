"""``numbanet plan`` and what it shows."""

from __future__ import annotations

import re

import pytest

import numbanet as nb
from numbanet.cli import main
from numbanet.graph.inspect import dot_source, lines_of, memory_of, plan_of
from tests.conftest import needs_numba
from tests.graph.networks import NETWORKS, OPTIMISERS, batches, training_step


@needs_numba
def test_plan_of_a_model(capsys, tmp_path):
    assert main(["plan", "lenet5", "--batch-size", "4", "--backend", "cpu", "--dot", str(tmp_path / "a.dot")]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^0 +conv2d +conv1 +4x6x28x28 +[\d,]+ +[\d,]+$", shown, re.MULTILINE)
    assert "(backward)" in shown
    assert "61,706 parameters" in shown
    assert "host segments: none" in shown
    assert re.search(r"training: peak [\d,]+ bytes = arena", shown)
    assert re.search(r"inference: peak [\d,]+ bytes = arena", shown)
    drawing = (tmp_path / "a.dot").read_text()
    assert drawing.startswith("digraph plan {")
    assert drawing.count("->") > 20


def test_a_wrong_model(capsys):
    assert main(["plan", "lenet"]) == 2
    assert "did you mean 'lenet5'" in capsys.readouterr().err


@needs_numba
@pytest.mark.parametrize("network", NETWORKS)
def test_nothing_is_computed(network):
    """The plan is that of the compiled function, and the model is as it was."""
    nb.set_backend("cpu")
    model = NETWORKS[network]()
    step = training_step(model, OPTIMISERS["momentum"](model.parameters()))
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    inputs = batches(1)[0]
    plan = plan_of(step, *inputs)
    assert all(
        (before[name] == value.numpy()).all() for name, value in model.state_dict().items() if "batches" not in name
    )
    compiled = nb.compile(step)
    for _ in range(4):
        compiled(*inputs)
    other = compiled.plans[-1]
    assert [line.name for line in lines_of(plan)] == [line.name for line in lines_of(other)]
    assert memory_of(plan) == memory_of(other)
    assert memory_of(plan).peak > 0
    assert dot_source(plan) == dot_source(other)
