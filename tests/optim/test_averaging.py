"""The moving average of weights, and which parameters weight decay leaves out."""

from __future__ import annotations

import json

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn, optim
from numbanet.training.pack import pack, unpack


def make_model() -> nn.Module:
    nb.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def change(model: nn.Module, random: np.random.Generator) -> None:
    with nb.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.dtype.kind == "f":
                tensor.copy_(nb.tensor(random.normal(size=tensor.shape).astype(np.float32)))


@pytest.mark.parametrize("warmup", [True, False])
def test_average_follows_the_formula(warmup: bool) -> None:
    model, random = make_model(), np.random.default_rng(0)
    average = optim.AveragedModel(model, decay=0.8, warmup=warmup)
    expected = [parameter.detach().numpy().astype(float) for parameter in model.parameters()]
    for n in range(12):
        change(model, random)
        average.update_parameters(model)
        d = min(0.8, (1 + n) / (10 + n)) if warmup else 0.8
        expected = [d * a + (1 - d) * w.detach().numpy() for a, w in zip(expected, model.parameters(), strict=True)]
    for mine, value in zip(average.module.parameters(), expected, strict=True):
        np.testing.assert_allclose(mine.numpy(), value, rtol=1e-5, atol=1e-6)
        assert not mine.requires_grad
    for mine, value in zip(average.module.buffers(), model.buffers(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), value.numpy())


def test_average_goes_on_from_saved_state() -> None:
    model, random = make_model(), np.random.default_rng(0)
    alone = optim.AveragedModel(model, decay=0.5)
    change(model, random)
    alone.update_parameters(model)
    arrays = {}
    state = unpack(json.loads(json.dumps(pack(alone.state_dict(), "average", arrays))), arrays)
    again = optim.AveragedModel(make_model(), decay=0.5)
    again.load_state_dict(state)
    change(model, random)
    for average in (alone, again):
        average.update_parameters(model)
    for one, other in zip(alone.module.parameters(), again.module.parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_average_refuses(decay: float) -> None:
    with pytest.raises(ValueError, match="decay must be at least 0 and below 1"):
        optim.AveragedModel(make_model(), decay)


def test_decay_groups() -> None:
    local = nn.LocallyConnected2d(1, 2, 4, 3)
    model = nn.ModuleList([make_model(), nn.LayerNorm(5), nn.Embedding(4, 3), local])
    named = dict(model.named_parameters())
    decayed, spared = optim.decay_groups(named.items(), 0.3)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    names = {id(parameter): name for name, parameter in named.items()}
    assert {names[id(p)] for p in decayed["params"]} == {"0.0.weight", "0.3.weight", "2.weight", "3.weight"}
    assert len(decayed["params"]) + len(spared["params"]) == len(named)
    assert len(optim.decay_groups([("weight", nn.Parameter(nb.ones(2, 2)))], 0.1)) == 1
    optim.SGD(optim.decay_groups(named.items(), 0.3), lr=0.1)
