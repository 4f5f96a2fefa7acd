"""The script that trains a network for pictures beside its twin in PyTorch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pictures.py"


def lines_of(*options: str) -> list[str]:
    command = [sys.executable, str(SCRIPT), "lenet5", "--dataset", "digits", "--threads", "1", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("options", [[], ["--set", "label_smoothing=0.1", "--set", "nesterov=true"]])
def test_the_first_steps_are_the_same(options: list[str]) -> None:
    *steps, ours, rounding = lines_of("--steps", "8", "--double", *options)
    assert len(steps) == 8
    for line in (ours, rounding):
        assert 0 < float(re.search(r": ([\d.e-]+)$", line)[1]) < 1e-3


def test_epochs_of_both() -> None:
    first, second, record = lines_of("--epochs", "2")
    assert all(re.fullmatch(r"epoch +\d  numbanet 0\.\d+  torch 0\.\d+", line) for line in (first, second))
    assert '"numbanet"' in record


def test_the_twin_alone() -> None:
    line, record = lines_of("--epochs", "1", "--alone")
    assert re.fullmatch(r"epoch   1  torch 0\.\d+  [\d.]+ s", line)
    assert '"seconds"' in record
