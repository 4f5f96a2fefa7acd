"""From recipe, file and flags to the settings of a run: who counts most, and what is checked together."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from numbanet.training.config import Config
from numbanet.training.recipes import recipe
from numbanet.training.tasks import task_class
from numbanet.training.tasks.translation import TranslationTask

TRAIN = ["train", "mlp", "--limit", "20", "--epochs", "1", "--backend", "numpy", "--model-option", "hidden=[4]"]


def settings_of(command, *flags: str, text: str = "") -> dict:
    """The settings of a run with a file and flags."""
    Path("file.toml").write_text(text + '\n[model_options]\nnorm = "layer"\nactivation = "tanh"\n')
    result = command(*TRAIN, "--batch-size", "8", "--config", "file.toml", *flags, "--out", "made")
    assert result.err == "", result.err
    return tomllib.loads(Path("made", "config.toml").read_text())


def test_tables_are_merged_key_by_key(command) -> None:
    options = settings_of(command, "--model-option", "activation=gelu")["model_options"]
    assert options == {"norm": "layer", "activation": "gelu", "hidden": [4]}
    again = command("train", "--resume", "--out", "made", "--model-option", "activation=gelu")
    assert (again.code, again.err) == (0, ""), "one of the options of the run contradicts nothing"
    other = command("train", "--resume", "--out", "made", "--model-option", "activation=relu")
    assert "this contradicts the run: model_options is" in other.err


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("accumulate = 100", ["--batch-size", "100", "--limit", "100"]),
        ('class_weights = [1, 2, 1, 1, 1, 1, 1, 1, 1, 1]\nloss = "mse"', ["--weights-act", "sampler"]),
        ("momentum = 0.0\nnesterov = true", ["--momentum", "0.5", "--optimizer", "sgd"]),
    ],
)
def test_settings_are_checked_when_all_are_known(command, text: str, flags: list[str]) -> None:
    assert settings_of(command, *flags, text=text)["epochs"] == 1


def test_another_optimizer_leaves_out_what_the_file_says_of_its_own(command) -> None:
    of_sgd = 'optimizer = "sgd"\nlr = 0.3\nmomentum = 0.8\neps = 1e-8\nweight_decay = 1e-3\nclip_norm = 2.0'
    other = settings_of(command, "--optimizer", "rmsprop", text=of_sgd)
    assert [other[name] for name in ("lr", "momentum", "eps", "weight_decay", "clip_norm")] == [
        *(0.001, 0.0, 1e-16, 0.0),
        2.0,
    ]


def test_the_same_optimizer_keeps_what_the_file_says(command) -> None:
    same = settings_of(command, "--optimizer", "sgd", text='optimizer = "sgd"\nlr = 0.3\nmomentum = 0.8')
    assert [same[name] for name in ("lr", "momentum")] == [0.3, 0.8]


def test_a_folder_called_like_a_data_set_changes_nothing(command) -> None:
    for name in ("digits", "dates"):
        Path(name).mkdir()
    result = command(*TRAIN, "--batch-size", "8", "--image-size", "32")
    assert "image_size is for folders of pictures; those of digits keep their size" in result.err
    assert issubclass(task_class(Config(model="transformer", dataset="dates")), TranslationTask)


def test_what_is_the_users_own_fits_no_pattern_of_a_recipe() -> None:
    Path("cifar_like").mkdir()
    for name in ("cifar_like", "cifar.npz", "cifar.py:make"):
        assert recipe("resnet20", name) == recipe("resnet20", "any") != recipe("resnet20", "cifar10")
    assert recipe("resnet.py:make", "cifar10") == {}
