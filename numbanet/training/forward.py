"""From a batch's inputs to outputs, for each kind of model; what is carried from one batch to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numbanet.creation import from_numpy
from numbanet.nn import Module
from numbanet.tensor import Tensor

Carried = tuple[Tensor, ...] | None


class Forward:
    """``forward(inputs)`` is ``model(*inputs)`` for a tuple of inputs, else ``model(inputs)``.

    ``carried`` is what the next batch needs to know of the ones before, as tensors; None if nothing. :meth:`run` is the
    same with what is carried as an argument and a result, so that a recorded step has it for an input."""

    carried: Carried = None

    def __init__(self, model: Module) -> None:
        self.model = model

    def __call__(self, inputs: Any) -> Tensor:
        outputs, self.carried = self.run(inputs, self.carried)
        return outputs

    def run(self, inputs: Any, carried: Carried) -> tuple[Tensor, Carried]:
        """Outputs, and what is carried on."""
        return self.model(*inputs) if isinstance(inputs, tuple | list) else self.model(inputs), carried

    def begin_epoch(self) -> None:
        """An epoch begins, with nothing carried."""
        self.carried = None

    def load_state_dict(self, state: Sequence[np.ndarray] | None) -> None:
        """Take up what :attr:`carried` was, with arrays in the place of tensors."""
        self.carried = None if state is None else tuple(from_numpy(np.array(one)) for one in state)


class CarriedState(Forward):
    """A recurrent language model, ``model(tokens, state) -> (logits, state)``, on windows that follow each other.

    The state goes on to the next window without its history: gradients end at the window's beginning (truncated
    back-propagation through time). An epoch begins without one.
    """

    def __init__(self, model: Module) -> None:
        super().__init__(model)
        self._state = type(model.start(1))

    def run(self, inputs: Tensor, carried: Carried) -> tuple[Tensor, Carried]:
        logits, state = self.model(inputs, None if carried is None else self._state(carried))
        return logits, state.detach().layers
