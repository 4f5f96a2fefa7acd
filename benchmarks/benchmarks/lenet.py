"""LeNet-5: a training step and a forward pass, eager, as the training loop runs them."""

from __future__ import annotations

import numbanet
from numbanet import models, optim
from numbanet.nn import functional as F

from .common import BACKENDS, best_seconds, needs_numba


class LeNet5:
    """One step (forward, backward, update) and one forward pass without a graph."""

    params = (BACKENDS, [32, 128])
    param_names = ("backend", "batch size")

    def setup(self, backend: str, batch_size: int) -> None:
        needs_numba(backend)
        numbanet.set_backend(backend)
        numbanet.manual_seed(0)
        self.model = models.create_model("lenet5")
        self.optimiser = optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        self.x, self.y = numbanet.randn(batch_size, 1, 28, 28), numbanet.arange(batch_size) % 10

    def step(self) -> None:
        self.optimiser.zero_grad()
        F.cross_entropy(self.model(self.x), self.y).backward()
        self.optimiser.step()

    def forward(self) -> None:
        with numbanet.no_grad():
            self.model(self.x)

    def track_step(self, backend: str, batch_size: int) -> float:
        return best_seconds(self.step) * 1e3

    def track_samples_per_second(self, backend: str, batch_size: int) -> float:
        return batch_size / best_seconds(self.step)

    def track_forward(self, backend: str, batch_size: int) -> float:
        return best_seconds(self.forward) * 1e3

    track_step.unit = track_forward.unit = "ms"
    track_samples_per_second.unit = "samples/s"
