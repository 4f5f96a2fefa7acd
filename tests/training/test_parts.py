"""The small parts: packing nested state, files, curves, and what a training step does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import numbanet
from numbanet import nn, optim
from numbanet.training import curves, files
from numbanet.training.errors import unknown_name
from numbanet.training.machine import peak_memory_mb
from numbanet.training.pack import pack, unpack
from numbanet.training.step import TrainingStep


def test_pack_and_unpack() -> None:
    tree = {
        "state": {0: {"m": numbanet.tensor([1.0, 2.0]), "step": 3}, 1: {}},
        "groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1], "none": None, "flag": True}],
        "number": np.float64(0.5),
        "": {},
    }
    arrays: dict[str, np.ndarray] = {}
    packed = json.loads(json.dumps(pack(tree, "optimizer", arrays)))
    assert list(arrays) == ["optimizer.state.0.m"]
    loaded = unpack(packed, arrays)
    assert loaded["state"].pop(0)["m"].tolist() == [1.0, 2.0]
    assert loaded == {"state": {1: {}}, "groups": tree["groups"], "number": 0.5, "": {}}
    with pytest.raises(KeyError):
        unpack(packed, {})


def test_packed_arrays_are_copies() -> None:
    weight, arrays = numbanet.tensor([1.0]), {}
    pack({"w": weight}, "model", arrays)
    weight.add_(1.0)
    assert arrays["model.w"].tolist() == [1.0]


def test_replacing_is_whole_or_not_at_all(tmp_path) -> None:
    path = tmp_path / "file"
    files.write_text(path, "old")

    def fail() -> None:
        with files.replacing(path) as stream:
            stream.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]
    files.write_text(path, "new ä")
    assert path.read_text(encoding="utf-8") == "new ä"


def test_leftovers(tmp_path) -> None:
    for name in (".last.npz.123.part", ".hidden", "last.npz", "x.part"):
        (tmp_path / name).touch()
    (tmp_path / ".folder.part").mkdir()
    files.remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".folder.part", ".hidden", "last.npz", "x.part"]


@pytest.mark.parametrize("epochs", [1, 3, 100])
@pytest.mark.parametrize("extra", [{}, {"validation_loss": 0.3, "validation_accuracy": 0.9}])
@pytest.mark.parametrize("accuracy", [0.5, 1.0, None])
def test_curves(tmp_path, epochs: int, extra: dict, accuracy: float | None) -> None:
    rows = [
        {"epoch": n, "train_loss": 2.0 / n**2, "test_loss": None if n == 2 else 1.0, "test_accuracy": accuracy, **extra}
        for n in range(1, epochs + 1)
    ]
    curves.draw(rows, "a title", tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size[0] > picture.size[1] > 300
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20


def test_peak_memory_grows() -> None:
    if peak_memory_mb() is None:
        pytest.skip("the system does not tell")
    before = peak_memory_mb()
    block = np.ones(5_000_000)
    assert peak_memory_mb() >= max(before, block.nbytes / 1e6)


def test_step_is_pytorchs_recipe() -> None:
    """Against the update written out: p ← p − lr·factor·(gradient + decay·p)."""
    numbanet.manual_seed(0)
    model = nn.Linear(3, 2)
    weight = model.weight.detach().numpy().copy()
    optimizer = optim.SGD(model.parameters(), lr=1.0, weight_decay=0.5)
    step = TrainingStep(model, optimizer, lambda number: 0.5 ** (number + 1), lr=0.2)
    x, y = numbanet.tensor([[1.0, 2.0, 3.0]]), numbanet.tensor([1])
    logits = model(x).detach().numpy()[0].astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum()
    loss = step(x, y)
    assert loss == pytest.approx(-np.log(shares[1]), rel=1e-5)
    gradient = np.outer(shares - [0, 1], [1, 2, 3])
    np.testing.assert_allclose(model.weight.detach().numpy(), weight - 0.1 * (gradient + 0.5 * weight), rtol=1e-5)
    assert (step.number, step.last_rate) == (1, 0.1)
    step(x, y)
    assert (step.number, step.last_rate) == (2, 0.05)


def test_step_leaves_the_model_alone_when_the_loss_is_not_finite() -> None:
    model = nn.Linear(3, 2)
    weight = model.weight.detach().numpy().copy()
    step = TrainingStep(model, optim.SGD(model.parameters(), lr=1.0), lambda number: 1.0, lr=1.0)
    loss = step(numbanet.tensor([[1.0, float("nan"), 0.0]]), numbanet.tensor([1]))
    assert loss != loss
    assert step.number == 0
    np.testing.assert_array_equal(model.weight.detach().numpy(), weight)


def test_unknown_name() -> None:
    assert unknown_name("model", "lenet", ["lenet5", "mlp"]) == (
        "unknown model 'lenet'; did you mean 'lenet5'? (there are: lenet5, mlp)"
    )
    assert unknown_name("model", "zzz", ["lenet5", "mlp"]) == "unknown model 'zzz'; there are: lenet5, mlp"


def test_public_names() -> None:
    from numbanet import training

    for name in training.__all__:
        assert getattr(training, name) is not None
    assert set(training.__all__) <= set(dir(training))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        training.nothing  # noqa: B018
    assert Path(training.__file__).with_name("recipes.toml").exists()
