"""Loss functions as modules."""

from __future__ import annotations

import numpy as np

from numbanet.creation import tensor
from numbanet.nn import functional as F
from numbanet.nn.module import Module
from numbanet.tensor import Tensor


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in ("none", "mean", "sum"):
            raise ValueError(f"{reduction} is not a valid value for reduction; use 'none', 'mean' or 'sum'")
        self.reduction = reduction


class MSELoss(_Loss):
    """``(x − y)²``, its mean or sum."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """``|x − y|``, its mean or sum."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """``d²/(2·beta)`` where |d| < beta, else ``|d| − beta/2``, d = x − y; its mean or sum."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """``d²/2`` where |d| < delta, else ``delta·(|d| − delta/2)``, d = x − y; its mean or sum."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class BCELoss(_Loss):
    """``−w·(y·ln x + (1 − y)·ln(1 − x))`` of probabilities x, targets y in [0, 1]; its mean or sum."""

    def __init__(self, weight: Tensor | np.ndarray | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", _as_tensor(weight))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """``−w·(p·y·ln σ(x) + (1 − y)·ln(1 − σ(x)))`` of logits x, targets y in [0, 1]; its mean or sum.

    ``pos_weight`` p, a number a class, makes positive examples count more.
    """

    def __init__(
        self,
        weight: Tensor | np.ndarray | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | np.ndarray | None = None,
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", _as_tensor(weight))
        self.register_buffer("pos_weight", _as_tensor(pos_weight))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


def _as_tensor(weight: Tensor | np.ndarray | None) -> Tensor | None:
    return weight if weight is None or isinstance(weight, Tensor) else tensor(weight)


class _WeightedLoss(_Loss):
    def __init__(
        self, weight: Tensor | np.ndarray | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", _as_tensor(weight))
        self.ignore_index = ignore_index


class NLLLoss(_WeightedLoss):
    """``−x[target]``, x the log-probabilities (n, classes, …); weighted mean or sum over the samples."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CrossEntropyLoss(_WeightedLoss):
    """``−log softmax(x)[target]``, x the logits (n, classes, …), target int64 classes (n, …).

    With ``label_smoothing`` ε the target is 1 − ε + ε/classes on the class and ε/classes elsewhere. Samples whose
    target is ``ignore_index`` do not count.
    """

    def __init__(
        self,
        weight: Tensor | np.ndarray | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )
