"""One training step: forward, backward, update."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numbanet.nn import Module
from numbanet.nn import functional as F
from numbanet.tensor import Tensor


class TrainingStep:
    """``step(inputs, targets)`` updates the model once and returns the batch's loss.

    The loss is the mean cross-entropy of the logits. ``schedule(number)`` is the factor on the learning rate of the
    step with that number; :attr:`number` counts them and :attr:`last_rate` is the last one's learning rate. A loss
    that is not finite is returned without an update.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Any,
        schedule: Callable[[int], float],
        lr: float,
        label_smoothing: float = 0.0,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.schedule = schedule
        self.lr = lr
        self.label_smoothing = label_smoothing
        self.number = 0
        self.last_rate = lr

    def __call__(self, inputs: Tensor, targets: Tensor) -> float:
        loss = self.loss(inputs, targets)
        value = loss.item()
        if math.isfinite(value):
            self.update(loss)
        return value

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of a batch, ready for :meth:`update`."""
        self.optimizer.zero_grad()
        return F.cross_entropy(self.model(inputs), targets, label_smoothing=self.label_smoothing)

    def update(self, loss: Tensor) -> None:
        """Gradients of ``loss``, then the optimiser's update at this step's learning rate."""
        loss.backward()
        rate = self.last_rate = self.lr * self.schedule(self.number)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.number += 1
