"""A rate that falls when a metric has stopped to improve."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numbanet.optim.lr_scheduler.base import LRScheduler
from numbanet.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """``lr ← max(lr · factor, min_lr)`` when the metric given to :meth:`step` was not better for ``patience`` epochs.

    Better means, for ``mode`` "min", below ``best · (1 − threshold)`` ("rel") or ``best − threshold`` ("abs"); for
    "max" above ``best · (1 + threshold)`` or ``best + threshold``. After a fall, ``cooldown`` epochs do not count.
    Changes of less than ``eps`` are not made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ValueError("Factor should be < 1.0.")
        for name, value, known in (("mode", mode, ("min", "max")), ("threshold mode", threshold_mode, ("rel", "abs"))):
            if value not in known:
                raise ValueError(f"{name} {value} is unknown!")
        self._attach(optimizer)
        count = len(optimizer.param_groups)
        self.min_lrs = list(min_lr) if isinstance(min_lr, (list, tuple)) else [min_lr] * count
        if len(self.min_lrs) != count:
            raise ValueError(f"expected {count} min_lrs, got {len(self.min_lrs)}")
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.factor, self.patience, self.cooldown, self.eps = factor, patience, cooldown, eps
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.restart()

    def restart(self) -> None:
        """Forget all metrics; the rates stay."""
        self.best = math.inf if self.mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def is_better(self, metric: float, best: float) -> bool:
        """Whether ``metric`` is better than ``best`` by more than the threshold."""
        sign = -1.0 if self.mode == "min" else 1.0
        bar = best * (1.0 + sign * self.threshold) if self.threshold_mode == "rel" else best + sign * self.threshold
        return sign * metric > sign * bar

    def step(self, metrics: float) -> None:
        """Go to the next epoch with the metric of the one that ended (a number or a tensor of one)."""
        metric = float(metrics)
        self.last_epoch += 1
        if self.is_better(metric, self.best):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._write(self.get_lr())
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float]:
        rates = []
        for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lower = max(group["lr"] * self.factor, least)
            rates.append(lower if group["lr"] - lower > self.eps else group["lr"])
        return rates
