"""What is measured: each workload once for numbanet and once for PyTorch, as their users write it.

A workload is a function of the side's own module that returns a step to be called again and again. The PyTorch side has
one entry a memory format; the faster counts. Both get the same shapes, float32, and their fastest optimiser.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Step = Callable[[], object]
BATCH = 128


def _pictures(batch: int, channels: int, side: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, channels, side, side)).astype(np.float32)
    return x, rng.integers(0, classes, batch)


# --- numbanet --------------------------------------------------------------------------------------------------------
def _numbanet_training(model: str, x: np.ndarray, y: np.ndarray) -> Step:
    import numbanet
    from numbanet import models, optim
    from numbanet.nn import functional as F

    network = models.create_model(model)
    optimizer = optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    pictures, labels = numbanet.tensor(x), numbanet.tensor(y)

    def step() -> object:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(pictures), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def numbanet_lenet5() -> Step:
    return _numbanet_training("lenet5", *_pictures(BATCH, 1, 28, 10))


def numbanet_mlp() -> Step:
    return _numbanet_training("mlp", *_pictures(BATCH, 1, 28, 10))


# --- PyTorch ---------------------------------------------------------------------------------------------------------
def _torch_training(network: object, x: np.ndarray, y: np.ndarray, channels_last: bool) -> Step:
    import torch
    from torch.nn import functional as F

    pictures, labels = torch.from_numpy(x), torch.from_numpy(y)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
        pictures = pictures.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)

    def step() -> object:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(pictures), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def _torch_lenet5() -> object:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def _torch_mlp() -> object:
    from torch import nn

    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)
    )


def torch_lenet5(channels_last: bool = False) -> Step:
    return _torch_training(_torch_lenet5(), *_pictures(BATCH, 1, 28, 10), channels_last)


def torch_lenet5_channels_last() -> Step:
    return torch_lenet5(channels_last=True)


def torch_mlp() -> Step:
    return _torch_training(_torch_mlp(), *_pictures(BATCH, 1, 28, 10), channels_last=False)


WORKLOADS: dict[str, dict[str, dict[str, Callable[[], Step]]]] = {
    "lenet5": {
        "numbanet": {"eager": numbanet_lenet5},
        "torch": {"NCHW": torch_lenet5, "channels_last": torch_lenet5_channels_last},
    },
    "mlp": {"numbanet": {"eager": numbanet_mlp}, "torch": {"eager": torch_mlp}},
}
"""Training steps at batch 128: workload → side → variant → maker of the step."""
