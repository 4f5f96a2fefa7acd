"""Learning-rate schedules: the factor on ``lr`` as a function of how far training has come (LECTURE row L15)."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from numbanet.training.config import Config
from numbanet.training.monitor import drops_on_plateau

INDEPENDENT = ("constant", "step", "exponential", "inverse_sqrt", "plateau")
"""Schedules to which it makes no difference how many epochs there are."""
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_RISE = 0.3


class Schedule:
    """``schedule(step)`` is the factor on the learning rate for the training step with that number, from 0.

    With w warm-up steps and n steps in all, t = (step − w) / (n − w), f = ``final_lr``, d = ``decay_factor``:
    warm-up (step + 1) / (w + 1), in front of any; then

    ============  ====================================================================================================
    constant      1
    step          d^⌊epoch / decay_epochs⌋
    multistep     d^(how many ``milestones`` are behind); milestones are epochs
    exponential   d^((epoch − warm-up) / decay_epochs), smoothly
    polynomial    f + (1 − f)·(1 − t)^power
    linear        f + (1 − f)·(1 − t)
    cosine        f + (1 − f)·(1 + cos πt)/2
    inverse_sqrt  √((w + 1) / (step + 1)), the Transformer's
    one_cycle     up from 1/25 along half a cosine, for the warm-up (30 % of the steps if there is none), then cosine
    plateau       d^(how often the loss of validation, else of training, was not lower for more than patience epochs)
    ============  ====================================================================================================

    A function of the step, and for plateau of the epochs' lines (:meth:`see`), so that a run that goes on follows the
    same curve to the bit.
    """

    def __init__(self, config: Config, steps_per_epoch: int) -> None:
        self.config = config
        self.kind = config.schedule
        self.final = config.final_lr
        self.steps = config.epochs * steps_per_epoch
        self.warmup = round(config.warmup_epochs * steps_per_epoch)
        if self.kind == "one_cycle" and not self.warmup:
            self.warmup = round(ONE_CYCLE_RISE * self.steps)
        self.decay_steps = config.decay_epochs * steps_per_epoch
        milestones = config.milestones or (config.epochs / 2, config.epochs * 3 / 4)
        self.milestones = sorted(round(epoch * steps_per_epoch) for epoch in milestones)
        self.drops = 0

    def see(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take note of the epochs that are done, on which plateau depends."""
        if self.kind == "plateau":
            self.drops = drops_on_plateau(rows, self.config.patience)

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            if self.kind == "one_cycle":
                return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * (1 - math.cos(math.pi * step / self.warmup)) / 2
            return (step + 1) / (self.warmup + 1)
        factor = self.config.decay_factor
        if self.kind == "constant":
            return 1.0
        if self.kind == "step":
            return factor ** (step // self.decay_steps)
        if self.kind == "multistep":
            return factor ** bisect_right(self.milestones, step)
        if self.kind == "exponential":
            return factor ** ((step - self.warmup) / self.decay_steps)
        if self.kind == "plateau":
            return factor**self.drops
        if self.kind == "inverse_sqrt":
            return math.sqrt((self.warmup + 1) / (step + 1))
        return self.final + (1 - self.final) * self._shape(step)

    def _shape(self, step: int) -> float:
        """How the schedules that end with the run fall from 1 to 0."""
        t = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        if self.kind == "polynomial":
            return (1 - t) ** self.config.power
        return 1 - t if self.kind == "linear" else (1 + math.cos(math.pi * t)) / 2


def effect_of_epochs(old: Config, new: Config) -> str | None:
    """A word on what another number of epochs does to the learning rate of a run that goes on, or None."""
    if old.epochs == new.epochs:
        return None
    change = f"epochs changed from {old.epochs} to {new.epochs}"
    if new.schedule in INDEPENDENT or (new.schedule == "multistep" and new.milestones):
        return f"{change}; the {new.schedule} schedule does not depend on it"
    return (
        f"{change}: the {new.schedule} schedule now ends at epoch {new.epochs}, so the learning rate jumps to the new "
        f"curve and the result is not that of {new.epochs} epochs from the start"
    )
