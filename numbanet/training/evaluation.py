"""Loss and accuracy of a model over a data set, and which classes it takes for which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from numbanet.autograd import no_grad
from numbanet.data import DataLoader
from numbanet.nn import Module
from numbanet.training.objective import Objective


@dataclass(frozen=True)
class Evaluation:
    """Mean loss over ``samples`` samples, and how many of them were classified right; None where nothing is classified.

    ``confusion[t, p]`` counts the samples of class t that were taken for class p; None where a sample has no class.
    """

    loss: float
    correct: int | None
    samples: int
    confusion: np.ndarray | None = None

    @property
    def accuracy(self) -> float | None:
        """Share of samples classified right."""
        return None if self.correct is None else self.correct / self.samples

    @property
    def measures(self) -> dict[str, float]:
        """What goes into ``metrics.jsonl``."""
        return {"loss": self.loss, **({} if self.accuracy is None else {"accuracy": self.accuracy})}


def evaluate(model: Module, dataset: Any, batch_size: int = 500, objective: Objective | None = None) -> Evaluation:
    """Mean loss and accuracy of ``model`` on samples (input, target).

    The loss is the cross-entropy unless ``objective`` says otherwise. The model is put into evaluation mode for the
    time being; no gradients are recorded.
    """
    objective = objective or Objective()
    was_training = model.training
    model.eval()
    loss, correct, confusion = 0.0, None, None
    try:
        with no_grad():
            for inputs, targets in DataLoader(dataset, batch_size=batch_size):
                outputs = model(inputs)
                loss += objective.total(outputs, targets).item()
                # counted on the host: thousands of small numbers are not worth a kernel of their own
                right = objective.correct(outputs, targets)
                if right is not None:
                    correct = (correct or 0) + right
                if right is not None and targets.ndim == 1 and targets.dtype.kind in "iu":
                    found = objective.predictions(outputs, targets)
                    confusion = _counted(confusion, targets.numpy(), found, outputs.shape[1])
    finally:
        model.train(was_training)
    return Evaluation(loss / len(dataset), correct, len(dataset), confusion)


def _counted(confusion: np.ndarray | None, targets: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    counts = np.bincount(targets * classes + found, minlength=classes * classes).reshape(classes, classes)
    return counts if confusion is None else confusion + counts
