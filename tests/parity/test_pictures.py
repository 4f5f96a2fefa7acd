"""The script that trains a network for pictures beside its twin in PyTorch."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pictures.py"


@pytest.fixture
def lines_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., list[str]]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    specification = importlib.util.spec_from_file_location("pictures", SCRIPT)
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)

    def run(*options: str) -> list[str]:
        command = [str(SCRIPT), "lenet5", "--dataset", "digits", "--threads", "1", *options]
        monkeypatch.setattr(sys, "argv", command)
        script.main()
        return capsys.readouterr().out.splitlines()

    return run


@pytest.mark.parametrize("options", [[], ["--set", "label_smoothing=0.1", "--set", "nesterov=true"]])
def test_the_first_steps_are_the_same(lines_of, options: list[str]) -> None:
    *steps, ours, rounding = lines_of("--steps", "4", "--double", *options)
    assert len(steps) == 4
    for line in (ours, rounding):
        assert 0 < float(re.search(r": ([\d.e-]+)$", line)[1]) < 1e-3


def test_epochs_of_both(lines_of) -> None:
    first, record = lines_of("--epochs", "1", "--set", "limit=200")
    assert re.fullmatch(r"epoch +\d  numbanet 0\.\d+  torch 0\.\d+", first)
    assert '"numbanet"' in record


def test_the_twin_alone(lines_of) -> None:
    line, record = lines_of("--epochs", "1", "--alone", "--set", "limit=200")
    assert re.fullmatch(r"epoch   1  torch 0\.\d+  [\d.]+ s", line)
    assert '"seconds"' in record
