"""From a batch's inputs to logits, for each kind of model; what is carried from one batch to the next."""

from __future__ import annotations

import inspect
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


class Lengths(Forward):
    """A model of texts of different lengths: ``model(tokens, lengths)``, or ``model(tokens)`` if it takes none."""

    def __init__(self, model: Module) -> None:
        super().__init__(model)
        self.takes_lengths = len(inspect.signature(model.forward).parameters) > 1

    def __call__(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        return self.model(*inputs) if self.takes_lengths else self.model(inputs[0])


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
        self.state = each_tensor(state, lambda tensor: tensor.detach())
        return logits

    def begin_epoch(self) -> None:
        self.state = None

    def state_dict(self) -> Any:
        return self.state

    def load_state_dict(self, state: Any) -> None:
        self.state = each_tensor(state, from_numpy)


def each_tensor(state: Any, function: Any) -> Any:
    """A state (nested tuples, lists and dicts of tensors or arrays) with ``function`` applied to each of them."""
    if isinstance(state, Tensor | np.ndarray):
        return function(state)
    if isinstance(state, tuple | list):
        return type(state)(each_tensor(part, function) for part in state)
    if isinstance(state, dict):
        return {key: each_tensor(part, function) for key, part in state.items()}
    return state
