"""Loss and accuracy of a classifier over a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numbanet.autograd import no_grad
from numbanet.data import DataLoader
from numbanet.nn import Module
from numbanet.nn import functional as F


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy over ``samples`` samples, and how many of them were classified right."""

    loss: float
    correct: int
    samples: int

    @property
    def accuracy(self) -> float:
        """Share of samples classified right."""
        return self.correct / self.samples


def evaluate(model: Module, dataset: Any, batch_size: int = 500) -> Evaluation:
    """Mean cross-entropy and accuracy of ``model`` (logits (n, classes)) on samples (input, class).

    The model is put into evaluation mode for the time being; no gradients are recorded.
    """
    was_training = model.training
    model.eval()
    loss, correct = 0.0, 0
    try:
        with no_grad():
            for inputs, targets in DataLoader(dataset, batch_size=batch_size):
                logits = model(inputs)
                loss += F.cross_entropy(logits, targets, reduction="sum").item()
                # counted on the host: thousands of small numbers are not worth a kernel of their own
                correct += int((logits.numpy().argmax(1) == targets.numpy()).sum())
    finally:
        model.train(was_training)
    return Evaluation(loss / len(dataset), correct, len(dataset))
