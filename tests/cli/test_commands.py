"""The commands as a user meets them: what they print, what they leave, how they stop."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from numbanet import datasets
from numbanet.training.run import Run
from numbanet.training.toml import dumps
from tests.cli.conftest import SMALL

NUMBER = r"\d+\.\d"


def test_train_prints_a_line_an_epoch(command) -> None:
    result = command("train", "lenet5", *SMALL, "--epochs", "2", "--threads", "1", "--validation", "0.2")
    assert (result.code, result.err) == (0, "")
    begin, *epochs, end = result.out.splitlines()
    assert begin == (
        "lenet5 (61,706 parameters) on digits (64 samples), 2 epochs of 4 steps, numpy, 1 thread; "
        f"writing to {Path('runs/lenet5-digits')}"
    )
    part = rf"loss {NUMBER}\d{{3}}  accuracy {NUMBER}\d %"
    for number, line in enumerate(epochs, 1):
        assert re.fullmatch(
            rf"epoch {number}/2  train loss {NUMBER}\d{{3}}  validation {part}  test {part}  {NUMBER} s", line
        )
    assert re.fullmatch(
        rf"test accuracy {NUMBER}\d % after 2 epochs; {NUMBER} s, 0.0 s of them compiling; [\d,]+ samples/s, "
        rf"{NUMBER} % of the time for loading",
        end,
    )
    assert result.out.isascii()


def test_second_run_gets_another_folder_and_resume_takes_the_last(command) -> None:
    for _ in range(2):
        assert command("train", "lenet5", *SMALL).code == 0
    assert sorted(os.listdir("runs")) == ["lenet5-digits", "lenet5-digits-2"]
    result = command("train", "lenet5", "--resume", "--epochs", "2")
    assert result.code == 0
    assert result.out.startswith("note: epochs changed from 1 to 2: ")
    assert [Run.open(f"runs/{name}").summary()["epochs"] for name in sorted(os.listdir("runs"))] == [1, 2]


def test_resume_needs_no_model_when_out_is_given(command, trained) -> None:
    result = command("train", "--resume", "--out", "run", "--epochs", "2")
    assert result.code == 0
    assert "epoch 2/2" in result.out
    assert "epoch 1/2" not in result.out


def test_options_over_file_over_recipe_over_defaults(command) -> None:
    Path("f.toml").write_text('model = "mlp"\nlr = 0.5\nbatch_size = 11\nlimit = 40\nbackend = "numpy"\nepochs = 1\n')
    result = command(
        *("train", "--config", "f.toml", "--batch-size", "13", "--out", "new"),
        *("--model-option", "hidden=[8]", "--model-option", "activation=tanh"),
    )
    assert result.code == 0
    config = Run.open("new").config
    assert (config.lr, config.batch_size) == (0.5, 13)
    assert config.optimizer == "adamw"  # of the recipe
    assert config.beta2 == 0.999  # the default
    assert config.model_options == {"hidden": [8], "activation": "tanh"}


def test_a_run_can_be_repeated_from_its_config(command, trained) -> None:
    assert command("train", "--config", "run/config.toml", "--out", "again").code == 0
    first, again = (Run.open(name).load_checkpoint("last").arrays for name in ("run", "again"))
    assert {name: array.tobytes() for name, array in first.items()} == {
        name: array.tobytes() for name, array in again.items()
    }


def test_evaluate(command, trained) -> None:
    summary = Run.open("run").summary()
    for arguments in ([], ["--checkpoint", "best"], ["--eval-batch-size", "7", "--threads", "1"]):
        result = command("evaluate", "run", *arguments)
        assert (result.code, result.err) == (0, "")
        loss, accuracy = summary["test_loss"], 100 * summary["test_accuracy"]
        assert f"loss {loss:.4f}  accuracy {accuracy:.2f} %" in result.out
        assert "on 80 test samples of digits" in result.out
    assert "on 2,000 test samples" in command("evaluate", "run", "--limit", "0").out


def test_evaluate_keeps_what_was_held_out_apart(command) -> None:
    weights = ["--class-weights", "balanced", "--validation", "0.25"]
    assert command("train", "lenet5", *SMALL, *weights, "--out", "run").code == 0
    whole = command("evaluate", "run", "--part", "validation")
    # half of the validation part, or more of it than there is; its samples are not drawn anew
    for limit, samples in ((10, 10), (60, 20)):
        result = command("evaluate", "run", "--part", "validation", "--limit", str(limit))
        assert (result.code, result.err) == (0, "")
        assert f"on {samples} validation samples" in result.out
    assert result.out == whole.out
    assert command("evaluate", "run", "--limit", "1").code == 0  # one class cannot be balanced, and need not be


@pytest.mark.parametrize(
    ("place", "why"),
    [("no/matrix.png", "there is no folder no for matrix.png"), (".", ". is a folder; it must be a file")],
)
def test_evaluate_draws_into_a_folder_that_exists(command, trained, place: str, why: str) -> None:
    result = command("evaluate", "run", "--plot", place)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"numbanet: Invalid value for '--plot': {why}\n"


def test_predict(command, trained) -> None:
    images = datasets.load("digits").test.images
    np.save("many.npy", images[:3, 0])
    Image.fromarray(images[0, 0]).save("same.png")
    Image.fromarray(255 - images[0, 0]).resize((200, 150)).convert("RGB").save("large.jpg")
    result = command("predict", "run", "many.npy", "same.png", "large.jpg")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        *("many.npy[0]", "many.npy[1]", "many.npy[2]", "same.png", "large.jpg")
    ]
    for line in lines:
        answers = re.findall(rf"(\d) \(({NUMBER}) %\)", line.partition(": ")[2])
        shares = [float(share) for _, share in answers]
        assert len(answers) == 3
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) <= 100.1
    assert lines[3].partition(": ")[2] == lines[0].partition(": ")[2]
    everything = command("predict", "run", "same.png", "--top", "10").out
    assert sum(float(share) for share in re.findall(rf"({NUMBER}) %\)", everything)) == pytest.approx(100, abs=0.6)


def test_predict_takes_folders(command, trained) -> None:
    images = datasets.load("digits").test.images
    Path("pictures/deeper").mkdir(parents=True)
    for name in ("pictures/b.png", "pictures/a.PNG", "pictures/deeper/c.png"):
        Image.fromarray(images[0, 0]).save(name)
    Path("pictures/notes.txt").write_text("no picture")
    result = command("predict", "run", "pictures", "pictures/b.png", "--top", "1")
    assert (result.code, result.err) == (0, "")
    names = [line.partition(": ")[0] for line in result.out.splitlines()]
    assert names == ["pictures/a.PNG", "pictures/b.png", "pictures/deeper/c.png", "pictures/b.png"]
    Path("pictures/broken.png").write_bytes(b"\x89PNG and no more")
    result = command("predict", "run", "pictures")
    assert (result.code, result.out) == (2, "")
    assert "pictures/broken.png" in result.err
    result = command("predict", "run", "pictures", "--skip-corrupt")
    assert result.code == 0
    first, *rest = result.out.splitlines()
    assert first == "note: 1 picture left out that cannot be read, such as pictures/broken.png"
    assert len(rest) == 3
    Path("empty").mkdir()
    result = command("predict", "run", "empty")
    assert result.code == 2
    assert "the folder empty holds no pictures" in result.err


def test_evaluate_shows_classes_and_draws(command, trained) -> None:
    result = command("evaluate", "run")
    lines = result.out.splitlines()
    assert lines[3].split() == ["class", "samples", "recall", "precision", "F1"]
    header = next(number for number, line in enumerate(lines) if line.startswith("class \\ taken for"))
    matrix = np.array([[int(word) for word in line.split()[1:]] for line in lines[header + 1 : header + 11]])
    assert matrix.sum() == 80
    assert f"accuracy {100 * np.trace(matrix) / 80:.2f} %" in lines[1]
    for digit, line in enumerate(lines[4:14]):
        name, samples, recall, *_ = line.split()
        assert (name, int(samples)) == (str(digit), matrix[digit].sum())
        assert recall == f"{100 * matrix[digit, digit] / matrix[digit].sum():.2f}"
    assert lines[-1] == f"drawn: {Path('run') / 'confusion.png'}"
    with Image.open("run/confusion.png") as picture:
        assert min(picture.size) > 400
    result = command("evaluate", "run", "--part", "train", "--checkpoint", "best", "--plot", "mine.png")
    assert "on 80 train samples of digits" in result.out
    assert Path("mine.png").exists()
    command("evaluate", "run", "--part", "train", "--checkpoint", "best")
    assert Path("run/confusion-best-train.png").exists()


def test_a_model_and_data_of_ones_own(command) -> None:
    Path("mine.py").write_text(
        "import numpy as np\nfrom numbanet import nn\n"
        "def net(num_classes): return nn.Linear(3, num_classes)\n"
        "def data(n=60):\n    x = np.random.default_rng(0).normal(size=(n, 3))\n"
        "    return (x[: n // 2], x[: n // 2].sum(1)), (x[n // 2 :], x[n // 2 :].sum(1))\n"
    )
    train = ["train", "mine.py:net", "--dataset", "mine.py:data", "--backend", "numpy", "--batch-size", "10"]
    result = command(*train, "--loss", "mse", "--dataset-option", "n=80", "--epochs", "2")
    assert (result.code, result.err) == (0, "")
    assert re.search(r"^epoch 1/2  train loss \S+  test loss \S+  \d", result.out, re.MULTILINE)
    assert "test loss" in result.out.splitlines()[-1]
    result = command("evaluate", "runs/mine-net-mine-data")
    assert result.code == 0
    assert re.search(r"\nloss \d+\.\d+\n$", result.out)
    assert command("train", "--model", "mine.py:net", "--dataset", "mine.py:data", "--resume").code == 0
    assert "MODEL and --model" in command(*train, "--model", "mlp").err
    shown = command("models", "show", "mine.py:net", "--dataset", "mine.py:data").out
    assert re.search(r"^sum +4 +6$", shown, re.MULTILINE)
    assert "\n4 parameters, " in command("plan", "mine.py:net", "--dataset", "mine.py:data").out
    assert "not for texts" in command("models", "show", "mine.py:net", "--dataset", "dates").err
    result = command("predict", "runs/mine-net-mine-data", "x.png")
    assert result.code == 2
    assert "was not trained on pictures, but on inputs (3,)" in result.err


def test_models(command) -> None:
    listed = command("models").out
    assert listed == command("models", "list").out
    assert re.search(r"^lenet5 +1x28x28 +61,706 +833,040 ", listed, re.MULTILINE)
    assert "mlp" not in command("models", "list", "lenet*").out
    shown = command("models", "show", "lenet5").out
    for part in ("LeCun", "recipe for digits", "recipe for mnist", "activation relu", "pool max"):
        assert part in shown
    for_digits = command("models", "show", "lenet5", "--dataset", "digits").out
    assert re.findall(r"^recipe for (\S+):", for_digits, re.MULTILINE) == ["digits"]
    table = shown.partition("layer ")[2]
    assert re.search(r"^conv2 +Conv2d +16x10x10 +2,416 +480,000 +14x14$", table, re.MULTILINE)
    assert re.search(r"^fc3 +Linear +10 +850 +1,680 +all$", table, re.MULTILINE)
    assert re.search(r"^sum +61,706 +833,040$", table, re.MULTILINE)
    changed = command(
        "models", "show", "lenet5", "--model-option", "image_size=[12, 14]", "--model-option", "norm=batch"
    )
    assert re.search(r"^norm1 +BatchNorm2d +6x12x14 +12 +5x5$", changed.out, re.MULTILINE)


def test_pictures_that_are_not_square(command) -> None:
    random = np.random.default_rng(0)
    parts = {"x_train": (40, 3, 14, 12), "x_test": (20, 3, 14, 12)}
    labels = {name.replace("x", "y"): np.arange(shape[0]) % 4 for name, shape in parts.items()}
    np.savez("mine.npz", **labels, **{name: random.integers(0, 256, shape, np.uint8) for name, shape in parts.items()})
    for model, options in (("lenet5", ["--model-option", "image_size=[14, 12]"]), ("mlp", []), ("resnet20", [])):
        result = command("train", model, "--dataset", "mine.npz", *SMALL, *options, "--limit", "0", "--out", model)
        assert (result.code, result.err) == (0, "")
    assert command("evaluate", "lenet5").code == 0


@pytest.mark.parametrize("backend", ["auto", "numpy"])
def test_export(command, trained, backend) -> None:
    """The weights go to a file under their own keys, and a network that reads them is the one of the run."""
    from numbanet import interop, models
    from numbanet.training.restore import load_model

    expected = {name: value.numpy() for name, value in load_model(Run.open("run"))[0].state_dict().items()}
    for format, path in (("npz", "run/weights.npz"), ("torch", "run/weights.pt"), ("torch", "elsewhere")):
        arguments = ["--out", path] if path == "elsewhere" else []
        result = command("export", "run", "--format", format, "--backend", backend, *arguments)
        assert (result.code, result.err) == (0, "")
        assert result.out == f"lenet5 of run/last.npz (1 epoch): 10 tensors, 61,706 numbers, in {path}\n"
        loaded = interop.load_weights(path)
        assert list(loaded) == list(expected)
        assert all(np.array_equal(loaded[name], value) for name, value in expected.items())
        models.create_model("lenet5").load_state_dict(loaded)
    assert command("export", "run", "--checkpoint", "best").out.startswith("lenet5 of run/best.npz")


@pytest.mark.parametrize(
    "model", ["lenet5", *[pytest.param(name, marks=pytest.mark.slow) for name in ("mlp", "resnet20")]]
)
def test_inspect(command, model) -> None:
    assert command("train", model, *SMALL, "--limit", "40", "--out", "run").code == 0
    Image.fromarray(datasets.load("digits").test.images[3, 0]).save("three.png")
    for arguments, folder in (
        ([], Path("run", "inspect")),
        (["--picture", "three.png", "--out", "there"], Path("there")),
    ):
        result = command("inspect", "run", "--backend", "numpy", *arguments)
        assert (result.code, result.err) == (0, "")
        names = [re.match(r"(no )?(\S+\.png): ", line).group(2) for line in result.out.splitlines()]
        drawn = ["curves.png", "filters.png", "histograms.png", "activations.png", "receptive_fields.png"]
        assert [Path(name).name for name in names] == drawn
        missing = ["activations.png", "receptive_fields.png"] if model == "mlp" else []
        assert sorted(path.name for path in folder.iterdir()) == sorted(set(drawn) - set(missing))
        for path in folder.iterdir():
            pixels = np.asarray(Image.open(path).convert("L"))
            assert pixels.shape[0] > 100
            assert pixels.std() > 5, f"{path} is empty"


def test_datasets(command) -> None:
    listed = command("datasets").out
    assert listed == command("datasets", "list").out
    for name in datasets.list_datasets():
        assert name in listed
        about = command("datasets", "info", name)
        assert about.code == 0
        assert datasets.dataset_info(name).licence in about.out
    assert command("datasets", "fetch", "digits").out == "digits: nothing to download\n"


def test_info(command) -> None:
    from numbanet.kernels.contract import CONTRACT
    from numbanet.version import __version__

    told = command("info")
    assert told.code == 0
    for part in (__version__, np.__version__, "back end", "threads", "processor"):
        assert part in told.out
    every = command("info", "--kernels").out
    for name in CONTRACT:
        assert re.search(rf"^{name} +(yes|-) +yes$", every, re.MULTILINE)


def test_info_of_the_compiled_kernels(command) -> None:
    pytest.importorskip("numba", reason="without Numba there are none")
    told = command("info").out
    for part in ("lanes", "threading layer", "cache folder"):
        assert re.search(rf"^{part} +\S", told, re.MULTILINE)


def test_cache(command, tmp_path, monkeypatch) -> None:
    pytest.importorskip("numba", reason="without Numba nothing is compiled")
    monkeypatch.setenv("NUMBANET_CACHE_DIR", str(tmp_path / "kernels"))
    for name in ("gemm-0123456789abcdef", "mine"):
        (tmp_path / "kernels" / name).mkdir(parents=True)
    (tmp_path / "kernels" / "gemm-0123456789abcdef" / "kernel.nbi").write_bytes(bytes(500_000))
    assert command("cache").out == f"{tmp_path / 'kernels'}: 1 files, 0.5 MB\n"
    assert command("cache", "clear").out.endswith("1 folders deleted\n")
    assert os.listdir(tmp_path / "kernels") == ["mine"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_saves_and_says_how_to_go_on(number: signal.Signals, code: int, trained) -> None:
    config = Run.open("run").config.replace(epochs=10_000)
    Path("long.toml").write_text(dumps(config))
    arguments = [sys.executable, "-m", "numbanet.cli", "train", "--config", "long.toml", "--out", "my run"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not (line := process.stdout.readline()).startswith("epoch "):
            assert line, process.stderr.read()
        process.send_signal(number)
        _, error = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code
    assert re.fullmatch(
        rf"numbanet: stopped by {number.name} in epoch \d+ of 10000, step \d+; everything is saved\. "
        r"Go on with: numbanet train lenet5 --resume --out 'my run'\n",
        error,
    )
    step = int(re.search(r"step (\d+)", error)[1])
    assert Run.open("my run").load_checkpoint("last").state["schedule"]["step"] == step


def test_summary_is_what_the_folder_promises(trained) -> None:
    """The golden keys and types of summary.json, in their order."""
    summary = json.loads((trained / "summary.json").read_text())
    assert {key: type(value) for key, value in summary.items()} == {
        "format_version": int,
        "model": str,
        "dataset": str,
        "epochs": int,
        "parameters": int,
        "train_loss": float,
        "test_loss": float,
        "test_accuracy": float,
        "best": dict,
        "seconds_total": float,
        "seconds_compile": float,
        "seconds_training": float,
        "seconds_loading": float,
        "samples_per_second": float,
        "peak_rss_mb": float,
        "version": str,
        "backend": str,
        "threads": int,
        "seed": int,
        "steps": int,
        "train_samples": int,
        "test_samples": int,
    }
    assert (summary["model"], summary["dataset"], summary["parameters"]) == ("lenet5", "digits", 61_706)
    assert 10 < summary["peak_rss_mb"] < 4000
    assert 0 < summary["seconds_loading"] < summary["seconds_training"]


@pytest.mark.slow
def test_lenet5_learns_digits(command) -> None:
    """What the README promises, by the recipe; the other end of the quick tests, which learn nothing."""
    assert command("train", "lenet5").code == 0
    assert Run.open("runs/lenet5-digits").summary()["test_accuracy"] >= 0.975


def test_check_nan_is_one_line(command) -> None:
    arguments = ["train", "lenet5", *SMALL, "--lr", "1e20", "--out", "run"]
    plain, checked = command(*arguments), command(*arguments[:-1], "run2", "--check-nan")
    assert plain.code == checked.code == 2
    assert "the loss became" in plain.err
    (line,) = checked.err.splitlines()
    assert re.match(r"numbanet: training diverged: \S+\.py:\d+: \w+ of \S+ .*makes -?(inf|nan) at", line)
    assert "run2/last.npz keeps the last good state" in line


def test_eager_is_the_same(command) -> None:
    for folder, option in (("a", "--eager"), ("b", "--no-eager")):
        assert command("train", "lenet5", *SMALL, "--out", folder, option).code == 0
    arrays = [np.load(f"{folder}/last.npz") for folder in "ab"]
    assert "eager = true" in Path("a/config.toml").read_text()
    names = [name for name in arrays[0].files if name.startswith(("model", "optimizer"))]
    assert len(names) > 10
    for name in names:
        np.testing.assert_array_equal(arrays[0][name], arrays[1][name])
