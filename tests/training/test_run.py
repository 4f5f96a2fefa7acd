"""Run: the folder is there whole or not at all, and agrees with its checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from numbanet.training.checkpoint import Checkpoint
from numbanet.training.config import Config
from numbanet.training.errors import CheckpointError, RunError
from numbanet.training.run import Run, check_free, free_name, latest_name

CONFIG = Config(model="lenet5", dataset="digits", epochs=3)
START = Checkpoint({"model.w": np.arange(3.0)}, {"step": 0})


@pytest.fixture
def run(tmp_path) -> Run:
    return Run.create(tmp_path / "runs" / "one", CONFIG, START)


def test_create_and_open(run) -> None:
    assert sorted(os.listdir(run.folder)) == ["config.toml", "last.npz", "metrics.jsonl"]
    assert os.listdir(run.folder.parent) == ["one"]
    opened = Run.open(run.folder)
    assert opened.config == CONFIG
    assert opened.metrics() == []
    assert opened.summary() is None
    checkpoint = opened.load_checkpoint("last")
    assert checkpoint.state == {"model": "lenet5", "dataset": "digits", "step": 0}
    assert checkpoint.arrays["model.w"].tolist() == [0, 1, 2]


def test_create_in_an_empty_folder(tmp_path, monkeypatch) -> None:
    Run.create(tmp_path, CONFIG, START)
    assert sorted(os.listdir(tmp_path)) == ["config.toml", "last.npz", "metrics.jsonl"]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Run.create(".", CONFIG, START)
    assert Run.open(".").config == CONFIG


def test_create_never_touches_what_exists(run, tmp_path) -> None:
    before = {name: (run.folder / name).read_bytes() for name in os.listdir(run.folder)}
    with pytest.raises(RunError, match="already holds a run; go on with it by --resume, or choose another --out"):
        Run.create(run.folder, CONFIG, START)
    assert {name: (run.folder / name).read_bytes() for name in os.listdir(run.folder)} == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="exists and is not empty"):
        Run.create(tmp_path / "other", CONFIG, START)
    with pytest.raises(RunError, match="exists and is not a folder"):
        Run.create(tmp_path / "other" / "notes.txt", CONFIG, START)
    assert os.listdir(tmp_path / "other") == ["notes.txt"]


@pytest.mark.parametrize("folder", ["file/run", "file/deep/run"])
def test_create_where_nothing_can_be_written(tmp_path, folder: str) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(RunError, match=r"cannot make the run folder .* is not a folder"):
        Run.create(tmp_path / folder, CONFIG, START)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("existing", [True, False])
def test_create_on_a_full_disk_leaves_nothing(tmp_path, monkeypatch, existing: bool) -> None:
    folder = tmp_path / "run"
    if existing:
        folder.mkdir()

    def fail(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numbanet.training.run.write_text", fail)
    with pytest.raises(RunError, match="no space left on device"):
        Run.create(folder, CONFIG, START)
    assert [*tmp_path.iterdir()] == ([folder] if existing else [])
    assert not existing or os.listdir(folder) == []


def test_numbered_names(tmp_path) -> None:
    base = tmp_path / "runs" / "lenet5-digits"
    assert latest_name(base) is None
    assert [Run.create_numbered(base, CONFIG, START).folder.name for _ in range(3)] == [
        "lenet5-digits",
        "lenet5-digits-2",
        "lenet5-digits-3",
    ]
    assert free_name(base).name == "lenet5-digits-4"
    for name in ("lenet5-digits-11", "lenet5-digits-old", "lenet5-digits-extra-12"):
        base.with_name(name).mkdir()
    assert latest_name(base).name == "lenet5-digits-11"


def test_another_process_may_take_the_name_first(tmp_path, monkeypatch) -> None:
    base = tmp_path / "run"
    save = Run.save_checkpoint

    def save_late(self: Run, name: str, checkpoint: Checkpoint) -> None:
        save(self, name, checkpoint)
        if not base.exists():
            base.mkdir()
            (base / "taken").touch()

    monkeypatch.setattr(Run, "save_checkpoint", save_late)
    assert Run.create_numbered(base, CONFIG, START).folder.name == "run-2"
    assert sorted(os.listdir(tmp_path)) == ["run", "run-2"]
    assert os.listdir(base) == ["taken"]


def test_open_what_is_no_run(tmp_path, run) -> None:
    with pytest.raises(RunError, match="there is no run folder"):
        Run.open(tmp_path / "none")
    with pytest.raises(RunError, match=r"is not a run folder \(it has no config.toml\)"):
        Run.open(tmp_path)
    (run.folder / "config.toml").write_text("epochs = 0")
    with pytest.raises(RunError, match=r"config.toml: epochs must be"):
        Run.open(run.folder)


def test_missing_and_foreign_checkpoints(run, tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"has no checkpoint best\.npz"):
        run.load_checkpoint("best")
    other = Run.create(tmp_path / "other", Config(model="mlp"), START)
    (run.folder / "last.npz").write_bytes((other.folder / "last.npz").read_bytes())
    with pytest.raises(CheckpointError, match="holds a mlp, but this is a run of lenet5"):
        run.load_checkpoint("last")


def test_metrics_follow_the_checkpoint(run) -> None:
    rows = [{"epoch": epoch, "train_loss": 1 / epoch, "test_loss": float("nan")} for epoch in (1, 2, 3)]
    for row in rows:
        run.append_metrics(row)
    expected = [{**row, "test_loss": None} for row in rows]
    assert run.metrics() == expected
    with (run.folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": 4, "tra')  # killed in the middle of a line
    (run.folder / ".last.npz.123.part").write_bytes(b"half")
    run.write_summary({"epochs": 3})
    run.reopen(expected[:2])
    assert run.metrics() == expected[:2]
    assert sorted(os.listdir(run.folder)) == ["config.toml", "last.npz", "metrics.jsonl"]


def test_summary_is_strict_json(run) -> None:
    run.write_summary({"test_loss": float("inf"), "best": {"loss": float("nan"), "epoch": 3}})
    text = (run.folder / "summary.json").read_text()
    assert json.loads(text) == {"format_version": 1, "test_loss": None, "best": {"loss": None, "epoch": 3}}
    assert run.summary()["best"]["epoch"] == 3


@pytest.mark.skipif(sys.platform == "win32", reason="no lock there")
def test_one_process_at_a_time(run) -> None:
    code = "import sys\nfrom numbanet.training.run import Run\nwith Run.open(sys.argv[1]).lock(): print('locked')"
    command = [sys.executable, "-c", code, str(run.folder)]
    with run.lock():
        refused = subprocess.run(command, capture_output=True, text=True)
    assert "another process is training in" in refused.stderr
    assert subprocess.run(command, capture_output=True, text=True).stdout == "locked\n"


def test_check_free_accepts_what_is_new_or_empty(tmp_path) -> None:
    check_free(tmp_path)
    check_free(tmp_path / "new" / "deep")
