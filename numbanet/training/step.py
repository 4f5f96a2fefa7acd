"""One training step: forward, backward, update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from numbanet.nn import Module
from numbanet.nn._norm import TooFewValues
from numbanet.nn.utils import clip_grad_norm_, clip_grad_value_
from numbanet.optim import AveragedModel
from numbanet.tensor import Tensor
from numbanet.training.errors import ConfigError
from numbanet.training.objective import Objective


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


class TrainingStep:
    """``step(inputs, targets)`` updates the model once and returns the batch's loss.

    ``schedule(number)`` is the factor on the learning rate of the step with that number; :attr:`number` counts them
    and :attr:`last_rate` is the last one's learning rate. ``forward`` is how inputs go through the model where that is
    more than a call. A loss that is not finite is returned without an update.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Any,
        schedule: Callable[[int], float],
        lr: float,
        objective: Objective | None = None,
        rules: Rules | None = None,
        forward: Callable[[Any], Tensor] | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.schedule = schedule
        self.lr = lr
        self.objective = objective or Objective()
        self.rules = rules or Rules()
        self.forward = forward or model
        self.number = 0
        self.last_rate = lr

    def __call__(self, inputs: Tensor, targets: Tensor) -> float:
        self.optimizer.zero_grad()
        value = 0.0
        for loss in self.losses(inputs, targets):
            value += loss.item()
            if not math.isfinite(value):
                return value
            loss.backward()
        self.update()
        return value

    def losses(self, inputs: Tensor, targets: Tensor) -> Iterator[Tensor]:
        """The losses of the parts of a batch, which add up to the batch's."""
        if self.rules.parts == 1:
            yield self.objective(self._outputs(inputs), targets)
            return
        whole, count = self.objective.share(targets), len(targets)
        bounds = [count * part // self.rules.parts for part in range(self.rules.parts + 1)]
        for begin, end in pairwise(bounds):
            if begin < end:
                part = targets[begin:end]
                yield self.objective(self._outputs(inputs[begin:end]), part) * (self.objective.share(part) / whole)

    def _outputs(self, inputs: Any) -> Tensor:
        try:
            return self.forward(inputs)
        except TooFewValues as error:
            raise ConfigError(
                f"batch norm needs more than one value of a channel ({error}): choose a batch_size that leaves no "
                "single sample over, and an accumulate whose parts have two samples or more"
            ) from None

    def update(self) -> None:
        """The optimiser's update by the gradients that there are, at this step's learning rate."""
        rules = self.rules
        if rules.clip_value:
            clip_grad_value_(self.model.parameters(), rules.clip_value)
        if rules.clip_norm:
            clip_grad_norm_(self.model.parameters(), rules.clip_norm)
        rate = self.last_rate = self.lr * self.schedule(self.number)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        if rules.average is not None:
            rules.average.update_parameters(self.model)
        self.number += 1
