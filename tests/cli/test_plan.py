"""``numbanet plan`` and what it shows."""

from __future__ import annotations

import json
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
    assert re.search(r"^0-2 +conv2d_max_pool +conv1 +4x6x14x14 +[1-9][\d,]+ +[\d,]+$", shown, re.MULTILINE)
    assert "(backward)" in shown
    assert "61,706 parameters" in shown
    assert "host segments: none" in shown
    assert re.search(r"training: peak [\d,]+ bytes = arena", shown)
    assert re.search(r"inference: peak [\d,]+ bytes = arena", shown)
    drawing = (tmp_path / "a.dot").read_text()
    assert drawing.startswith("digraph plan {")
    assert drawing.count("->") > 20


@needs_numba
def test_plan_shows_the_chosen_kernels(capsys, monkeypatch):
    arguments = ["plan", "resnet20", "--batch-size", "2", "--kernels", "--backend", "cpu"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "transform_filters, winograd_convolution" in shown
    assert "winograd_weight_gradient, winograd_weights" in shown
    from numbanet.kernels.cpu.conv_choice import choose_direct

    choose_direct.cache_clear()
    monkeypatch.setenv("NUMBANET_CONV", "channels")
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "channel_convolution" in shown
    assert "winograd" not in shown
    choose_direct.cache_clear()


def test_a_wrong_model(capsys):
    assert main(["plan", "lenet"]) == 2
    assert "did you mean 'lenet5'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["plan lenet5 --dot", "plan lenet5 --svg", "datasets show digits --out"])
@pytest.mark.parametrize(("place", "message"), [(".", "is a folder"), ("no/file", "there is no folder no for file")])
def test_a_file_that_cannot_be_written(capsys, command, place, message):
    assert main([*command.split(), place]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1


@needs_numba
@pytest.mark.parametrize(
    "network", [pytest.param(name, marks=[pytest.mark.slow] * (name == "residual")) for name in NETWORKS]
)
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


# --- profile ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("options", [[], ["--inference", "--top", "2"]])
def test_profile_of_a_model(backend, capsys, tmp_path, options):
    trace = tmp_path / "trace.json"
    arguments = ["--batch-size", "2", "--backend", backend, "--repeats", "2", "--threads", "1", "--trace", str(trace)]
    assert main(["profile", "lenet5", *arguments, *options]) == 0
    shown = capsys.readouterr().out
    head, *rows = shown.split("\n\n")[0].splitlines()
    assert head.split() == ["us", "share", "GFLOP/s", "GB/s", "of", "peak", "call", "module", "writes"]
    times = [float(row.split()[0].replace(",", "")) for row in rows]
    assert times == sorted(times, reverse=True)
    assert len(times) == 2 if options else len(times) > 15
    kind = "inference" if options else "training"
    assert re.search(
        rf"lenet5, {kind}, batch 2, 1 thread: [\d.]+ ms a replay, .*; peak \d+ GFLOP/s, [\d.]+ GB/s", shown
    )
    assert len(json.loads(trace.read_text())["traceEvents"]) > len(times)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenet"], "did you mean 'lenet5'"),
        (["lenet5", "--trace", "nowhere/a.json"], "'--trace': there is no folder nowhere for a.json"),
        (["lenet5", "--trace", "."], "'--trace': . is a folder; it must be a file"),
        (["lenet5", "--batch-size", "0"], "batch-size"),
        (["lenet5", "--repeats", "none"], "repeats"),
        (["lenet5", "--model-option", "depth=3"], "has no option 'depth'"),
        (["lenet5", "--dataset", "digit"], "did you mean 'digits'"),
        (["lenet5", "--threads", "0"], "threads"),
    ],
)
def test_profile_refuses_in_a_line(capsys, arguments, message):
    assert main(["profile", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert message in captured.err
