"""The command line as a person calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import report

from tests.benchmarks.conftest import BENCHMARKS
from tests.benchmarks.records import record, row


def compare(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(BENCHMARKS / "compare.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)


def test_list() -> None:
    result = compare("--list", "training")
    assert result.returncode == 0
    assert result.stdout.splitlines()[0] == "training/lenet5  (numbanet, torch NCHW, torch channels_last)"
    assert len(compare("--list", "--random", "7", "--count", "12").stdout.splitlines()) == 12


def test_an_unknown_workload() -> None:
    result = compare("trainnig")
    assert result.returncode == 2
    assert "no workload is called 'trainnig'" in result.stderr


def test_check_compares_the_sides() -> None:
    result = compare("--check", "--threads", "1", "gemm/square/32", NUMBANET_BACKEND="numpy")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "DIFFERS" not in result.stdout


def test_report_of_kept_records(tmp_path: Path) -> None:
    kept, page = tmp_path / "records.json", tmp_path / "page.md"
    kept.write_text(json.dumps([record("training/mlp", {"numbanet": row(1.0), "torch": row(1.2)})]))
    page.write_text(f"{report.BEGIN}\n{report.END}\n")
    result = compare("--from-json", str(kept), "--markdown", "--into", str(page))
    assert "FAILS  training step, mlp" in result.stdout
    assert "| training/mlp | 1 |" in page.read_text(encoding="utf-8")
    assert "| training/mlp | 1 |" in result.stdout


@pytest.mark.slow
def test_measure(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    kept = tmp_path / "records.json"
    result = compare(
        "--quick", "--single-thread", "--json", str(kept), "gemm/square/32", "softmax/softmax-128x10/forward"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    product, softmax = json.loads(kept.read_text())
    assert {"numbanet", "numbanet eager", "numpy"} <= set(product["sides"]) == set(product["single"])
    assert product["sides"]["numbanet"]["of"] == "peak"
    assert softmax["sides"]["numbanet"]["of"] == "copy"
    assert product["differences"] == softmax["differences"] == {}
    assert all(row["share"] > 0 for row in (*product["sides"].values(), *softmax["single"].values()))
