"""Small runs, and the process left as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numbanet
from numbanet.training.config import Config
from numbanet.training.run import Run


@pytest.fixture(autouse=True)
def leave_as_found(tmp_path, monkeypatch) -> Iterator[None]:
    """Runs choose the back end and the threads of the process, and the default run folder is below the current one."""
    monkeypatch.chdir(tmp_path)
    backend, threads = numbanet.get_backend(), numbanet.get_num_threads()
    yield
    numbanet.set_backend(backend)
    numbanet.set_num_threads(threads)


def small_config(**changes: Any) -> Config:
    """A run of a fraction of a second on the NumPy back end."""
    settings = {
        "model": "mlp",
        "model_options": {"hidden": [12]},
        "backend": "numpy",
        "limit": 100,
        "epochs": 3,
        "batch_size": 16,
        "momentum": 0.9,
        "lr": 0.05,
    }
    return Config(**{**settings, **changes})


def content(folder: Path) -> dict[str, Any]:
    """What a run has come to, without what depends on the clock."""
    run, found = Run.open(folder), {}
    for name in ("last", "best"):
        checkpoint = run.load_checkpoint(name)
        state = dict(checkpoint.state)
        progress = {key: value for key, value in state.pop("progress").items() if not key.startswith("seconds")}
        progress["history"] = [without_clock(row) for row in progress["history"]]
        found[name] = {key: (array.dtype.str, array.tobytes()) for key, array in checkpoint.arrays.items()}
        found[f"{name} state"] = {**state, "progress": progress}
    found["metrics"] = [without_clock(row) for row in run.metrics()]
    assert all(np.isfinite(array).all() for array in run.load_checkpoint("last").arrays.values())
    return found


def without_clock(row: dict[str, Any]) -> dict[str, Any]:
    """A line of metrics without its time."""
    return {key: value for key, value in row.items() if key != "seconds"}
