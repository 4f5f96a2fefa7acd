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

from numbanet.kernels.backend import BACKENDS
from numbanet.training import files
from numbanet.training.errors import Interrupted
from numbanet.training.report import Reporter
from numbanet.training.run import Run
from numbanet.training.toml import dumps
from numbanet.training.trainer import Trainer
from tests.training.conftest import content, small_config

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
CONFIG = small_config(
    checkpoint_steps=3,
    validation=0.2,
    limit=80,
    epochs=2,
    optimizer="adam",
    lr=0.01,
    ema_decay=0.9,
    accumulate=2,
    schedule="plateau",
    patience=0,
    clip_norm=1.0,
    early_stopping=9,
)
OWN = """
import numpy as np
from numbanet import nn, training

def model(num_classes):
    return nn.Sequential(nn.Conv2d(1, 3, 5, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(),
                         nn.Linear(192, num_classes))

def data(seed):
    random = np.random.default_rng(seed)
    return [(random.normal(size=(n, 1, 28, 28)), random.integers(0, 3, n)) for n in (65, 20, 20)]

class Noise(training.Callback):
    # changes a weight after each step by what it remembers; stops when it has seen enough
    def __init__(self):
        self.sums, self.steps = np.zeros(3), 0

    def step(self, trainer, loss):
        self.sums[self.steps % 3] += loss
        self.steps += 1
        trainer.model[0].bias.data.add_(float(0.01 * self.sums.max()))

    def epoch(self, trainer, row):
        row["sum"] = float(self.sums.sum())
        if self.steps >= 10:
            trainer.stop("enough")

    def state_dict(self):
        return {"sums": self.sums, "steps": self.steps}

    def load_state_dict(self, state):
        self.sums, self.steps = state["sums"].copy(), state["steps"]
"""
OF_MY_OWN = {"model": "own.py:model", "dataset": "own.py:data", "callbacks": ["own.py:Noise"], "model_options": {}}
VARIANTS = {
    "average, parts, plateau": CONFIG,
    "own files, exact statistics, a callback that stops": CONFIG.replace(
        **OF_MY_OWN, validation=0.0, exact_batchnorm=True, epochs=5, optimizer="rmsprop", centered=True, momentum=0.5
    ),
    "own files, exact statistics of the running weights": CONFIG.replace(
        **{**OF_MY_OWN, "callbacks": []},
        validation=0.0,
        exact_batchnorm=True,
        ema_decay=0.0,
        optimizer="sgd",
        schedule="one_cycle",
    ),
    "drawn samples, stopped early": CONFIG.replace(
        class_weights="balanced", weights_act="sampler", epochs=6, early_stopping=1, lr=0.3
    ),
}


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


EVERY_OR_SOME = [pytest.param(1, id="every", marks=pytest.mark.slow), pytest.param(8, id="some")]


@needs_fork
@pytest.mark.parametrize("stride", EVERY_OR_SOME)
def test_killed_at_moments_of_writing(stride: int, monkeypatch) -> None:
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
        deaths += stride
    assert deaths > 20


@needs_fork
def test_killed_again_and_again() -> None:
    """Each life gets a little further than the one before."""
    Trainer(CONFIG, "alone").fit()
    Trainer(CONFIG, "run")._create()
    lives = 0
    while killed(lambda: Trainer.resume("run").fit(), 5):
        lives += 1
    assert lives >= 3
    assert content(Path("run")) == content(Path("alone"))


# all variants from every step, and in the fast set one of them from some
RESUMED = [(name, 1) for name in VARIANTS] + [("average, parts, plateau", 4)]


@pytest.mark.parametrize(
    ("name", "stride"), [pytest.param(*one, marks=[pytest.mark.slow] if one[1] == 1 else []) for one in RESUMED]
)
def test_resumed_from_steps(name: str, stride: int) -> None:
    """Whatever a checkpoint in the middle of an epoch must hold, it holds; also with the loader's last batch done."""
    Path("own.py").write_text(OWN)
    config = VARIANTS[name].replace(checkpoint_steps=1)
    seen = []

    class Copying(Trainer):
        def _save(self):
            checkpoint = super()._save()
            seen.append(checkpoint)
            return checkpoint

    summary = Copying(config, "alone").fit()
    steps = summary["steps"] // summary["epochs"]
    assert [checkpoint.state["schedule"]["step"] for checkpoint in seen] == list(range(1, summary["steps"] + 1))
    assert ("stopped" in summary) == ("stop" in name)
    middle = {0, steps - 2, steps - 1, steps}  # in an epoch, at its last step, at its end
    for number, checkpoint in enumerate(seen):
        if number % stride and number not in middle:
            continue
        folder = Path(f"run{number}")
        run = Run.create(folder, config, checkpoint)
        best = checkpoint.state["progress"]["best"]
        if best is not None:  # as it lay there at that time
            run.save_checkpoint("best", seen[steps * best["epoch"] - 1])
        Path("own.py").write_text("a change in the meantime, of which the run folder does not know")
        Trainer.resume(folder).fit()
        assert content(folder) == content(Path("alone"))
        Path("own.py").write_text(OWN)


