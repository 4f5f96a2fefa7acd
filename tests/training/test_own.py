"""A user's own models, data sets and callbacks: what they are given, what they may return, what is said."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

from numbanet import nn
from numbanet.training import Callback, Trainer
from numbanet.training.errors import ConfigError, Interrupted
from numbanet.training.evaluation import evaluate
from numbanet.training.own import is_function, own_function, short_name
from numbanet.training.own_data import own_splits
from numbanet.training.restore import load_model
from numbanet.training.run import Run
from tests.training.conftest import content, small_config

FILE = """
import numpy as np
import beside
from numbanet import nn

def net(input_shape, num_classes, width=5):
    assert input_shape == (4,), input_shape
    return nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, num_classes))

def regression(seed, data_dir, noise=0.0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(120, 4))
    y = x @ np.array([[1.0, 2.0, 0.0, -1.0], [0.5, 0.0, 1.0, 0.0]]).T + noise
    return {"train": (x[:80], y[:80]), "test": (x[80:], y[80:])}

def halves():
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 4))
    y = (x[:, 0] + x[:, 1] > 0).astype(float)
    return (x[:64], y[:64]), (x[64:90], y[64:90]), (x[90:], y[90:])

def fails():
    return beside.fail()

def nothing():
    return None

number = 3
integer = int

def needs(depth):
    return nn.Sequential()

def asks_wrongly():
    return nn.Linear()

def leaves():
    raise SystemExit(3)
