"""An exponential moving average of a model's weights."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

from numbanet.autograd import no_grad, undo_list, update_number, with_numbers
from numbanet.ops.optim import average_update
from numbanet.optim.optimizer import HyperSlot


class AveragedModel:
    """A copy of a model whose weights follow the model's: ``a ← d·a + (1 − d)·w`` with each :meth:`update_parameters`.

    After n updates d is ``min(decay, (1 + n) / (10 + n))``, so that the first weights are soon forgotten; ``decay``
    itself from the start with ``warmup=False`` (PyTorch's ``get_ema_multi_avg_fn``). Buffers, such as running
    statistics, are copied. :attr:`module` is the copy, to evaluate or save; it needs no gradients.

    Raises ValueError for a decay outside [0, 1).
    """

    def __init__(self, model: Any, decay: float = 0.999, warmup: bool = True) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay must be at least 0 and below 1, but got {decay}")
        self.decay, self.warmup = decay, warmup
        self.module = copy.deepcopy(model)
        for parameter in self.module.parameters():
            parameter.requires_grad_(False)
        self.n_averaged = 0
        self._slots: dict[Any, HyperSlot] = {}

    def update_parameters(self, model: Any) -> None:
        """Take one step towards the weights that ``model`` has now."""
        with_numbers(partial(self._update, model))
        with no_grad():
            for kept, value in zip(self.module.buffers(), model.buffers(), strict=True):
                kept.copy_(value)

    def _update(self, model: Any) -> None:
        decay = min(self.decay, (1 + self.n_averaged) / (10 + self.n_averaged)) if self.warmup else self.decay
        by_dtype: dict[Any, tuple[list, list]] = {}
        for average, value in zip(self.module.parameters(), model.parameters(), strict=True):
            averages, values = by_dtype.setdefault(average.dtype, ([], []))
            averages.append(average)
            values.append(value)
        with no_grad():
            for dtype, (averages, values) in by_dtype.items():
                key = update_number(), dtype
                if key not in self._slots:
                    self._slots[key] = HyperSlot(averages[0], 1)
                average_update(averages, values, self._slots[key].write((decay,)))
        undo = undo_list()
        if undo is not None:
            undo.append(partial(setattr, self, "n_averaged", self.n_averaged))
        self.n_averaged += 1

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights, and how many updates there were."""
        return {"module": dict(self.module.state_dict()), "n_averaged": self.n_averaged}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.module.load_state_dict(state["module"])
        self.n_averaged = int(state["n_averaged"])