SMALL = {"embedding_dim": 8, "hidden_size": 16}
KILLED = {
    "pictures": {"model": "lenet5", "model_options": {}, "accumulate": 2},
    "a carried state": {
        "model": "char_lstm", "model_options": SMALL, "dataset": "text", "text": "a.txt", "sequence_length": 8
    },
    "pairs": {"model": "seq2seq", "model_options": SMALL, "dataset": "pairs", "pairs": "a.tsv", "sequence_length": 8},
}  # fmt: skip


def killed_at_random(moments: int, backend: str, tmp_path: Path, name: str = "pictures") -> list[int]:
    """A real command, killed by the clock so often, now while it starts, now while it trains: the steps it had done."""
    Path("a.txt").write_text("the cat sat on the mat, the dog sat on the log. " * 80)
    Path("a.tsv").write_text("".join(f"{a} {b}\t{b} {a} {b}\n" for a in range(20) for b in range(20)))
    changes = {**KILLED[name], "limit": 200, "epochs": 8 * moments, "checkpoint_steps": 10}
    changes |= {"ema_decay": 0.95, "schedule": "plateau", "patience": 1, "clip_value": 0.5}
    (tmp_path / "config.toml").write_text(dumps(small_config(backend=backend, **changes)))
    train = [sys.executable, "-m", "numbanet.cli", "train", "--config", "config.toml", "--out"]
    subprocess.run([*train, "alone"], check=True, capture_output=True)
    clock = [row["seconds"] for row in Run.open("alone").metrics()]
    two_epochs = 2 * (clock[-1] - clock[0]) / (len(clock) - 1)
    generator, startup, steps = random.Random(0), 1.0, []
    for attempt in range(moments):
        began = time.perf_counter()
        again = ["--resume"] if Path("run").exists() else []
        with subprocess.Popen([*train, "run", *again], stdout=subprocess.PIPE, text=True) as process:
            if attempt % 3 == 2:
                time.sleep(generator.uniform(0, startup))
            else:
                assert any(line.startswith("epoch ") for line in process.stdout), "no epoch was done"
                startup = time.perf_counter() - began
                time.sleep(generator.uniform(0, two_epochs))
            process.kill()
        assert process.returncode == -signal.SIGKILL, "done before it was killed"
        steps.append(Run.open("run").load_checkpoint("last").state["schedule"]["step"])
    subprocess.run([*train, "run", "--resume"], check=True, capture_output=True)
    return steps


def check_killed(steps: list[int]) -> None:
    """It went on from where it was each time, and came to the same bits as the run left alone."""
    assert steps == sorted(steps)
    assert steps[-1] >= 13  # the kills fell into the training, not all before it
    assert content(Path("run")) == content(Path("alone"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize("name", KILLED)
@pytest.mark.parametrize("backend", BACKENDS)
def test_killed_at_ten_random_moments(backend: str, name: str, tmp_path) -> None:
    if backend == "cpu":
        pytest.importorskip("numba", reason="the cpu back end needs Numba")
    steps = killed_at_random(10, backend, tmp_path, name)
    assert len(steps) == 10
    check_killed(steps)


def test_stopped_and_resumed_with_other_threads() -> None:
    pytest.importorskip("numba", reason="the cpu back end needs Numba")
    config = small_config(model="lenet5", model_options={}, backend="cpu", threads=1)
    Trainer(config, "alone").fit()
    with pytest.raises(Interrupted):
        Trainer(config, "run", StopAfter(1)).fit()
    Trainer.resume("run", {"threads": 2}).fit()
    expected, found = content(Path("alone")), content(Path("run"))
    for state in ("last state", "best state"):
        expected[state].pop("config"), found[state].pop("config")
    assert found == expected


class StopAfter(Reporter):
    """Ctrl-C when an epoch is done."""

    def __init__(self, epoch: int) -> None:
        self.last = epoch

    def epoch(self, row: dict) -> None:
        if row["epoch"] == self.last:
            signal.raise_signal(signal.SIGINT)
