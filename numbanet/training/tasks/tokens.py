"""The loss of tokens, and what it is over a whole text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from numbanet.autograd import no_grad
from numbanet.data.sequences import IGNORED
from numbanet.nn import Module
from numbanet.nn import functional as F
from numbanet.tensor import Tensor


class TokenObjective:
    """Mean cross-entropy of logits (…, V) for tokens or classes (…) int64; targets of −100 count for nothing.

    ``label_smoothing`` shapes the gradients and does not count in :meth:`total`.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(*_flat(outputs, targets), label_smoothing=self.label_smoothing)

    def count(self, targets: Tensor) -> int:
        """How many targets count."""
        return int((targets.numpy() != IGNORED).sum())

    def share(self, targets: Tensor) -> float:
        """How much a batch counts: its targets."""
        return float(self.count(targets))

    def total(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The sum of the targets' losses."""
        return F.cross_entropy(*_flat(outputs, targets), reduction="sum")

    def correct(self, outputs: Tensor, targets: Tensor) -> int:
        """How many targets have the largest logit."""
        logits, wanted = _flat(outputs, targets)
        return int((logits.argmax(dim=1).numpy() == wanted.numpy()).sum())


def _flat(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1)


@dataclass(frozen=True)
class TokenEvaluation:
    """Mean loss (nats a target) over ``targets`` targets and how many of them were predicted right.

    ``extra`` are further measures by name.
    """

    loss: float
    correct: int
    targets: int
    extra: dict[str, float] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Share of the targets predicted right."""
        return self.correct / self.targets

    @property
    def perplexity(self) -> float:
        """e to the loss: among how many equally likely tokens the model seems to choose."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def measures(self) -> dict[str, float]:
        """What goes into ``metrics.jsonl``."""
        return {"loss": self.loss, "accuracy": self.accuracy, **self.extra}


def evaluate_tokens(
    model: Module, forward: Callable[[Any], Tensor], batches: Iterable[tuple[Any, Tensor]], objective: TokenObjective
) -> TokenEvaluation:
    """Loss and accuracy over batches (inputs, targets); ``forward(inputs)`` gives logits by the model.

    The model is put into evaluation mode for the time being; no gradients are recorded.
    """
    was_training = model.training
    model.eval()
    loss, correct, count = 0.0, 0, 0
    try:
        with no_grad():
            for inputs, targets in batches:
                outputs = forward(inputs)
                loss += objective.total(outputs, targets).item()
                correct += objective.correct(outputs, targets)
                count += objective.count(targets)
    finally:
        model.train(was_training)
    return TokenEvaluation(loss / count, correct, count)
