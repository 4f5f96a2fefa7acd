"""What is minimised: a loss of a model's outputs for a batch of targets, and how right the outputs are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

import numbanet
from numbanet.nn import functional as F
from numbanet.tensor import Tensor
from numbanet.training.errors import TrainingError

POINTWISE: dict[str, Callable[..., Tensor]] = {
    "bce": F.binary_cross_entropy_with_logits,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "smooth_l1": F.smooth_l1_loss,
    "huber": F.huber_loss,
}


class Objective:
    """``objective(outputs, targets)`` is the mean loss of a batch, by the name that the setting ``loss`` has.

    Targets are class numbers (n,) or numbers of the outputs' shape; outputs (n, 1) also fit targets (n,). With
    class numbers the pointwise losses compare the outputs with 1 at the class and 0 elsewhere. ``class_weights`` and
    ``label_smoothing`` are those of ``cross_entropy``; they shape the gradients and do not count in :meth:`total`.
    """

    def __init__(
        self, loss: str = "cross_entropy", label_smoothing: float = 0.0, class_weights: Sequence[float] = ()
    ) -> None:
        self.loss = loss
        self.label_smoothing = label_smoothing
        self.class_weights = np.array(class_weights, np.float32) if len(class_weights) else None
        self._weight: Tensor | None = None

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.loss != "cross_entropy":
            return POINTWISE[self.loss](*self._compared(outputs, targets))
        return F.cross_entropy(outputs, targets, self._class_weights(), label_smoothing=self.label_smoothing)

    def count(self, targets: Tensor) -> int:
        """How many samples a batch has."""
        return len(targets)

    def share(self, targets: Tensor) -> float:
        """How much a batch counts: its samples, or the sum of their classes' weights."""
        if self.class_weights is None:
            return float(len(targets))
        return float(self.class_weights[targets.numpy()].sum(dtype=np.float64))

    def total(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The sum of the samples' losses (of each the mean over its outputs), all classes alike and sharp."""
        if self.loss == "cross_entropy":
            return F.cross_entropy(outputs, targets, reduction="sum")
        outputs, targets = self._compared(outputs, targets)
        return POINTWISE[self.loss](outputs, targets, reduction="sum") * (len(outputs) / outputs.numel())

    def predictions(self, outputs: Tensor, targets: Tensor) -> np.ndarray | None:
        """The class (n,) of the largest output, or for bce 1 where an output is above 0; None when there is no such."""
        values = outputs.detach().numpy()
        if _are_classes(targets) or self.loss == "cross_entropy":
            return values.argmax(1)
        return (values > 0).astype(np.int64).reshape(targets.shape) if self.loss == "bce" else None

    def correct(self, outputs: Tensor, targets: Tensor) -> int | None:
        """How many samples are classified right (in all of several labels); None when there are no classes."""
        found = self.predictions(outputs, targets)
        if found is None:
            return None
        wanted = targets.numpy()
        if not _are_classes(targets):
            wanted = wanted > 0.5 if self.loss == "bce" else wanted.argmax(1)
        return int((found == wanted).reshape(len(found), -1).all(1).sum())

    def scores(self, outputs: Tensor) -> Tensor:
        """What outputs (n, classes) say of the classes: shares that add up to 1, for bce of each class by itself, and
        for the other losses, which know no probabilities, the outputs."""
        if self.loss == "cross_entropy":
            return F.softmax(outputs, dim=1)
        return outputs.sigmoid() if self.loss == "bce" else outputs

    def _compared(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs and targets of one shape, for a pointwise loss."""
        if _are_classes(targets):
            # F.one_hot looks at the numbers, which mean nothing while kernels are only noted; data sets check labels
            return outputs, (targets.unsqueeze(1) == targets.new_arange(outputs.shape[1])).to(outputs.dtype)
        if outputs.ndim == targets.ndim + 1 and outputs.shape[-1] == 1:
            outputs = outputs.squeeze(-1)
        if outputs.shape != targets.shape:
            raise TrainingError(
                f"the loss {self.loss} needs outputs of the targets' shape: the model gives {tuple(outputs.shape)} for "
                f"targets {tuple(targets.shape)}"
            )
        return outputs, targets.to(outputs.dtype)

    def _class_weights(self) -> Tensor | None:
        if self.class_weights is not None and self._weight is None:
            self._weight = numbanet.tensor(self.class_weights)
        return self._weight


def _are_classes(targets: Tensor) -> bool:
    return targets.dtype.kind in "iu"
