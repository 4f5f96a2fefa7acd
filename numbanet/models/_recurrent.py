"""What recurrent models share: their state from one part of a text to the next, and the lengths of padded texts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numbanet import nn
from numbanet.tensor import Tensor


class RecurrentState:
    """What a recurrent model carries on: ``layers``, tensors (layers, batch, hidden), and of an encoder ``memory``,
    tensors (batch, …).

    ``step`` moves a state on; ``forward`` takes one and gives a new one."""

    def __init__(self, layers: tuple[Tensor, ...], memory: tuple[Tensor, ...] = ()) -> None:
        self.layers = layers
        self.memory = memory

    def detach(self) -> RecurrentState:
        """The same numbers without their history: where back-propagation through time is cut."""
        return RecurrentState(
            tuple([one.detach() for one in self.layers]), tuple([one.detach() for one in self.memory])
        )

    def select(self, rows: np.ndarray | Tensor) -> None:
        """Go on with the texts of these numbers, in this order; beam search repeats and drops some."""
        rows = rows if isinstance(rows, Tensor) else self.layers[0].new_tensor(np.asarray(rows, np.int64))
        self.layers = tuple([one[:, rows] for one in self.layers])
        self.memory = tuple([one[rows] for one in self.memory])


CELLS: dict[str, Callable[..., nn.Module]] = {
    "rnn": nn.RNN,
    "lstm": nn.LSTM,
    "gru": lambda *sizes, **options: nn.GRU(*sizes, reset_after=False, **options),
    "gru_reset_after": nn.GRU,
}
"""Recurrent layers by name; ``gru`` is the lecture's (row L32), ``gru_reset_after`` PyTorch's."""


def lengths_of(tokens: Tensor, padding: int) -> Tensor:
    """(batch,) int64: up to and with the last token that is not ``padding``, of tokens (batch, length)."""
    shown = (tokens != padding).to(np.float32)
    return (shown * (tokens.new_arange(tokens.shape[1]) + 1).to(np.float32)).amax(1).to(np.int64)


def as_tuple(states: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The states of a layer as a tuple."""
    return states if isinstance(states, tuple) else (states,)


def as_given(states: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """A tuple of states as a layer takes them."""
    return states if len(states) > 1 else states[0]
