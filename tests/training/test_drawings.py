"""Pictures of a network's inside: what is drawn of layers of every kind."""

from __future__ import annotations

import numpy as np

import numbanet
from numbanet import models, nn
from numbanet.training.drawings import _activation_maps, draw_filters, draw_histograms
from numbanet.training.objective import Objective


def test_filters_of_sequences(tmp_path) -> None:
    model = nn.Sequential(nn.Conv1d(2, 5, 3), nn.ReLU())
    assert draw_filters(model, (2, 20), tmp_path / "filters.png").startswith("5 filters of 0")
    assert (tmp_path / "filters.png").stat().st_size > 1000


def test_weights_without_gradients_have_an_empty_row(tmp_path) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    model[0].weight.requires_grad_(False)
    inputs, targets = numbanet.rand(6, 4), numbanet.tensor(np.arange(6) % 3)
    drawn = draw_histograms(model, Objective(), inputs, targets, tmp_path / "histograms.png")
    assert drawn == "weights and gradients of 2 layers, on 6 training samples"


def test_outputs_of_blocks_are_named_by_their_main_way() -> None:
    model = models.create_model("resnet20", shortcut="B")
    names = [name for name, _ in _activation_maps(model.eval(), numbanet.rand(1, 3, 32, 32))]
    assert len(names) == 19
    assert len(set(names)) == len(names)
    assert not [name for name in names if "downsample" in name]
