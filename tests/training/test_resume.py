"""A run that was killed and resumed is the run that was left alone, to the bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from numbanet.training import files
from numbanet.training.run import Run
from numbanet.training.toml import dumps
from numbanet.training.trainer import Trainer
from tests.training.conftest import content, small_config

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
CONFIG = small_config(checkpoint_steps=3, validation=0.2, limit=80, epochs=2, optimizer="adam", lr=0.01)


def killed(train, moment: int) -> bool:
    """Run ``train`` in a child that kills itself at the moment with that number; whether it got so far."""
    child = os.fork()
    if child == 0:
        try:
            kill_at(moment)
            train()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def kill_at(moment: int) -> None:
    """SIGKILL at the moment-th time that something is about to be, or has just been, written."""
    passed = iter(range(10**6))

    def maybe() -> None:
        if next(passed) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    replace, append = os.replace, Run.append_metrics

    def replace_(source: str, target: str) -> None:
        maybe()
        replace(source, target)
        maybe()

    def append_(self: Run, row: dict) -> None:
        maybe()
        append(self, row)
        with (self.folder / "metrics.jsonl").open("r+b") as stream:  # half a line, as a cut leaves it
            whole = stream.read()
            stream.truncate(len(whole) - 20)
            stream.flush()
            maybe()
            stream.seek(0)
            stream.write(whole)

    files.os.replace = replace_
    Run.append_metrics = append_


@needs_fork
def test_killed_at_every_moment_of_writing(monkeypatch) -> None:
    monkeypatch.setattr("numbanet.training.curves.draw", lambda *arguments: None)  # dozens of pictures take a while
    Trainer(CONFIG, "alone").fit()
    expected, deaths = content(Path("alone")), 0
    while killed(Trainer(CONFIG, f"run{deaths}").fit, deaths):
        folder = Path(f"run{deaths}")
        if folder.exists():
            Trainer.resume(folder).fit()
            assert content(folder) == expected, f"killed at moment {deaths}"
            assert not list(folder.glob(".*"))
        else:
            assert deaths < 8, "killed before the folder was there"
        deaths += 1
    assert deaths > 20


@needs_fork
def test_killed_again_and_again() -> None:
    """Each life gets a little further than the one before."""
    Trainer(CONFIG, "alone").fit()
    Trainer(CONFIG, "run")._create()
    lives = 0
    while killed(lambda: Trainer.resume("run").fit(), 7):
        lives += 1
    assert lives >= 3
    assert content(Path("run")) == content(Path("alone"))


def test_resumed_from_every_step() -> None:
    """Whatever a checkpoint in the middle of an epoch must hold, it holds; also with the loader's last batch done."""
    config = CONFIG.replace(checkpoint_steps=1, epochs=2)
    seen = []

    class Copying(Trainer):
        def _save(self):
            checkpoint = super()._save()
            seen.append(checkpoint)
            return checkpoint

    Copying(config, "alone").fit()
    assert [checkpoint.state["schedule"]["step"] for checkpoint in seen] == list(range(1, 9))
    for number, checkpoint in enumerate(seen):
        folder = Path(f"run{number}")
        run = Run.create(folder, config, checkpoint)
        best = checkpoint.state["progress"]["best"]
        if best is not None:  # as it lay there at that time
            run.save_checkpoint("best", seen[4 * best["epoch"] - 1])
        Trainer.resume(folder).fit()
        assert content(folder) == content(Path("alone"))


def killed_at_random(moments: int, tmp_path: Path) -> None:
    """A real command, killed by the clock, until it has been killed so often or is done."""
    config = small_config(model="lenet5", model_options={}, limit=200, epochs=4, checkpoint_steps=5)
    (tmp_path / "config.toml").write_text(dumps(config))
    train = [sys.executable, "-m", "numbanet.cli", "train", "--config", "config.toml", "--out"]
    began = time.perf_counter()
    subprocess.run([*train, "alone"], check=True, capture_output=True)
    duration = time.perf_counter() - began
    generator = random.Random(0)
    for attempt in range(moments):
        again = ["--resume"] if Path("run").exists() else []
        process = subprocess.Popen([*train, "run", *again], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            process.wait(generator.uniform(0.3, 0.9) * duration)
        except subprocess.TimeoutExpired:
            process.kill()
        error = process.communicate()[1].decode()
        assert process.returncode in (0, -signal.SIGKILL), f"attempt {attempt}: {error}"
    subprocess.run([*train, "run", "--resume"], check=True, capture_output=True)
    assert content(Path("run")) == content(Path("alone"))


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_killed_at_random_moments(tmp_path) -> None:
    killed_at_random(2, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_killed_at_ten_random_moments(tmp_path) -> None:
    killed_at_random(10, tmp_path)
