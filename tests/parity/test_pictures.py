"""The script that trains a network for pictures beside its twin in PyTorch."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import numbanet
from numbanet import datasets, models
from numbanet.training.config import Config

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pictures.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [*sys.path])
    specification = importlib.util.spec_from_file_location("pictures", SCRIPT)
    found = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(found)
    return found


@pytest.fixture
def lines_of(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Callable[..., list[str]]:
    def run(*options: str) -> list[str]:
        command = [str(SCRIPT), "lenet5", "--dataset", "digits", "--threads", "1", *options]
        monkeypatch.setattr(sys, "argv", command)
        script.main()
        return capsys.readouterr().out.splitlines()

    return run


@pytest.mark.parametrize("options", [[], ["--set", "label_smoothing=0.1", "--set", "nesterov=true"]])
def test_the_first_steps_are_the_same(lines_of, options: list[str]) -> None:
    *steps, ours, rounding = lines_of("--steps", "4", "--double", *options)
    assert len(steps) == 4
    for line in (ours, rounding):
        assert 0 < float(re.search(r": ([\d.e-]+)$", line)[1]) < 1e-3


def test_epochs_of_both(lines_of) -> None:
    first, record = lines_of("--epochs", "1", "--set", "limit=200")
    assert re.fullmatch(r"epoch +\d  numbanet 0\.\d+  torch 0\.\d+", first)
    assert '"numbanet"' in record


def test_the_twin_alone(lines_of) -> None:
    line, record = lines_of("--epochs", "1", "--alone", "--set", "limit=200")
    assert re.fullmatch(r"epoch   1  torch 0\.\d+  [\d.]+ s", line)
    assert '"seconds"' in record


@pytest.mark.parametrize(
    ("name", "side", "options"),
    [
        ("alexnet_small", 32, {}),
        ("alexnet_small", 64, {"classic_dropout": False}),
        ("resnet20", 32, {"dropout": 0.5}),
        ("plain20", 32, {"norm": "none", "dropout": 0.25}),
        ("lenet5", 28, {"dropout": 0.5}),
    ],
)
def test_twins_evaluate_alike(script, name: str, side: int, options: dict) -> None:
    channels = 1 if name == "lenet5" else 3
    model = models.create_model(name, image_size=side, **options)
    twin = script.twin_of(Config(model=name, model_options=options), (channels, side, side), 10)
    script.copy_weights(twin, model)
    x = numbanet.randn(4, channels, side, side)
    with numbanet.no_grad(), torch.no_grad():
        ours, theirs = model.eval()(x).numpy(), twin.eval()(torch.from_numpy(x.numpy().copy())).numpy()
        dropped = [twin.train()(torch.from_numpy(x.numpy().copy())).numpy() for _ in range(2)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())
    assert not np.array_equal(*dropped)


@pytest.mark.parametrize(
    ("model", "options", "shape"),
    [
        ("resnet50", {}, (3, 224, 224)),
        ("resnet20", {"shortcut": "B"}, (3, 32, 32)),
        ("resnet20", {"activation": "gelu"}, (3, 32, 32)),
        ("resnet20", {}, (1, 28, 28)),
        ("lenet5", {"norm": "batch"}, (1, 28, 28)),
        ("mlp", {}, (1, 28, 28)),
    ],
)
def test_there_is_no_twin(script, model: str, options: dict, shape: tuple) -> None:
    with pytest.raises(SystemExit, match="there is no twin"):
        script.twin_of(Config(model=model, model_options=options), shape, 10)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("clip_value=1", "knows clip_value=0.0 only, not 1.0"),
        ("accumulate=2", "accumulate=1 only"),
        ("ema_decay=0.9", "ema_decay"),
        ("class_weights=balanced", "class_weights"),
        ("augment=default", r"but not affine\(degrees=\(-10,10\),interpolation=bilinear\)"),
    ],
)
def test_settings_that_the_twin_does_not_know(lines_of, setting: str, message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        lines_of("--epochs", "1", "--alone", "--set", "limit=200", "--set", setting)


def test_the_twins_own_loader_takes_all_samples(script) -> None:
    data = SimpleNamespace(train=datasets.load("digits").train, info=datasets.dataset_info("digits"))
    config = Config(batch_size=900, augment="flip(p=1),crop(padding=2)")
    batches = list(script.OwnLoader(SimpleNamespace(data=data, config=config)))
    assert sum(len(labels) for _, labels in batches) == len(data.train)
    assert len(batches[-1][1]) < 900
    assert batches[0][0].shape == (900, 1, 28, 28)
