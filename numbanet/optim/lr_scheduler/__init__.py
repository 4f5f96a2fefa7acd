"""Learning rates that change with the epoch (LECTURE row L15): PyTorch's names, arguments and values.

Every schedule has its formula in :meth:`LRScheduler.lr_at`. A step goes from the rate that the optimiser has now to
the next one, so that two schedules can act on one optimiser, and a rate that the user sets is kept and scaled.
"""

from __future__ import annotations

from numbanet.optim.lr_scheduler.base import LambdaLR, LRScheduler
from numbanet.optim.lr_scheduler.decay import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    InverseSquareRootLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from numbanet.optim.lr_scheduler.one_cycle import OneCycleLR
from numbanet.optim.lr_scheduler.plateau import ReduceLROnPlateau
from numbanet.optim.lr_scheduler.sequential import SequentialLR

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "InverseSquareRootLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