"""


@pytest.fixture(autouse=True)
def files(tmp_path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/mine.py").write_text(FILE)
    (tmp_path / "code/beside.py").write_text("def fail():\n    return {}['no key']\n")


def own_config(**changes):
    settings = {"model": "code/mine.py:net", "model_options": {"width": 7}, "limit": 0}
    return small_config(**{**settings, **changes})


def test_names() -> None:
    assert is_function("a/b.py:make")
    assert is_function("C:\\a\\b.py:make")
    assert not any(map(is_function, ("lenet5", "b.py", "make:b", "folder:/a.py")))
    assert short_name("a/b.py:make") == "b-make"
    assert short_name("lenet5") == "lenet5"


@pytest.mark.parametrize("loss", ["mse", "smooth_l1"])
def test_regression(loss: str) -> None:
    config = own_config(dataset="code/mine.py:regression", loss=loss, epochs=20, dataset_options={"noise": 0.1})
    summary = Trainer(config).fit()
    run = Run.open("runs/mine-net-mine-regression")
    assert (run.folder / "model.py").read_text() == (run.folder / "dataset.py").read_text() == FILE
    rows = run.metrics()
    assert rows[-1]["test_loss"] < 0.2 * rows[0]["test_loss"]
    assert "test_accuracy" not in rows[-1]
    assert "test_accuracy" not in summary
    assert (run.folder / "curves.png").exists()
    model, _ = load_model(run)
    assert model[0].weight.shape == (7, 4)


def test_two_classes_by_one_logit() -> None:
    Trainer(own_config(dataset="code/mine.py:halves", loss="bce", epochs=15, lr=0.3), "run").fit()
    rows = Run.open("run").metrics()
    assert rows[-1]["validation_accuracy"] > 0.85
    assert rows[-1]["test_accuracy"] > 0.8


def test_data_that_changed_are_refused() -> None:
    config = own_config(dataset="code/mine.py:halves", loss="bce", epochs=1)
    Trainer(config, "run").fit()
    record = Path("run/data.json")
    record.write_text(record.read_text().replace("4", "5"))
    with pytest.raises(ConfigError, match=r"changed since the run began: its inputs' shape was \(5\) and is \(4\) now"):
        Trainer.resume("run", {"epochs": 2})


def test_the_run_folder_is_enough() -> None:
    config = own_config(dataset="code/mine.py:halves", loss="bce", epochs=2)
    Trainer(config, "run").fit()
    before, _ = load_model(Run.open("run"))
    Path("code/mine.py").unlink()
    Path("code/beside.py").rename("beside.py")
    (Path("code") / "beside.py").write_text("")
    after, _ = load_model(Run.open("run"))
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        np.testing.assert_array_equal(one.detach().numpy(), other.detach().numpy())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "code/none.py:net"}, r"model code/none.py:net: there is no file code/none.py"),
        ({"model": "code/mine.py:nett"}, r"code/mine.py has no function 'nett'; did you mean 'net'\?"),
        ({"model": "code/mine.py:number"}, r"'number' of code/mine.py is not a function but of type int"),
        (
            {"model": "code/mine.py:integer", "model_options": {}},
            "Python does not know its arguments; write a function",
        ),
        (
            {"model": "code/mine.py:needs", "model_options": {}},
            r"mine.py:needs: missing a required argument: 'depth'; give it by --model-option, or a default",
        ),
        (
            {"model": "code/mine.py:asks_wrongly", "model_options": {}},
            r"asks_wrongly failed with TypeError: .* \(mine.py, line 35\)",
        ),
        ({"model": "code/mine.py:leaves", "model_options": {}}, r"failed with SystemExit: 3 \(mine.py, line 38\)"),
        ({"model": "code/mine.py:nothing", "model_options": {}}, "it must return an nn.Module, not NoneType"),
        ({"model_options": {"widht": 3}}, "it takes no argument 'widht'; it takes: input_shape, num_classes, width"),
        (
            {"dataset": "digits"},
            r"model code/mine.py:net failed with AssertionError: \(1, 28, 28\) \(mine.py, line 7\)",
        ),
        (
            {"dataset": "code/mine.py:fails"},
            r"dataset code/mine.py:fails failed with KeyError: 'no key' \(beside.py, line 2\)",
        ),
        ({"dataset": "code/mine.py:nothing"}, r"it must return \(train, test\) or .*, not NoneType"),
        ({"loss": "cross_entropy"}, "the loss cross_entropy needs classes, but the targets of .* are numbers"),
        ({"class_weights": "balanced", "weights_act": "sampler"}, "class_weights need classes"),
        ({"validation": 0.1}, "has a validation part of its own"),
        ({"callbacks": ["code/mine.py:nothing"]}, "it must return a training.Callback, not NoneType"),
    ],
)
def test_refuses_before_anything_is_written(tmp_path, changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Trainer(own_config(**{"dataset": "code/mine.py:halves", "loss": "bce", **changes}), "run")
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import nothing_of_this_name\n", r"ModuleNotFoundError.*\(bad.py, line 1\)"),
        ("x = 1\ndef make(:\n", r"SyntaxError: invalid syntax \(bad.py, line 2\)"),
        ("import sys\nsys.exit(7)\n", r"SystemExit: 7 \(bad.py, line 2\)"),
        ("import json\njson.loads('{')\n", r"JSONDecodeError: .* \(bad.py, line 2\)"),
    ],
)
def test_a_file_that_cannot_be_imported(content: str, message: str) -> None:
    Path("bad.py").write_text(content)
    with pytest.raises(ConfigError, match=f"model bad.py failed with {message}"):
        own_function("model", "bad.py:make")


X, Y = np.zeros((6, 2)), np.array([0, 1, 2, 0, 1, 2])


class Samples:
    """A data set whose sample 4 is as it is given; ``labels`` makes its targets known without it."""

    def __init__(self, input=X[0], target=1, **labels) -> None:
        self.odd = input, target
        vars(self).update(labels)

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, number: int):
        return self.odd if number == 4 else (X[number], type(self.odd[1])(number % 3))


class Fails(Samples):
    def __getitem__(self, number: int):
        return (X[0], 0) if number < 3 else {}["no key"]


class NoLength(Samples):
    def __len__(self) -> int:
        return "six"


def with_one(array: np.ndarray, row: int, value: float) -> np.ndarray:
    changed = np.array(array, float)
    changed.reshape(len(array), -1)[row, -1] = value
    return changed


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (((X, Y), (X[:0], Y[:0])), "test is empty"),
        (((X, Y), (X, Y[:3])), "as many inputs as targets"),
        (((X, np.array(list("abcdef"))), (X, Y)), "train needs numbers"),
        (((X, Y), (X, Y + 1)), "label 3 of sample 2 of test lies outside the 3 classes of train"),
        (((X, Y - 1), (X, Y)), "class numbers must be 0 or more"),
        (((X, Y), (X[:, :1], Y)), r"a sample of test is \(1,\) with a class, one of train \(2,\) with a class"),
        (((X, Y), (X, 0.5 * Y)), r"with numbers, one of train \(2,\) with a class"),
        (([1, 2, 3], [1, 2, 3]), r"a sample of train must be \(input, target\), not a int"),
        ((3, 4), r"train has no len\(\) or \[i\], it is a int"),
        (((np.float32(3), np.int64(2)), (X, Y)), r"as many inputs as targets, not float32 \(\) and int64 \(\)"),
        (((X, Y + 10**9), (X, Y)), "class 0 has no sample in train, but there is a label 1000000002: labels are the"),
        (((X, Y * 2), (X, Y)), "class 1 has no sample in train, but there is a label 4"),
        (((with_one(X, 3, np.nan), Y), (X, Y)), "the input of sample 3 of train holds nan, no number"),
        (((X, Y), (with_one(X, 5, np.inf), Y)), "the input of sample 5 of test holds inf"),
        (((X, Y), (with_one(X, 5, 1e300), Y)), "the input of sample 5 of test holds inf"),
        (((X, with_one(Y, 2, -np.inf)), (X, Y)), "the target of sample 2 of train holds -inf"),
        ((Fails(), Fails()), "KeyError: 'no key', while reading sample 3 of Fails .*test_own.py, line"),
        ((NoLength(), Samples()), "failed with TypeError: 'str' object cannot be interpreted"),
        ((Samples(target="cat"), Samples()), "the target of sample 0 of train must be a class number .*, not '0'"),
        (([(X[0], None)] * 3, Samples()), "the target of sample 0 of train must be a class number .*, not None"),
        (([(X[0], 1, 2)] * 3, Samples()), r"a sample of train must be \(input, target\), not 3 parts"),
        ((Samples(), Samples("text")), "the input of sample 4 of test must be numbers, not 'text'"),
        ((Samples(X[0, :1]), Samples()), r"input of sample 4 of train has the shape \(1,\), that of sample 0 \(2,\)"),
        ((Samples(with_one(X, 0, np.nan)[0]), Samples()), "the input of sample 4 of train holds nan"),
        ((Samples(labels=["a", "b"]), Samples()), r"train has 6 samples, and as targets \(labels\) <U1 \(2,\)"),
        ((Samples(labels=list("abcabc")), Samples()), r"as targets \(labels\) <U1 \(6,\): expected a class number"),
    ],
)
def test_data_that_are_wrong(made, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        own_splits("mine", made)


def test_bce_takes_targets_from_0_to_1() -> None:
    with pytest.raises(ConfigError, match="bce needs targets from 0 to 1, but that of sample 2 of test holds 1.5"):
        own_splits("mine", ((X, Y / 2), (X, with_one(Y / 2, 2, 1.5))), "bce")
    own_splits("mine", ((X, Y / 2), (X, Y / 2)), "bce")
    own_splits("mine", ((X, Y), (X, Y)), "bce")


def test_classes_with_names_may_lack_samples() -> None:
    named = Samples(target=5, classes=list("abcdef"))
    assert own_splits("mine", (named, named))[-1].classes == tuple("abcdef")


def test_callbacks_of_a_library_user() -> None:
    heard = []

    class Listens(Callback):
        def begin(self, trainer) -> None:
            heard.append("begin")

        def step(self, trainer, loss) -> None:
            heard.append("step" if np.isfinite(loss) else "no")

        def epoch(self, trainer, row) -> None:
            heard.append(f"epoch {row['epoch']}")
            row["mine"] = 5
            if row["epoch"] == 2:
                trainer.stop("it is late")

        def end(self, trainer, summary) -> None:
            heard.append(summary["stopped"])

    summary = Trainer(small_config(epochs=4, batch_size=50), "run", callbacks=[Listens()]).fit()
    assert heard == ["begin", "step", "step", "epoch 1", "step", "step", "epoch 2", "it is late (epoch 2)"]
    assert (summary["epochs"], summary["stopped"]) == (2, "it is late (epoch 2)")
    assert [row["mine"] for row in Run.open("run").metrics()] == [5, 5]
    again = Trainer.resume("run", callbacks=[Listens()]).fit()
    assert again["stopped"] == "it is late (epoch 2)"
    with pytest.raises(Exception, match="does not fit"):
        Trainer.resume("run")


def test_early_stopping() -> None:
    config = small_config(epochs=30, lr=0.5, schedule="constant", early_stopping=2, validation=0.3)
    summary = Trainer(config, "run").fit()
    rows = Run.open("run").metrics()
    losses = [row["validation_loss"] for row in rows]
    best = int(np.argmin(losses))
    assert len(rows) == best + 3 < 30
    assert summary["stopped"] == f"no lower validation loss for 2 epochs (epoch {len(rows)})"
    assert summary["best"]["epoch"] == best + 1


def test_average_is_what_is_judged_and_kept() -> None:
    trainer = Trainer(small_config(ema_decay=0.8), "run")
    summary = trainer.fit()
    kept, checkpoint = load_model(Run.open("run"))
    assert evaluate(kept, trainer.data.test).loss == pytest.approx(summary["test_loss"], rel=1e-6)
    weights = checkpoint.arrays["model.fc1.weight"]
    average = checkpoint.arrays["average.module.fc1.weight"]
    np.testing.assert_array_equal(kept.fc1.weight.detach().numpy(), average)
    assert np.abs(weights - average).max() > 1e-4
    assert isinstance(kept, nn.Module)


class StopsAfter(Callback):
    """Asks for the end after a step (0: before any), and is interrupted two steps later."""

    def __init__(self, step: int, interrupt: bool = False) -> None:
        self.at, self.interrupt = step, interrupt

    def begin(self, trainer) -> None:
        if not self.at and not trainer.step.number:
            trainer.stop("it is late")

    def step(self, trainer, loss) -> None:
        if trainer.step.number == self.at:
            trainer.stop("it is late")
        if trainer.step.number == self.at + 2 and self.interrupt:
            trainer._flag.signal = signal.SIGINT


@pytest.mark.parametrize("step", [3, *[pytest.param(step, marks=pytest.mark.slow) for step in (0, 9)]])
def test_the_epoch_in_which_a_callback_stops_is_done_to_its_end(step: int) -> None:
    whole = Trainer(small_config(), "whole", callbacks=[StopsAfter(step)]).fit()
    with pytest.raises(Interrupted):
        Trainer(small_config(), "parts", callbacks=[StopsAfter(step, interrupt=True)]).fit()
    assert Trainer.resume("parts", callbacks=[StopsAfter(step)]).fit()["stopped"] == whole["stopped"]
    assert whole["epochs"] == 1 + step // 7
    assert content(Path("parts")) == content(Path("whole"))


def test_a_loss_that_is_not_finite_is_never_the_best() -> None:
    class Overflows(Callback):
        def epoch(self, trainer, row) -> None:
            row["validation_loss"] = {1: float("nan"), 2: float("inf")}.get(row["epoch"], 1.0)

    summary = Trainer(small_config(), "run", callbacks=[Overflows()]).fit()
    assert summary["best"] == {"epoch": 3, "by": "validation_loss", "loss": 1.0}
    assert [row["validation_loss"] for row in Run.open("run").metrics()] == [None, None, 1.0]


def test_a_model_without_parameters() -> None:
    Path("flat.py").write_text("from numbanet import nn\n\n\ndef make():\n    return nn.Flatten()\n")
    with pytest.raises(ConfigError, match="model flat.py:make has no parameters"):
        Trainer(small_config(model="flat.py:make", model_options={}), "run")


@pytest.mark.parametrize("changes", [{"batch_size": 9}, {"batch_size": 20, "accumulate": 20}])
def test_batch_norm_of_one_sample_is_told(changes: dict) -> None:
    Path("norm.py").write_text(
        "from numbanet import nn\n\n\ndef make():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.BatchNorm1d(10))\n"
    )
    with pytest.raises(ConfigError, match="batch norm needs more than one value .* choose a batch_size"):
        Trainer(small_config(model="norm.py:make", model_options={}, **changes), "run").fit()
