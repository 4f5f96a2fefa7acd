"""The 1cycle policy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numbanet.optim.lr_scheduler.base import LRScheduler
from numbanet.optim.optimizer import Optimizer


class OneCycleLR(LRScheduler):
    """One rise and one fall of the rate, the momentum running the other way (Smith and Topin 2017), step by step.

    From ``max_lr / div_factor`` to ``max_lr`` in the first ``pct_start`` of ``total_steps`` (or ``epochs`` ·
    ``steps_per_epoch``), then down to ``max_lr / div_factor / final_div_factor``, along half a cosine or a line
    (``anneal_strategy``). With ``three_phase`` the fall mirrors the rise first. Momentum (or Adam's first beta) falls
    from ``max_momentum`` to ``base_momentum`` and rises again, unless ``cycle_momentum`` is off.

    Raises ValueError for a step beyond ``total_steps``, and for an optimiser without a momentum to cycle.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self._attach(optimizer)
        self.total_steps = _total(total_steps, epochs, steps_per_epoch)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self.anneal_strategy = anneal_strategy
        rise = float(pct_start * self.total_steps) - 1
        self.ends = [rise, *[2 * rise] * three_phase, self.total_steps - 1]
        peaks = self._each("max_lr", max_lr)
        self._rates, self._momenta = [], []
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            start = peak / div_factor
            middle = [peak, start] if three_phase else [peak]
            self._rates.append([start, *middle, start / final_div_factor])
            if last_epoch == -1:
                group["initial_lr"] = start
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._begin_momentum(base_momentum, max_momentum, three_phase)
        super().__init__(optimizer, last_epoch)

    def _begin_momentum(self, low: float | Sequence[float], high: float | Sequence[float], three_phase: bool) -> None:
        defaults = self.optimizer.defaults
        if "momentum" not in defaults and "betas" not in defaults:
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
        lows, highs = self._each("base_momentum", low), self._each("max_momentum", high)
        for least, most in zip(lows, highs, strict=True):
            self._momenta.append([most, least, most, most] if three_phase else [most, least, most])

    def _each(self, name: str, value: float | Sequence[float]) -> list[float]:
        """One value a group."""
        count = len(self.optimizer.param_groups)
        values = list(value) if isinstance(value, (list, tuple)) else [value] * count
        if len(values) != count:
            raise ValueError(f"expected {count} values for {name}, got {len(values)}")
        return values

    def _between(self, corners: list[float], step: int) -> float:
        """The value at a step of a path whose phases end in ``corners``."""
        if step > self.total_steps - 1:
            raise ValueError(
                f"Tried to step {step + 1} times. The specified number of total steps is {self.total_steps}"
            )
        begin = 0.0
        for phase, end in enumerate(self.ends):
            if step <= end or phase == len(self.ends) - 1:
                share = (step - begin) / (end - begin) if end != begin else 1.0
                low, high = corners[phase], corners[phase + 1]
                if self.anneal_strategy == "linear":
                    return (high - low) * share + low
                return high + (low - high) / 2.0 * (1.0 + math.cos(math.pi * share))
            begin = end
        raise AssertionError("the last phase takes every step")

    def lr_at(self, base_lr: float, epoch: int) -> float:
        """The rate of the first group; ``base_lr`` is not used, for the peaks were given."""
        return self._between(self._rates[0], epoch)

    def get_lr(self) -> list[float]:
        for group, corners in zip(self.optimizer.param_groups, self._momenta, strict=False):
            momentum = self._between(corners, self.last_epoch)
            if "momentum" in group:
                group["momentum"] = momentum
            else:
                group["betas"] = (momentum, *group["betas"][1:])
        return [self._between(corners, self.last_epoch) for corners in self._rates]

    def restart(self) -> None:
        self.last_epoch = 0
        self._write(self.get_lr())

    _first_lr = get_lr


def _total(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is None:
        if epochs is None or steps_per_epoch is None:
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        for name, value in (("epochs", epochs), ("steps_per_epoch", steps_per_epoch)):
            if not isinstance(value, int) or value <= 0:
                raise ValueError(f"Expected positive integer {name}, but got {value}")
        return epochs * steps_per_epoch
    if not isinstance(total_steps, int) or total_steps <= 0:
        raise ValueError(f"Expected positive integer total_steps, but got {total_steps}")
    return total_steps
