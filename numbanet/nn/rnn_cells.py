"""Recurrent cells: one step of one layer."""

from __future__ import annotations

import math

import numpy as np

from numbanet.creation import empty
from numbanet.nn import init
from numbanet.nn._recurrent import add_forget_bias, parameter_shapes, refuse_other_form, walk
from numbanet.nn.module import Module
from numbanet.nn.parameter import Parameter
from numbanet.tensor import Tensor


class RNNCellBase(Module):
    """What cells share. Parameters start as U(−1/√h, 1/√h)."""

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, bias: bool, dtype: np.dtype | type | None = None
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        for name, shape in parameter_shapes(mode, input_size, hidden_size, bias).items():
            self.register_parameter(name, Parameter(empty(*shape, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _step(self, input: Tensor, states: tuple[Tensor, ...] | None, count: int) -> tuple[Tensor, ...]:
        """The new states of a batch (b, i) or of one element (i,)."""
        kind = type(self).__name__
        if input.ndim not in (1, 2):
            raise ValueError(f"{kind}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        x = input.unsqueeze(0) if input.ndim == 1 else input
        if states is None:
            states = (x.new_zeros((x.shape[0], self.hidden_size)),) * count
        else:
            for state in states:
                if state.ndim != input.ndim:
                    raise ValueError(f"{kind}: Expected hidden to be {input.ndim}D, got {state.ndim}D instead")
            states = tuple([state.unsqueeze(0) if input.ndim == 1 else state for state in states])
        results = walk(self.mode, x.unsqueeze(0), states, tuple(self._parameters.values()))[1 : 1 + count]
        return tuple([result.squeeze(0) if input.ndim == 1 else result for result in results])

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else f", bias={self.bias}")


class RNNCell(RNNCellBase):
    """h′ = tanh(W x + b + U h + b′), or max(·, 0) with ``nonlinearity="relu"``: one step of :class:`RNN`.

    Weights and biases are called weight_ih, weight_hh, bias_ih, bias_hh. As ``torch.nn.RNNCell``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        dtype: np.dtype | type | None = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {nonlinearity}")
        self.nonlinearity = nonlinearity
        super().__init__(f"rnn_{nonlinearity}", input_size, hidden_size, bias, dtype)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """h′ (b, h) from input (b, i) and hx (b, h), None for zeros; or the same without b."""
        return self._step(input, None if hx is None else (hx,), 1)[0]


class LSTMCell(RNNCellBase):
    """One step of :class:`LSTM`; ``forget_bias`` as there. As ``torch.nn.LSTMCell``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        dtype: np.dtype | type | None = None,
        *,
        forget_bias: float = 0.0,
    ) -> None:
        if forget_bias and not bias:
            raise ValueError("forget_bias needs bias=True")
        self.forget_bias = forget_bias
        super().__init__("lstm", input_size, hidden_size, bias, dtype)

    def reset_parameters(self) -> None:
        """Draw all parameters anew, and add ``forget_bias``."""
        super().reset_parameters()
        add_forget_bias(self, self.forget_bias, self.hidden_size)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """(h′, c′), each (b, h), from input (b, i) and hx = (h, c), None for zeros; or the same without b."""
        h, c = self._step(input, None if hx is None else tuple(hx), 2)
        return h, c


class GRUCell(RNNCellBase):
    """One step of :class:`GRU`; ``reset_after`` as there. As ``torch.nn.GRUCell``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        dtype: np.dtype | type | None = None,
        *,
        reset_after: bool = True,
    ) -> None:
        self.reset_after = reset_after
        super().__init__("gru" if reset_after else "gru_reset_before", input_size, hidden_size, bias, dtype)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest: object) -> None:
        refuse_other_form(self.reset_after, state_dict, prefix, rest[-1])
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """h′ (b, h) from input (b, i) and hx (b, h), None for zeros; or the same without b."""
        return self._step(input, None if hx is None else (hx,), 1)[0]
