"""Networks that are registered nowhere, and training steps of them: what the graph's tests compile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import numbanet as nb
from numbanet import nn, optim
from numbanet.nn import functional as F
from numbanet.nn.utils import clip_grad_norm_


class Residual(nn.Module):
    """Convolutions with batch norm, a residual, dropout and a pool."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.norm(self.first(x)).relu()
        x = (x + self.norm2(self.second(x))).relu()
        return self.head(self.drop(x.mean((2, 3))))


class Tied(nn.Module):
    """One matrix used twice, the second time transposed; several functions between."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(nb.randn(6, 8) * 0.3)
        self.scale = nn.Parameter(nb.ones(8))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = x.reshape(x.shape[0], -1)[:, :6]
        x = ((x @ self.weight) * self.scale).tanh()
        return self.head(F.dropout(x @ self.weight.T, 0.2, self.training).sigmoid() + x.exp().sum(1, keepdim=True))


def deep(layers: int = 12) -> nn.Module:
    """A long chain of small layers."""
    parts = [layer for _ in range(layers) for layer in (nn.Linear(10, 10), nn.Tanh(), nn.LayerNorm(10))]
    return nn.Sequential(nn.Flatten(), nn.Linear(2 * 5 * 5, 10), *parts, nn.Linear(10, 3))


NETWORKS: dict[str, Callable[[], nn.Module]] = {"residual": Residual, "tied": Tied, "deep": deep}
OPTIMISERS: dict[str, Callable] = {
    "sgd": lambda p: optim.SGD(p, 0.05, weight_decay=1e-3),
    "momentum": lambda p: optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
    "adamw": lambda p: optim.AdamW(p, 0.01, weight_decay=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, 0.01, momentum=0.5, centered=True),
}


def training_step(model: nn.Module, optimizer: optim.Optimizer, clip: float | None = None) -> Callable:
    """A step of training that returns loss and logits."""

    def step(inputs, targets):
        optimizer.zero_grad()
        logits = model(inputs)
        loss = F.cross_entropy(logits, targets, label_smoothing=0.1)
        loss.backward()
        if clip is not None:
            clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss, logits

    return step


def batches(count: int, size: int = 7, shape: tuple[int, ...] = (2, 5, 5), classes: int = 3) -> list:
    """Random batches; the last of each four is smaller."""
    rng = np.random.default_rng(1)
    sizes = [size if number % 4 != 3 else max(1, size // 2) for number in range(count)]
    return [
        (nb.tensor(rng.standard_normal((n, *shape), np.float32)), nb.tensor(rng.integers(0, classes, n))) for n in sizes
    ]


def state_of(model: nn.Module, optimizer: optim.Optimizer) -> dict[str, np.ndarray]:
    """Copies of everything that a step changes."""
    arrays = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    arrays |= {f"gradient of {n}": p.grad.numpy().copy() for n, p in model.named_parameters() if p.grad is not None}
    for number, values in optimizer.state_dict()["state"].items():
        arrays |= {f"{name} {number}": np.array(v.numpy() if hasattr(v, "numpy") else v) for name, v in values.items()}
    return arrays


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    """The same bits everywhere."""
    assert a.keys() == b.keys()
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name], err_msg=name)
