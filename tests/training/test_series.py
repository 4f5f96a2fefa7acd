"""Series of numbers: the adding problem, learned from its end to end, and what is said of what does not fit."""

from __future__ import annotations

import pytest

from numbanet.datasets import DatasetError
from numbanet.training.errors import ConfigError
from numbanet.training.restore import load_model
from numbanet.training.run import Run
from numbanet.training.trainer import Trainer
from tests.training.conftest import small_config

SERIES = {"model": "series_lstm", "dataset": "adding", "sequence_length": 4, "loss": "mse", "optimizer": "adam"}


def series_config(**changes):
    small = {"limit": 640, "epochs": 8, "batch_size": 32, "lr": 0.03, "model_options": {"hidden_size": 12}}
    return small_config(**{**SERIES, **small, **changes})


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_short_series_are_learned(cell):
    """Below what "always 1" gives, 1/6; the part that picks best.npz is the data set's own."""
    Trainer(series_config(model_options={"hidden_size": 12, "cell": cell}), "run").fit()
    rows = Run.open("run").metrics()
    assert rows[-1]["test_loss"] < 0.08
    assert rows[-1]["validation_loss"] == pytest.approx(rows[-1]["test_loss"], abs=0.03)
    assert "test_accuracy" not in rows[-1]
    model, _ = load_model(Run.open("run"))
    assert model.fc.weight.shape == (1, 12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "digits"}, r"series_lstm takes series \(length, numbers a step\), .* of digits is 1x28x28"),
        ({"loss": "cross_entropy"}, "the loss cross_entropy needs classes, but the targets of adding are numbers"),
        ({"model_options": {"input_size": 3}}, "input_size=3 contradicts adding, whose inputs are 4x2 in 1 numbers"),
        ({"model_options": {"cell": "lstn"}}, "series_lstm cannot be made for adding: unknown cell 'lstn'"),
        ({"validation": 0.1}, "adding has a validation part of its own"),
        (
            {"model": "gpt", "model_options": {}},
            "the model gpt is for language, and adding is for series; models that fit: .*series_lstm",
        ),
        ({"sequence_length": 1}, "1 step is too few"),
    ],
)
def test_what_does_not_fit(changes, message):
    with pytest.raises((ConfigError, DatasetError), match=message):
        Trainer(series_config(**changes), "run").fit()
