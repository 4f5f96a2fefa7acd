"""One training step: forward, backward, update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from numbanet.autograd import is_captured
from numbanet.creation import from_numpy
from numbanet.graph import compile
from numbanet.nn import Module
from numbanet.nn._norm import TooFewValues
from numbanet.nn.utils import clip_grad_norm_, clip_grad_value_
from numbanet.optim import AveragedModel
from numbanet.tensor import Tensor
from numbanet.training.errors import ConfigError
from numbanet.training.forward import Carried, Forward
from numbanet.training.objective import Objective
from numbanet.training.replayed import Replayed

Result = tuple[list[Tensor], Carried]


@dataclass(frozen=True)
class Rules:
    """How a step treats gradients and weights beside the optimiser's own settings; 0 switches a limit off.

    ``parts`` a batch is computed in so many parts, whose gradients are added: the memory of one of them, and the
    gradient of the batch (batch norm excepted, which sees a part); ``clip_value`` then ``clip_norm`` limit the
    gradient; ``average`` follows the weights after each update.
    """

    parts: int = 1
    clip_value: float = 0.0
    clip_norm: float = 0.0
    average: AveragedModel | None = None


def single_sample(error: TooFewValues) -> ConfigError:
    """What to say where batch norm is given a single sample."""
    return ConfigError(
        f"batch norm needs more than one value of a channel ({error}): choose a batch_size that leaves no "
        "single sample over, and an accumulate whose parts have two samples or more"
    )


class TrainingStep:
    """``step(inputs, targets)`` updates the model once and returns the batch's loss.

    ``schedule(number)`` is the factor on the learning rate of the step with that number; :attr:`number` counts them
    and :attr:`last_rate` is the last one's learning rate. ``forward`` is how inputs go through the model where that is
    more than a call. A loss that is not finite is returned without an update, but for a replay, which has made it by
    then, and in either case does not count as a step.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Any,
        schedule: Callable[[int], float],
        lr: float,
        objective: Objective | None = None,
        rules: Rules | None = None,
        forward: Forward | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.schedule = schedule
        self.lr = lr
        self.objective = objective or Objective()
        self.rules = rules or Rules()
        self.forward = forward or Forward(model)
        self.number = 0
        self.last_rate = lr
        self._run: Callable[..., Result] = self.whole

    def replay(self, tell: Callable[[str], None]) -> None:
        """From now on record what a step does and replay it, to the same bits; ``tell`` hears of what cannot be."""
        self._run = Replayed(self.whole, tell)

    def check(self) -> None:
        """From now on raise NonFiniteError at the first operation that makes a NaN or an infinity."""
        self._run = compile(self.whole, check_nan=True)

    def __call__(self, inputs: Any, targets: Tensor) -> float:
        rate = self.lr * self.schedule(self.number)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses, carried = self._run(inputs, targets, self.forward.carried, self.factors(targets))
        value = sum([loss.item() for loss in losses])
        if math.isfinite(value):
            self.last_rate = rate
            self.forward.carried = carried
            self.number += 1
        return value

    def factors(self, targets: Tensor) -> list[Tensor]:
        """How much of the batch each part of it counts; nothing if it is not cut into parts."""
        if self.rules.parts == 1:
            return []
        share = self.objective.share
        shares = [share(targets[begin:end]) / share(targets) for begin, end in self._bounds(len(targets))]
        return [from_numpy(np.array(one, np.float32)) for one in shares]

    def _bounds(self, count: int) -> list[tuple[int, int]]:
        """Where the parts of so many samples begin and end."""
        bounds = [count * part // self.rules.parts for part in range(self.rules.parts + 1)]
        return [(begin, end) for begin, end in pairwise(bounds) if begin < end]

    def whole(self, inputs: Any, targets: Tensor, carried: Carried, factors: list[Tensor]) -> Result:
        """The step at the learning rate that is set: the losses of the parts of the batch, which add up to the batch's,
        and what is carried on."""
        self.optimizer.zero_grad()
        losses, after = [], carried
        for loss, after in self._losses(inputs, targets, carried, factors):  # noqa: B007 - the last one's goes on
            losses.append(loss)
            if not is_captured() and not math.isfinite(loss.item()):  # while it is recorded nobody looks
                return losses, carried
            loss.backward()
        self._update()
        return losses, after

    def _losses(
        self, inputs: Any, targets: Tensor, carried: Carried, factors: list[Tensor]
    ) -> Iterator[tuple[Tensor, Carried]]:
        if not factors:
            outputs, carried = self._outputs(inputs, carried)
            yield self.objective(outputs, targets), carried
            return
        for (begin, end), factor in zip(self._bounds(len(targets)), factors, strict=True):
            outputs, carried = self._outputs(inputs[begin:end], carried)
            loss = self.objective(outputs, targets[begin:end])
            yield loss * factor.to(loss.dtype), carried

    def _outputs(self, inputs: Any, carried: Carried) -> tuple[Tensor, Carried]:
        try:
            return self.forward.run(inputs, carried)
        except TooFewValues as error:
            raise single_sample(error) from None

    def _update(self) -> None:
        """The optimiser's update by the gradients that there are."""
        rules = self.rules
        if rules.clip_value:
            clip_grad_value_(self.model.parameters(), rules.clip_value)
        if rules.clip_norm:
            clip_grad_norm_(self.model.parameters(), rules.clip_norm)
        self.optimizer.step()
        if rules.average is not None:
            rules.average.update_parameters(self.model)
