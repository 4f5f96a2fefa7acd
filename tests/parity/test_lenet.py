"""A PyTorch twin of LeNet-5 from our weights, fed our batches: the same losses, and weights that travel both ways."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import numbanet
from numbanet import datasets, models, optim
from numbanet.data import DataLoader, TensorDataset
from numbanet.nn import functional as F

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

STEPS, BATCH = 50, 128


def make_twin(activation: str = "relu", pool: str = "max") -> torch.nn.Module:
    """LeNet-5 in PyTorch, written down from the paper's table and not from our code."""
    activate = getattr(torch, activation)
    reduce = {"max": torch.max_pool2d, "avg": torch.nn.functional.avg_pool2d}[pool]

    class Twin(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = torch.nn.Conv2d(1, 6, 5, padding=2)
            self.conv2 = torch.nn.Conv2d(6, 16, 5)
            self.fc1 = torch.nn.Linear(16 * 5 * 5, 120)
            self.fc2 = torch.nn.Linear(120, 84)
            self.fc3 = torch.nn.Linear(84, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = activate(reduce(self.conv1(x), 2))
            x = activate(reduce(self.conv2(x), 2))
            x = activate(self.fc1(x.flatten(1)))
            return self.fc3(activate(self.fc2(x)))

    return Twin()


def export(model) -> dict[str, torch.Tensor]:
    """Our weights as PyTorch's ``load_state_dict`` takes them."""
    return {name: torch.from_numpy(value.detach().numpy().copy()) for name, value in model.state_dict().items()}


def make_batches() -> list[tuple]:
    """Batches of real digits from our loader, shuffled."""
    split = datasets.load("digits").train
    info = datasets.dataset_info("digits")
    pictures = (np.asarray(split.images, dtype="float32") / 255 - np.float32(info.mean)) / np.float32(info.std)
    loader = DataLoader(TensorDataset(pictures, np.asarray(split.labels)), batch_size=BATCH, shuffle=True, seed=1)
    return list(islice(iter(loader), STEPS))


def make_pair(activation: str = "relu", pool: str = "max") -> tuple:
    numbanet.manual_seed(5)
    model, twin = models.create_model("lenet5", activation=activation, pool=pool), make_twin(activation, pool)
    twin.load_state_dict(export(model))
    return model, twin


def test_same_keys_and_shapes() -> None:
    model, twin = models.create_model("lenet5"), make_twin()
    ours = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert ours == {name: tuple(value.shape) for name, value in twin.state_dict().items()}
    assert list(model.state_dict()) == list(twin.state_dict())
    assert sum(parameter.numel() for parameter in model.parameters()) == 61_706


def test_weights_travel_both_ways() -> None:
    model, twin = make_pair()
    x = np.random.default_rng(0).normal(size=(4, 1, 28, 28)).astype("float32")
    expected = model(numbanet.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(twin(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    other = models.create_model("lenet5")
    other.load_state_dict({name: value.numpy() for name, value in twin.state_dict().items()})
    np.testing.assert_array_equal(other(numbanet.from_numpy(x)).detach().numpy(), expected)


@pytest.mark.parametrize(
    ("name", "options", "parts"),
    [
        ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}, ("relu", "max")),
        ("Adam", {"lr": 1e-3}, ("tanh", "avg")),
    ],
    ids=["SGD", "Adam"],
)
def test_same_losses(name: str, options: dict, parts: tuple[str, str]) -> None:
    """Adam has smooth parts: of what a ReLU or a maximum decides by rounding it would make a whole step."""
    model, twin = make_pair(*parts)
    ours = getattr(optim, name)(model.parameters(), **options)
    theirs = getattr(torch.optim, name)(twin.parameters(), **options)
    losses = []
    for x, y in make_batches():
        loss = F.cross_entropy(model(x), y)
        twin_loss = torch.nn.functional.cross_entropy(twin(torch.from_numpy(x.numpy())), torch.from_numpy(y.numpy()))
        for optimiser, value in ((ours, loss), (theirs, twin_loss)):
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
        losses.append((loss.item(), twin_loss.item()))
    assert len(losses) == STEPS
    assert losses[-1][1] < 0.5 * losses[0][1], "the twin did not learn, so this compares nothing"
    difference = max(abs(mine - other) for mine, other in losses)
    assert difference <= 1e-4, f"the losses differ by {difference:.2e}"
