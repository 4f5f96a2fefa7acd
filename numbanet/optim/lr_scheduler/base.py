"""The base class of schedules, and the schedule that a function of the user's gives."""

from __future__ import annotations

import copy
import types
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from numbanet.optim.optimizer import Optimizer


class LRScheduler:
    """Base class. Making a scheduler sets the rates of epoch 0; ``step()``, after the optimiser's, sets the next.

    ``last_epoch`` other than −1 continues there: the groups must have "initial_lr" (a loaded optimiser state does).
    A derived class gives :meth:`lr_at`, the formula, and :meth:`get_lr`, the step.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self._attach(optimizer)
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{index}] when resuming scheduler with "
                    "last_epoch >= 0; load the optimizer's state first, or leave last_epoch at -1"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        self._step_count = 1
        if self.last_epoch == 0:
            self._write(self._first_lr())
        else:
            self._write([group["lr"] for group in optimizer.param_groups])

    def _attach(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer

    def lr_at(self, base_lr: float, epoch: int) -> float:
        """The rate of ``epoch`` when nothing else changes the rates."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        """The rates of ``last_epoch``, from those of the epoch before."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """The rates that are set now, one a group."""
        return self._last_lr

    def step(self) -> None:
        """Go to the next epoch; call it after ``optimizer.step()``."""
        # Optimisers with a step of their own do not say whether they stepped.
        if self._step_count == 1 and type(self.optimizer).step is Optimizer.step and not self.optimizer._stepped:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in the opposite order: "
                "else the first value of the learning rate schedule is skipped.",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        self.last_epoch += 1
        self._write(self.get_lr())

    def restart(self) -> None:
        """Go (back) to epoch 0 of this schedule, whatever the rates are now."""
        self.last_epoch = 0
        self._write([self.lr_at(base_lr, 0) for base_lr in self.base_lrs])

    def _first_lr(self) -> list[float]:
        """The rates of epoch 0 when the scheduler is made."""
        return self._scaled(self.lr_at(1.0, 0))

    def _write(self, rates: Iterable[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> list[float]:
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser, as plain numbers and lists."""
        return {name: copy.deepcopy(value) for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave (the rates themselves are in the optimiser's state)."""
        vars(self).update(copy.deepcopy(state_dict))


class LambdaLR(LRScheduler):
    """``base_lr · f(epoch)`` for a function, or one function a group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self._attach(optimizer)
        count = len(optimizer.param_groups)
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * count
        if len(self.lr_lambdas) != count:
            raise ValueError(f"Expected {count} lr_lambdas, but got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [
            base_lr * function(self.last_epoch)
            for function, base_lr in zip(self.lr_lambdas, self.base_lrs, strict=True)
        ]

    def restart(self) -> None:
        self.last_epoch = 0
        self._write(self.get_lr())

    _first_lr = get_lr

    def state_dict(self) -> dict[str, Any]:
        """As the base class's; of the functions only callable objects have state (None for plain functions)."""
        state = {name: copy.deepcopy(v) for name, v in vars(self).items() if name not in ("optimizer", "lr_lambdas")}
        state["lr_lambdas"] = [
            None if isinstance(function, (types.FunctionType, types.BuiltinFunctionType)) else vars(function).copy()
            for function in self.lr_lambdas
        ]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = copy.deepcopy(state_dict)
        for function, values in zip(self.lr_lambdas, state.pop("lr_lambdas"), strict=True):
            if values is not None:
                vars(function).update(values)
        vars(self).update(state)


def positive(name: str, value: int) -> int:
    """``value``, or ValueError."""
    if value <= 0:
        raise ValueError(f"{name} must be positive, but got {value}")
    return value
