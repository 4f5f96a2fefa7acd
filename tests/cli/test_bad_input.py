"""Bad input: one clear line, exit code 2, no traceback, and nothing half-written."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from numbanet.training.run import Run
from tests.cli.conftest import SMALL, snapshot


class Case(NamedTuple):
    """A command line, what its message must say, and what has to be there before (in the current folder)."""

    arguments: str
    message: str
    prepare: Callable[[], None] | None = None


# --- what is there before -----------------------------------------------------------------------------------------
def idx(magic: bytes, array: np.ndarray) -> bytes:
    return magic + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def mnist(**changes: bytes | None) -> Callable[[], None]:
    """The four files of MNIST, small, some of them changed (or left out: None)."""

    def write() -> None:
        pictures, labels = np.zeros((20, 28, 28), np.uint8), (np.arange(20) % 10).astype(np.uint8)
        files = {}
        for part in ("train", "t10k"):
            files[f"{part}-images-idx3-ubyte"] = idx(b"\0\0\x08\x03", pictures)
            files[f"{part}-labels-idx1-ubyte"] = idx(b"\0\0\x08\x01", labels)
        for name, content in changes.items():
            files[name.replace("_", "-")] = content
        Path("data").mkdir()
        for name, content in files.items():
            if content is not None:
                Path("data", name).write_bytes(content)

    return write


PICTURES = np.zeros((20, 28, 28), np.uint8)


def write(name: str, content: bytes | str) -> Callable[[], None]:
    def prepare() -> None:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return prepare


def truncate(name: str, share: float) -> Callable[[], None]:
    def prepare() -> None:
        content = Path(name).read_bytes()
        Path(name).write_bytes(content[: int(share * len(content))])

    return prepare


def edit_weights() -> None:
    with np.load("run/last.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = next(name for name in arrays if name.endswith("conv1.weight"))
    arrays[name] = arrays[name] + 1
    np.savez("run/last.npz", **arrays)


def edit_text() -> None:
    with np.load("run/last.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(str(arrays["json"]))
    header["schedule"]["step"] += 1
    np.savez("run/last.npz", **{**arrays, "json": np.array(json.dumps(header))})


def foreign() -> None:
    np.savez("run/last.npz", weights=np.zeros(3))


def without_checkpoint() -> None:
    Path("run/last.npz").unlink()


def without_config() -> None:
    Path("run/config.toml").unlink()


# --- the cases ----------------------------------------------------------------------------------------------------
NEW = "train lenet5 {small} --out new"
MNIST = "train lenet5 {small} --out new --dataset mnist --data-dir data"

CASES = {
    # names and values
    "no model": Case("train", "which model"),
    "unknown command": Case("trian lenet5", "no such command 'trian'; did you mean 'train'"),
    "unknown command, nothing near": Case("xyz", "no such command 'xyz'; there are: train, evaluate"),
    "unknown option": Case("train lenet5 --epoch 3", "--epoch.*--epochs"),
    "unknown model": Case("train lenet", r"unknown model 'lenet'; did you mean 'lenet5'\?"),
    "unknown model, nothing near": Case("train vit", "unknown model 'vit'; there are: alexnet, .*lenet5"),
    "unknown model, show": Case("models show lenet", "unknown model 'lenet'; did you mean 'lenet5'"),
    "unknown model option, show": Case(
        "models show lenet5 --model-option pol=avg", "lenet5 cannot be made so: .*no option 'pol', did you mean 'pool'"
    ),
    "wrong model option, show": Case(
        "models show resnet20 --model-option norm=x",
        "unknown norm 'x'; use one of: batch, layer, group, instance",
    ),
    **{
        f"model option against the data, {name}": Case(
            f"train lenet5 {{small}} --out new --model-option {name}={value}",
            f"model option {name}={value} contradicts digits, whose pictures are 1x28x28 in 10 classes; leave it out",
        )
        for name, value in (("image_size", 32), ("in_channels", 3), ("num_classes", 5))
    },
    "pictures too small for a model": Case(
        "train alexnet_small {small} --out new", "cannot be made for digits: .*at least 31×31, but got image_size=28"
    ),
    "unknown dataset": Case("train lenet5 --dataset mnits", "unknown data set 'mnits'; did you mean 'mnist'"),
    "unknown dataset, info": Case("datasets info mnits", "did you mean 'mnist'"),
    "unknown dataset, fetch": Case("datasets fetch digits mnits", "did you mean 'mnist'"),
    "unknown optimizer": Case(f"{NEW} --optimizer sgdd", "--optimizer.*'sgdd'.*'sgd', 'rmsprop', 'adam', 'adamw'"),
    "unknown schedule": Case(f"{NEW} --schedule cos", "--schedule.*'constant', 'step', 'multistep'"),
    "unknown backend": Case(f"{NEW} --backend gpu", "--backend.*'auto', 'cpu', 'numpy'"),
    "unknown checkpoint": Case("evaluate run --checkpoint worst", "--checkpoint.*'last', 'best'"),
    "unknown model option": Case(f"{NEW} --model-option pol=avg", "no option 'pol', did you mean 'pool'"),
    "wrong model option": Case(f"{NEW} --model-option pool=min", "lenet5 cannot be made for digits: .*pool.*min"),
    "model option without value": Case(f"{NEW} --model-option pool", "'pool' is not KEY=VALUE"),
    "batch size 0": Case(f"{NEW} --batch-size 0", "batch_size must be a whole number, 1 or more, not 0"),
    "batch size too large": Case(
        f"{NEW} --batch-size 81", r"batch_size 81 is larger than the training data \(80 samples"
    ),
    "batch size no number": Case(f"{NEW} --batch-size many", "--batch-size.*'many'"),
    "lr negative": Case(f"{NEW} --lr -0.1", "lr must be a finite number, above 0 or auto, not -0.1"),
    "lr nan": Case(f"{NEW} --lr nan", "lr must be a finite number, above 0 or auto, not nan"),
    "lr infinite": Case(f"{NEW} --lr inf", "lr must be a finite number, above 0 or auto, not inf"),
    "momentum": Case(f"{NEW} --momentum 1", "momentum must be a finite number, 0 or more and below 1 or auto, not 1.0"),
    "milestones": Case(f"{NEW} --milestones 1,x", "--milestones.*'1,x' must be numbers with commas between them"),
    "milestone 0": Case(f"{NEW} --milestones 1,0", "milestones must each be a finite number, above 0, not 0.0"),
    "milestone of text": Case(
        f"{NEW} --config f.toml",
        "f.toml: milestones must each be a finite number, above 0, not 'x'",
        write("f.toml", 'milestones = [1, "x"]'),
    ),
    "momentum of adam": Case(
        f"{NEW} --optimizer adam --momentum 0.5",
        "momentum 0.5 does nothing with optimizer adam, only with sgd, rmsprop",
    ),
    "nesterov of adam": Case(f"{NEW} --optimizer adam --nesterov", "nesterov True does nothing with optimizer adam"),
    "beta of a recipe's sgd": Case(f"{NEW} --beta1 0.5", "beta1 0.5 does nothing with optimizer sgd, only with adam"),
    "milestones of constant": Case(
        f"{NEW} --schedule constant --milestones 1,2",
        "milestones 1,2 does nothing with schedule constant, only with mult",
    ),
    "pictures for a model of texts": Case(
        "train gpt --dataset cifar10 --out new",
        "the model gpt is for language, and cifar10 is for pictures; models that fit: alexnet, .*resnet20",
    ),
    "class weights": Case(f"{NEW} --class-weights balance", "'balance' must be numbers .* or balanced"),
    "too few weights": Case(f"{NEW} --class-weights 1,2", "class_weights needs a weight for each of 10 classes, not 2"),
    "ema_decay": Case(f"{NEW} --ema-decay 1", "ema_decay must be a finite number, 0 or more and below 1, not 1.0"),
    "accumulate": Case(f"{NEW} --accumulate 99", "accumulate 99 parts need a batch_size of as many"),
    "smoothing of mse": Case(f"{NEW} --loss mse --label-smoothing 0.1", "label_smoothing is for the loss"),
    "lr neither": Case(f"{NEW} --lr high", "--lr.*'high' is neither a number nor auto"),
    "no file": Case("train none.py:make {small} --out new", "model none.py:make: there is no file none.py"),
    "no function of a file": Case("train none.py --out new", "say which function .* such as none.py:make"),
    "no function of a data file": Case(f"{NEW} --dataset a/none.py", "say which function .* such as a/none.py:make"),
    "a model of one's own that fails": Case(
        "train own.py:make {small} --out new",
        r"model own.py:make failed with KeyError: 'no key' \(own.py, line 6\)",
        write(
            "own.py",
            "from numbanet import nn\n\n\nclass Net(nn.Linear):\n    def forward(self, x):\n        {}['no key']\n\n\n"
            "def make():\n    return Net(3, 3)\n",
        ),
    ),
    "data of one's own that fail": Case(
        f"{NEW} --dataset own.py:make",
        r"dataset own.py:make failed with ZeroDivisionError: .*reading sample 0 of Data \(own.py, line 6\)",
        write(
            "own.py",
            "class Data:\n    def __len__(self):\n        return 9\n\n"
            "    def __getitem__(self, i):\n        return i / 0\n\n\n"
            "def make():\n    return Data(), Data()\n",
        ),
    ),
    "no data file": Case(f"{NEW} --dataset none.py:make", "dataset none.py:make: there is no file none.py"),
    "options of digits": Case(f"{NEW} --dataset-option a=1", "dataset_options are for a data set of your own"),
    "callback": Case(f"{NEW} --callbacks print", "callbacks are functions in a file, file.py:make, not 'print'"),
    "no such part": Case("evaluate run --part validation", "the run held out no validation part"),
    "epochs 0": Case(f"{NEW} --epochs 0", "epochs must be a whole number, 1 or more, not 0"),
    "threads 0": Case(f"{NEW} --threads 0", "threads must be a whole number, 1 or more or auto, not 0"),
    "threads many": Case(f"{NEW} --threads many", "--threads.*'many' is neither a whole number nor auto"),
    "threads 0, evaluate": Case("evaluate run --threads 0", "threads must be a whole number"),
    "validation 1": Case(f"{NEW} --validation 1", "validation must be a finite number, 0 or more and below 1"),
    "validation of nothing": Case(f"{NEW} --validation 0.001", "leaves an empty part"),
    "seed": Case(f"{NEW} --seed -1", "seed must be a whole number, 0 or more"),
    # settings from a file
    "config missing": Case(f"{NEW} --config f.toml", "there is no file f.toml"),
    "config no toml": Case(f"{NEW} --config f.toml", "f.toml is not valid TOML", write("f.toml", "epochs =")),
    "config unknown key": Case(
        f"{NEW} --config f.toml", "f.toml: unknown setting 'learning_rate'", write("f.toml", "learning_rate = 1")
    ),
    "config wrong value": Case(f"{NEW} --config f.toml", "f.toml: lr must be", write("f.toml", "lr = nan")),
    # data
    "data missing": Case(MNIST, "train-images-idx3-ubyte"),
    "data folder empty": Case(MNIST, "train-images-idx3-ubyte", lambda: Path("data").mkdir()),
    "one file missing": Case(MNIST, "t10k-labels-idx1-ubyte", mnist(t10k_labels_idx1_ubyte=None)),
    "idx truncated": Case(
        MNIST, "train-images-idx3-ubyte", mnist(train_images_idx3_ubyte=idx(b"\0\0\x08\x03", PICTURES)[:-100])
    ),
    "idx header truncated": Case(MNIST, "train-labels-idx1-ubyte", mnist(train_labels_idx1_ubyte=b"\0\0\x08")),
    "idx wrong magic": Case(
        MNIST, "train-images-idx3-ubyte", mnist(train_images_idx3_ubyte=idx(b"\0\0\x0d\x03", PICTURES))
    ),
    "idx gzip cut": Case(
        MNIST,
        "train-images-idx3-ubyte",
        mnist(**{"train_images_idx3_ubyte": None, "train_images_idx3_ubyte.gz": gzip.compress(bytes(9999))[:30]}),
    ),
    "labels of another length": Case(
        MNIST, "20.*19|19.*20", mnist(train_labels_idx1_ubyte=idx(b"\0\0\x08\x01", np.zeros(19, np.uint8)))
    ),
    "label out of range": Case(
        MNIST, "label 10|10 classes", mnist(train_labels_idx1_ubyte=idx(b"\0\0\x08\x01", np.full(20, 10, np.uint8)))
    ),
    # pictures
    "picture missing": Case("predict run a.png", "there is no file a.png"),
    "picture unreadable": Case("predict run a.png", "a.png is not a picture", write("a.png", "no picture")),
    "picture cut": Case("predict run a.png", "a.png", write("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")),
    "folder without pictures": Case(
        "predict run none", "the folder none holds no pictures", lambda: Path("none").mkdir()
    ),
    "array of text": Case("predict run a.npy", "a.npy", write("a.npy", b"\x93NUMPY\x01\0")),
    "no picture": Case("predict run", "FILE"),
    # run folders and checkpoints
    **{
        f"{what}, {verb}": Case(f"{verb} run {'a.png' if verb == 'predict' else ''}", message, prepare)
        for verb in ("evaluate", "predict", "export", "inspect", "train --resume --out")
        for what, message, prepare in (
            ("no checkpoint", "the run folder run has no checkpoint last.npz", without_checkpoint),
            ("no config", "run is not a run folder", without_config),
            ("checkpoint truncated", "last.npz is damaged", truncate("run/last.npz", 0.6)),
            ("checkpoint empty", "last.npz is not a numbanet checkpoint", truncate("run/last.npz", 0)),
            ("checkpoint foreign", "last.npz is not a numbanet checkpoint", foreign),
            ("weights edited", "last.npz was changed after it was written", edit_weights),
            ("text edited", "last.npz was changed after it was written", edit_text),
        )
        if (what, verb) != ("no config", "predict")
    },
    "inspect into a file": Case("inspect run --out run/config.toml", "cannot make the folder run/config.toml"),
    "inspect a missing picture": Case("inspect run --picture a.png", "there is no file a.png"),
    "export format": Case("export run --format onnx", "--format.*'onnx'.*'npz', 'torch'"),
    "export to no folder": Case("export run --out none/x.npz", "cannot write none/x.npz: no folder none"),
    "export to a folder": Case("export run --out run", "cannot write run: it is a folder"),
    "run missing": Case("evaluate none", "there is no run folder none"),
    "other pictures": Case("evaluate run --dataset cifar10", "was trained on digits"),
    "resume of nothing": Case("train lenet5 --resume --out none", "there is no run folder none"),
    "resume without out": Case("train lenet5 --resume", "there is no run runs/lenet5-digits to go on with"),
    "resume of what": Case("train --resume", "--resume needs --out DIR"),
    "resume with a new model": Case("train mlp --resume --out run", "model is 'lenet5' there, not 'mlp'"),
    "resume with a new data set": Case(
        "train lenet5 --dataset mnist --resume --out run", "dataset is 'digits' there, not 'mnist'"
    ),
    "resume with a new rate": Case("train lenet5 --lr 0.5 --resume --out run", r"lr is 0\.\d+ there, not 0\.5"),
    "resume with fewer epochs": Case(
        "train lenet5 --epochs 1 --resume --out run", "has already done 2", lambda: set_epochs_done(2)
    ),
    "resume with epochs 0": Case("train lenet5 --epochs 0 --resume --out run", "epochs must be"),
    "out holds a run": Case("train lenet5 {small} --out run", "run already holds a run; go on with it by --resume"),
    "out holds another model's run": Case("train mlp {small} --out run", "run already holds a run"),
    "out is not empty": Case(NEW, "new exists and is not empty", write("new/notes.txt", "mine")),
    "out is a file": Case(NEW, "new exists and is not a folder", write("new", "mine")),
    "out below a file": Case("train lenet5 {small} --out run/config.toml/new", "cannot make the run folder"),
}


def set_epochs_done(epochs: int) -> None:
    run = Run.open("run")
    checkpoint = run.load_checkpoint("last")
    checkpoint.state["progress"]["epoch"] = epochs
    run.save_checkpoint("last", checkpoint)


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, command, trained, tmp_path) -> None:
    case = CASES[name]
    if case.prepare:
        case.prepare()
    before = snapshot(tmp_path)
    arguments = [part for word in case.arguments.split() for part in (SMALL if word == "{small}" else [word])]
    result = command(*arguments)
    assert re.search(case.message, result.err), result.err
    assert result.code == 2
    assert result.err.count("\n") == 1, "more than one line"
    assert result.err.startswith("numbanet: ")
    assert result.out == ""
    assert snapshot(tmp_path) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a place where not even root can write")
def test_out_that_cannot_be_written(command) -> None:
    result = command("train", "lenet5", *SMALL, "--out", "/proc/numbanet/run")
    assert result.code == 2
    assert re.fullmatch(r"numbanet: cannot make the run folder /proc/numbanet/run: .+\n", result.err)


@pytest.mark.parametrize("variable", ["NUMBANET_BACKEND", "NUMBANET_NUM_THREADS"])
@pytest.mark.parametrize("arguments", [["train", "lenet5", "--out", "new"], ["info"]])
def test_environment(variable: str, arguments: list[str], tmp_path) -> None:
    command = [sys.executable, "-m", "numbanet.cli", *arguments]
    result = subprocess.run(command, env={**os.environ, variable: "many"}, capture_output=True, text=True)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert variable in result.stderr
    assert os.listdir(tmp_path) == []


def test_diverging_loss(command, tmp_path) -> None:
    result = command("train", "lenet5", *SMALL, "--lr", "1e20", "--warmup-epochs", "0", "--out", "new")
    assert result.code == 2
    message = r"numbanet: training diverged: .* at step \d+ \(epoch 1\); new/last.npz keeps the last good state.*\n"
    assert re.fullmatch(message, result.err)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["config.toml", "last.npz", "metrics.jsonl"]
    assert command("evaluate", "new").code == 0


def test_unexpected_errors_keep_their_traceback(command, monkeypatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("numbanet.models.list_models", fail)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        command("models")


def test_disk_full_is_no_traceback(command, monkeypatch, trained) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device", "run/last.npz")

    monkeypatch.setattr("numbanet.training.files.os.fsync", fail)
    before = (trained / "last.npz").read_bytes()
    result = command("train", "lenet5", "--resume", "--out", "run", "--epochs", "2")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "No space left on device" in result.err
    assert (trained / "last.npz").read_bytes() == before
