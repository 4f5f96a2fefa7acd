"""From a batch's inputs to logits, for each kind of model; what is carried from one batch to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numbanet.creation import from_numpy
from numbanet.nn import Module
from numbanet.tensor import Tensor


class Forward:
    """``forward(inputs)`` is ``model(*inputs)`` for a tuple of inputs, else ``model(inputs)``; nothing is carried."""

    def __init__(self, model: Module) -> None:
        self.model = model

    def __call__(self, inputs: Any) -> Tensor:
        return self.model(*inputs) if isinstance(inputs, tuple | list) else self.model(inputs)

    def begin_epoch(self) -> None:
        """An epoch begins."""

    def state_dict(self) -> Any:
        """What the next batch needs to know of the ones before, as tensors; None if nothing."""
        return None

    def load_state_dict(self, state: Any) -> None:
        """Take up what :meth:`state_dict` gave, with arrays in the place of tensors."""


class CarriedState(Forward):
    """A recurrent language model, ``model(tokens, state) -> (logits, state)``, on windows that follow each other.

    The state goes on to the next window without its history: gradients end at the window's beginning (truncated
    back-propagation through time). An epoch begins without one.
    """

    def __init__(self, model: Module) -> None:
        super().__init__(model)
        self.state: Any = None

    def __call__(self, inputs: Tensor) -> Tensor:
        logits, state = self.model(inputs, self.state)
        self.state = state.detach()
        return logits

    def begin_epoch(self) -> None:
        self.state = None

    def state_dict(self) -> tuple[Tensor, ...] | None:
        return None if self.state is None else self.state.layers

    def load_state_dict(self, state: Sequence[np.ndarray] | None) -> None:
        if state is None:
            self.state = None
            return
        self.state = self.model.start(1)  # of the right class; its numbers are replaced
        self.state.layers = tuple(from_numpy(np.array(layer)) for layer in state)
