"""Normalisation layers against PyTorch's: the same state, outputs, gradients and running statistics, two steps on."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet
from numbanet import nn

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

LAYERS = [
    ("BatchNorm1d", (5,), {}, (9, 5)),
    ("BatchNorm1d", (5,), {"momentum": None, "eps": 1e-3}, (4, 5, 7)),
    ("BatchNorm2d", (3,), {}, (4, 3, 6, 7)),
    ("BatchNorm2d", (3,), {"bias": False}, (4, 3, 6, 7)),
    ("BatchNorm2d", (3,), {"affine": False}, (2, 3, 41, 40)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (4, 3, 5, 5)),
    ("InstanceNorm1d", (3,), {"affine": True}, (4, 3, 20)),
    ("InstanceNorm1d", (3,), {}, (3, 9)),
    ("InstanceNorm2d", (3,), {}, (2, 3, 8, 9)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, (2, 3, 8, 9)),
    ("InstanceNorm2d", (3,), {"affine": True}, (3, 6, 5)),
    ("GroupNorm", (2, 6), {}, (3, 6, 5, 4)),
    ("GroupNorm", (2, 6), {"bias": False}, (3, 6, 5, 4)),
    ("GroupNorm", (3, 6), {"affine": False}, (3, 6, 4)),
    ("GroupNorm", (1, 4), {"eps": 1e-3}, (2, 4, 9, 9)),
    ("LayerNorm", (7,), {}, (4, 3, 7)),
    ("LayerNorm", ((3, 20),), {"bias": False}, (5, 3, 20)),
    ("LayerNorm", (33,), {"elementwise_affine": False}, (6, 33)),
]


def close(ours, theirs) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("name", "arguments", "options", "shape"), LAYERS, ids=lambda value: str(value))
def test_layer(name: str, arguments: tuple, options: dict, shape: tuple) -> None:
    random = np.random.default_rng(3)
    layer, twin = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    assert repr(layer) == repr(twin)
    ours, theirs = layer.state_dict(), twin.state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: tuple(v.shape) for key, v in theirs.items()}
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        if key in ("weight", "bias"):
            value.copy_(torch.from_numpy(random.normal(1, 1, tuple(value.shape)).astype(np.float32)))
    layer.load_state_dict({key: value.numpy() for key, value in theirs.items()})
    for training in (True, True, False):
        layer.train(training)
        twin.train(training)
        x, weights = (random.normal(2, 3, shape).astype(np.float32) for _ in range(2))
        mine, other = numbanet.tensor(x).requires_grad_(), torch.tensor(x, requires_grad=True)
        layer.zero_grad()
        twin.zero_grad()
        out, expected = layer(mine), twin(other)
        (out * numbanet.tensor(weights)).sum().backward()
        (expected * torch.tensor(weights)).sum().backward()
        close(out, expected)
        close(mine.grad, other.grad)
        for parameter, its in zip(layer.parameters(), twin.parameters(), strict=True):
            close(parameter.grad, its.grad)
        for key, value in layer.state_dict().items():
            close(value, twin.state_dict()[key])
