"""Learning-rate schedules: the factor on ``lr`` as a function of how far training has come."""

from __future__ import annotations

import math

from numbanet.training.config import Config


class Schedule:
    """``schedule(step)`` is the factor on the learning rate for the training step with that number, from 0.

    With w warm-up steps and n steps in all, t = (step − w) / (n − w):
    warm-up (step + 1) / (w + 1); then cosine f + (1 − f)·(1 + cos πt)/2, linear f + (1 − f)·(1 − t), step
    decay_factor^⌊epoch / decay_epochs⌋, constant 1, where f is ``final_lr``. A function of the step alone, so that a
    run that goes on follows the same curve to the bit.
    """

    def __init__(self, config: Config, steps_per_epoch: int) -> None:
        self.kind = config.schedule
        self.final = config.final_lr
        self.steps = config.epochs * steps_per_epoch
        self.warmup = round(config.warmup_epochs * steps_per_epoch)
        self.decay_steps = config.decay_epochs * steps_per_epoch
        self.decay_factor = config.decay_factor

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        if self.kind == "constant":
            return 1.0
        if self.kind == "step":
            return self.decay_factor ** (step // self.decay_steps)
        t = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        shape = (1 + math.cos(math.pi * t)) / 2 if self.kind == "cosine" else 1 - t
        return self.final + (1 - self.final) * shape


def effect_of_epochs(old: Config, new: Config) -> str | None:
    """A word on what another number of epochs does to the learning rate of a run that goes on, or None."""
    if old.epochs == new.epochs:
        return None
    change = f"epochs changed from {old.epochs} to {new.epochs}"
    if new.schedule in ("constant", "step"):
        return f"{change}; the {new.schedule} schedule does not depend on it"
    return (
        f"{change}: the {new.schedule} schedule now ends at epoch {new.epochs}, so the learning rate jumps to the new "
        f"curve and the result is not that of {new.epochs} epochs from the start"
    )
