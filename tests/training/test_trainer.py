"""Trainer: what a run leaves behind, what it refuses, and how it stops."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

import numbanet
from numbanet.training.build import load_data
from numbanet.training.config import SCHEDULES, Config
from numbanet.training.errors import CheckpointError, ConfigError, DivergedError, Interrupted
from numbanet.training.evaluation import evaluate
from numbanet.training.interrupt import InterruptFlag
from numbanet.training.report import Reporter
from numbanet.training.restore import load_model
from numbanet.training.run import Run
from numbanet.training.trainer import Trainer
from numbanet.training.warmup import batch_sizes
from tests.training.conftest import content, small_config, without_clock

SUMMARY = {
    *("model", "dataset", "epochs", "parameters", "train_loss", "test_loss", "test_accuracy", "seconds_total"),
    *("seconds_compile", "samples_per_second", "peak_rss_mb", "version", "backend", "threads", "seed"),
}


class Listener(Reporter):
    """Writes down what it hears, and can act when an epoch or a piece of one is done."""

    progress_seconds = 1e-9

    def __init__(self, act=None) -> None:
        self.heard: list[str] = []
        self.batches: list[int] = []
        self.act = act

    def begin(self, config, folder, parameters, size, steps_per_epoch) -> None:
        self.heard.append("begin")

    def note(self, text: str) -> None:
        self.heard.append(text)

    def progress(self, epoch: int, batch: int, loss: float) -> None:
        self.batches.append(batch)
        if self.act:
            self.act(epoch, batch)

    def epoch(self, row) -> None:
        self.heard.append(f"epoch {row['epoch']}")

    def end(self, summary, folder) -> None:
        self.heard.append("end" if summary else "stopped")


def test_run_folder(tmp_path) -> None:
    listener = Listener()
    summary = Trainer(small_config(), "run", listener).fit()
    folder = tmp_path / "run"
    assert sorted(os.listdir(folder)) == [
        *("best.npz", "config.toml", "curves.png", "last.npz", "metrics.jsonl", "summary.json")
    ]
    assert listener.heard == ["begin", "epoch 1", "epoch 2", "epoch 3", "end"]
    assert listener.batches == [1, 2, 3, 4, 5, 6, 7] * 3
    written = json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)
    assert written == {"format_version": 1, **summary}
    assert set(summary) >= SUMMARY
    assert summary["parameters"] == 784 * 12 + 12 + 12 * 10 + 10
    assert summary["steps"] == 21
    assert 0 < summary["test_accuracy"] <= 1
    run = Run.open(folder)
    rows = run.metrics()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["step"] for row in rows] == [7, 14, 21]
    assert rows[-1]["train_loss"] == summary["train_loss"] < rows[0]["train_loss"]
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert run.config == small_config()


def test_summary_is_what_the_saved_weights_give() -> None:
    summary = Trainer(small_config(), "run").fit()
    model, checkpoint = load_model(Run.open("run"))
    result = evaluate(model, load_data(small_config()).test)
    assert checkpoint.state["progress"]["epoch"] == 3
    assert (result.accuracy, result.samples) == (summary["test_accuracy"], 100)
    assert result.loss == pytest.approx(summary["test_loss"], rel=1e-6)


def test_evaluate_by_hand() -> None:
    data = load_data(small_config())
    model, _ = load_model_of(small_config())
    logits = np.concatenate([model(x).detach().numpy() for x, _ in numbanet.data.DataLoader(data.test, 7)])
    labels = np.array([data.test[i][1] for i in range(len(data.test))])
    shares = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(1, keepdims=True)
    expected = -np.log(shares[np.arange(100), labels]).mean()
    model.train()
    result = evaluate(model, data.test, batch_size=33)
    assert result.loss == pytest.approx(expected, rel=1e-5)
    assert result.correct == (logits.argmax(1) == labels).sum()
    assert model.training


def load_model_of(config: Config):
    Trainer(config, "made").fit()
    return load_model(Run.open("made"))


def test_same_seed_same_bits_other_seed_other_bits() -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        Trainer(small_config(seed=seed), name).fit()
    a, b, c = (content(Path(name)) for name in "abc")
    assert a == b
    assert a["last"] != c["last"]


def test_best_is_the_lowest_training_loss_without_validation() -> None:
    Trainer(small_config(epochs=5, lr=0.3, schedule="constant"), "run").fit()
    run = Run.open("run")
    losses = [row["train_loss"] for row in run.metrics()]
    best = run.load_checkpoint("best").state["progress"]
    assert best["epoch"] == 1 + int(np.argmin(losses))
    assert best["best"] == {"epoch": best["epoch"], "by": "train_loss", "loss": min(losses)}


def test_best_is_picked_on_the_validation_part() -> None:
    config = small_config(epochs=6, validation=0.25, lr=0.3, schedule="constant")
    trainer = Trainer(config, "run")
    assert (len(trainer.data.train), len(trainer.data.validation)) == (75, 25)
    numbers = [set(part.indices) for part in (trainer.data.train, trainer.data.validation)]
    assert not numbers[0] & numbers[1]
    trainer.fit()
    rows = Run.open("run").metrics()
    losses = [row["validation_loss"] for row in rows]
    assert Run.open("run").load_checkpoint("best").state["progress"]["best"] == {
        "epoch": 1 + int(np.argmin(losses)),
        "by": "validation_loss",
        "loss": min(losses),
    }


LEARNS = [
    *({"schedule": schedule} for schedule in SCHEDULES),
    *({"optimizer": optimizer, "lr": 0.01, "schedule": "linear"} for optimizer in ("adam", "adamw")),
    *({"optimizer": "rmsprop", "lr": 0.002, "eps_inside_sqrt": inside, "momentum": "auto"} for inside in (True, False)),
    {"optimizer": "rmsprop", "lr": 0.001, "centered": True, "momentum": 0.5},
    {"nesterov": True, "decay_all": False, "weight_decay": 1e-3},
    {"clip_norm": 1.0, "clip_value": 0.1},
    {"accumulate": 3, "label_smoothing": 0.1},
    {"class_weights": "balanced"},
    {"class_weights": "balanced", "weights_act": "sampler"},
    *({"loss": loss, "lr": 0.3} for loss in ("bce", "mse", "l1", "smooth_l1", "huber")),
]


@pytest.mark.parametrize("changes", LEARNS, ids=lambda changes: " ".join(map(str, changes.values())))
def test_it_learns(changes: dict) -> None:
    config = small_config(**{"lr": 0.02, "epochs": 5, "warmup_epochs": 0.5, **changes})
    Trainer(config, "run").fit()
    rows = Run.open("run").metrics()
    assert rows[-1]["train_loss"] < 0.8 * rows[0]["train_loss"]
    assert 0 < rows[-1]["test_accuracy"] <= 1


def test_default_folders_are_numbered() -> None:
    for _ in range(2):
        Trainer(small_config(epochs=1)).fit()
    assert sorted(os.listdir("runs")) == ["mlp-digits", "mlp-digits-2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "lenet"}, "unknown model 'lenet'; did you mean 'lenet5'"),
        ({"dataset": "digit"}, "unknown data set 'digit'; did you mean 'digits'"),
        ({"batch_size": 101}, r"batch_size 101 is larger than the training data \(100 samples\)"),
        ({"validation": 0.001}, "leaves an empty part"),
        ({"model_options": {"hiden": 3}}, "model 'mlp' has no option 'hiden', did you mean 'hidden'"),
        ({"model_options": {"activation": "rellu"}}, "the model mlp cannot be made for digits: .*activation"),
    ],
)
def test_refuses_before_anything_is_written(tmp_path, changes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Trainer(small_config(**changes), "run")
    assert os.listdir(tmp_path) == []


def test_numba_missing(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="the cpu back end needs Numba, which is not installed"):
        Trainer(small_config(backend="cpu"))


def test_divergence_keeps_the_last_good_checkpoint() -> None:
    listener = Listener()
    with pytest.raises(
        DivergedError, match=r"training diverged: the loss became (nan|inf) at step (\d+) \(epoch 1\)"
    ) as caught:
        Trainer(small_config(lr=1e20), "run", listener).fit()
    assert f"{Path('run') / 'last.npz'} keeps the last good state" in str(caught.value)
    assert listener.heard == ["begin", "stopped"]
    run = Run.open("run")
    assert run.load_checkpoint("last").state["schedule"]["step"] == 0
    assert run.metrics() == []
    assert run.summary() is None


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_weights_that_are_not_finite_are_never_saved() -> None:
    # the loss of the last step is finite, what the step makes of the weights is not
    config = small_config(lr=1e300, epochs=1, limit=16, schedule="constant")
    with pytest.raises(DivergedError, match=r"holds numbers that are not finite at step 1 "):
        Trainer(config, "run").fit()
    assert Run.open("run").load_checkpoint("last").state["schedule"]["step"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_and_stops(number: signal.Signals) -> None:
    def act(epoch: int, batch: int) -> None:
        if (epoch, batch) == (2, 3):
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(
        Interrupted, match=rf"stopped by {number.name} in epoch 2 of 3, step 1\d; everything is saved"
    ) as caught:
        Trainer(small_config(), "run", Listener(act)).fit()
    assert caught.value.signal_number == number
    assert signal.getsignal(number) is before
    step = Run.open("run").load_checkpoint("last").state["schedule"]["step"]
    assert step in (10, 11)
    Trainer.resume("run").fit()
    Trainer(small_config(), "alone").fit()
    assert content(Path("run")) == content(Path("alone"))


def test_second_signal_acts_at_once() -> None:
    with InterruptFlag() as flag:
        signal.raise_signal(signal.SIGINT)
        assert flag.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_trains_outside_the_main_thread() -> None:
    thread = threading.Thread(target=lambda: Trainer(small_config(epochs=1), "run").fit())
    thread.start()
    thread.join()
    assert Run.open("run").summary()["epochs"] == 1


def test_resume_with_more_epochs_and_a_word_on_the_schedule() -> None:
    Trainer(small_config(epochs=2), "run").fit()
    listener = Listener()
    summary = Trainer.resume("run", {"epochs": 4, "threads": 1}, listener).fit()
    assert listener.heard[0].startswith("epochs changed from 2 to 4: the cosine schedule now ends at epoch 4")
    assert listener.heard[1:] == ["begin", "epoch 3", "epoch 4", "end"]
    run = Run.open("run")
    assert summary["epochs"] == len(run.metrics()) == run.config.epochs == 4
    assert (run.config.threads, summary["threads"]) == (1, 1)


def test_resume_of_a_finished_run_changes_nothing() -> None:
    first = Trainer(small_config(epochs=1), "run").fit()
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    listener = Listener()
    again = Trainer.resume("run", reporter=listener).fit()
    assert {**first, "format_version": 1} == again
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before
    assert "the run has done all its 1 epochs" in listener.heard[0]


def test_resume_refuses() -> None:
    Trainer(small_config(epochs=2), "run").fit()
    for changes, message in (
        ({"lr": 0.5}, "this contradicts the run: lr is 0.05 there, not 0.5"),
        ({"model": "lenet5"}, "this contradicts the run: model is 'mlp' there, not 'lenet5'"),
        ({"epochs": 1}, "has already done 2"),
    ):
        with pytest.raises(ConfigError, match=message):
            Trainer.resume("run", changes)
    Trainer(small_config(lr=0.01, epochs=1), "other").fit()
    Path("run/last.npz").write_bytes(Path("other/last.npz").read_bytes())
    with pytest.raises(CheckpointError, match=r"belongs to another run: lr is 0\.01 there and 0\.05 in config\.toml"):
        Trainer.resume("run")


def test_compiling_leaves_the_run_as_it_was() -> None:
    """The dry run draws from no stream, touches no weight and no optimiser state."""
    trainer = Trainer(small_config(), "run")
    trainer._create()
    before = trainer._checkpoint()
    trainer._compile()
    after = trainer._checkpoint()
    assert {k: v.tobytes() for k, v in before.arrays.items()} == {k: v.tobytes() for k, v in after.arrays.items()}
    assert before.state["random"] == after.state["random"]


def test_compiling_that_is_interrupted_ends_the_report(monkeypatch) -> None:
    """A bar on a terminal must not stay there."""

    def interrupted(progress) -> None:
        progress(0, 3)
        raise KeyboardInterrupt

    class Bar(Reporter):
        seen: tuple = ()

        def compiling(self, done: int, total: int) -> None:
            self.seen += ("shown",)

        def end(self, summary: dict | None, folder: Path) -> None:
            self.seen += ("taken off",)

    monkeypatch.setattr("numbanet.training.trainer.compile_first", interrupted)
    bar = Bar()
    with pytest.raises(KeyboardInterrupt):
        Trainer(small_config(), "run", bar)
    assert bar.seen == ("shown", "taken off")


def test_batch_sizes() -> None:
    assert batch_sizes(100, 16) == {16, 4}
    assert batch_sizes(96, 16) == {16}
    assert batch_sizes(10, 16) == {10}


def test_metrics_row() -> None:
    Trainer(small_config(epochs=1), "run").fit()
    (row,) = Run.open("run").metrics()
    assert list(without_clock(row)) == ["epoch", "step", "lr", "train_loss", "test_loss", "test_accuracy"]
