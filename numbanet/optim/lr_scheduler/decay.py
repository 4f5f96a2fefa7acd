"""Schedules that are functions of the epoch."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable

from numbanet.optim.lr_scheduler.base import LRScheduler, positive
from numbanet.optim.optimizer import Optimizer


class StepLR(LRScheduler):
    """``base_lr · gamma^⌊epoch / step_size⌋``."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = positive("step_size", step_size)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def lr_at(self, base_lr: float, epoch: int) -> float:
        return base_lr * self.gamma ** (epoch // self.step_size)

    def get_lr(self) -> list[float]:
        return self._scaled(1.0 if self.last_epoch % self.step_size else self.gamma)


class MultiStepLR(LRScheduler):
    """``base_lr · gamma^(number of milestones in 1 … epoch)``; a milestone given twice counts twice."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def lr_at(self, base_lr: float, epoch: int) -> float:
        return base_lr * self.gamma ** (bisect_right(self.milestones, epoch) - bisect_right(self.milestones, 0))

    def get_lr(self) -> list[float]:
        return self._scaled(self.gamma ** self.milestones.count(self.last_epoch))


class ConstantLR(LRScheduler):
    """``base_lr · factor`` until ``total_iters`` epochs are over, ``base_lr`` from then on."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3.0, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0.0 < factor <= 1.0:
            raise ValueError("Constant multiplicative factor expected to be between 0 and 1.")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def lr_at(self, base_lr: float, epoch: int) -> float:
        return base_lr * (self.factor if epoch < self.total_iters else 1.0)

    def get_lr(self) -> list[float]:
        return self._scaled(1.0 / self.factor if self.last_epoch == self.total_iters else 1.0)


class LinearLR(LRScheduler):
    """A straight line from ``base_lr · start_factor`` to ``base_lr · end_factor`` over ``total_iters`` epochs.

    With SequentialLR it is the warm-up.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3.0,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0.0 < start_factor <= 1.0:
            raise ValueError("Starting multiplicative factor expected to be greater than 0 and less or equal to 1.")
        if not 0.0 <= end_factor <= 1.0:
            raise ValueError("Ending multiplicative factor expected to be between 0 and 1.")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = positive("total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, base_lr: float, epoch: int) -> float:
        done = min(epoch, self.total_iters) / self.total_iters
        return base_lr * (self.start_factor + (self.end_factor - self.start_factor) * done)

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_iters:
            return self._scaled(1.0)
        rise = self.end_factor - self.start_factor
        return self._scaled(1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise))


class ExponentialLR(LRScheduler):
    """``base_lr · gamma^epoch``."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def lr_at(self, base_lr: float, epoch: int) -> float:
        return base_lr * self.gamma**epoch

    def get_lr(self) -> list[float]:
        return self._scaled(self.gamma)


class PolynomialLR(LRScheduler):
    """``base_lr · (1 − epoch/total_iters)^power`` until ``total_iters``, then 0; ``power=1`` is linear decay."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = positive("total_iters", total_iters)
        self.power = power
        super().__init__(optimizer, last_epoch)

    def lr_at(self, base_lr: float, epoch: int) -> float:
        return base_lr * (1.0 - min(epoch, self.total_iters) / self.total_iters) ** self.power

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_iters:
            return self._scaled(1.0)
        rest = 1.0 - self.last_epoch / self.total_iters
        rest_before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return self._scaled((rest / rest_before) ** self.power)


class CosineAnnealingLR(LRScheduler):
    """``eta_min + (base_lr − eta_min) · (1 + cos(π · epoch / T_max)) / 2``; it rises again after ``T_max``.

    Loshchilov and Hutter 2017, without the restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = positive("T_max", T_max)
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def lr_at(self, base_lr: float, epoch: int) -> float:
        return self.eta_min + (base_lr - self.eta_min) * (1.0 + math.cos(math.pi * epoch / self.T_max)) / 2.0

    def get_lr(self) -> list[float]:
        groups = self.optimizer.param_groups
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # Out of the minimum: what the rate is there says nothing about where it came from.
            rise = (1.0 - math.cos(math.pi / self.T_max)) / 2.0
            return [
                group["lr"] + (base_lr - self.eta_min) * rise
                for base_lr, group in zip(self.base_lrs, groups, strict=True)
            ]
        ratio = (1.0 + math.cos(math.pi * self.last_epoch / self.T_max)) / (
            1.0 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        )
        return [ratio * (group["lr"] - self.eta_min) + self.eta_min for group in groups]

    def _first_lr(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]


class InverseSquareRootLR(LRScheduler):
    """``base_lr · √(w / (epoch + 1))`` after w = ``warmup`` epochs, ``base_lr · (epoch + 1) / w`` before.

    Vaswani 2017. ``base_lr`` is the peak, at epoch w − 1; in the paper d_model^−½ · w^−½. Step it once a training step:
    its "epochs" are the paper's steps. PyTorch has no class for it.
    """

    def __init__(self, optimizer: Optimizer, warmup: int = 1, last_epoch: int = -1) -> None:
        self.warmup = positive("warmup", warmup)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, base_lr: float, epoch: int) -> float:
        step = epoch + 1
        return base_lr * (step / self.warmup if step < self.warmup else math.sqrt(self.warmup / step))

    def get_lr(self) -> list[float]:
        return self._scaled(self.lr_at(1.0, self.last_epoch) / self.lr_at(1.0, self.last_epoch - 1))
