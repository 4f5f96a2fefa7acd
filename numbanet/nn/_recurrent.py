"""What recurrent layers share: parameters, the walk through layers and directions, padded and packed sequences."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

from numbanet.autograd import apply
from numbanet.creation import cat, empty
from numbanet.nn import functional as F
from numbanet.nn import init
from numbanet.nn._lookup import lookup_of
from numbanet.nn.module import Module
from numbanet.nn.parameter import Parameter
from numbanet.nn.utils.rnn import PackedSequence, as_lengths, pack_padded_sequence, pad_packed_sequence
from numbanet.ops.recurrent import GATES, Recurrent
from numbanet.tensor import Tensor

States = Tensor | tuple[Tensor, Tensor]


class RNNBase(Module):
    """What recurrent layers share: parameters, the walk through layers and directions, padding and packing.

    ``mode`` names the formulas of :class:`numbanet.ops.recurrent.Recurrent`. Parameters start as U(−1/√h, 1/√h)."""

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: np.dtype | type | None = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self._check_settings()
        directions = 2 if bidirectional else 1
        for layer in range(num_layers):
            size = input_size if layer == 0 else directions * hidden_size
            for direction in range(directions):
                for name, shape in self._shapes(size).items():
                    self.register_parameter(_name(name, layer, direction), Parameter(empty(*shape, dtype=dtype)))
        self.reset_parameters()

    def _check_settings(self) -> None:
        for name in ("input_size", "hidden_size"):
            value = getattr(self, name)
            if not isinstance(value, int):
                raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
            if value <= 0:
                raise ValueError(f"{name} must be greater than zero")
        for name in ("bias", "batch_first"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} should be of type bool, got: {type(getattr(self, name)).__name__}")
        if self.num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if not 0 <= self.dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={self.dropout} and num_layers={self.num_layers}",
                stacklevel=4,
            )

    def _shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """The parameters of one direction of one layer."""
        return parameter_shapes(self.mode, input_size, self.hidden_size, self.bias)

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Does nothing: there for PyTorch's callers."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, a list for each direction of each layer."""
        return [
            [self._parameters[_name(name, layer, direction)] for name in self._shapes(1)]
            for layer in range(self.num_layers)
            for direction in range(2 if self.bidirectional else 1)
        ]

    # --- the walk -----------------------------------------------------------------------------------------------------
    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: States | None = None,
        lengths: Tensor | Sequence[int] | np.ndarray | None = None,
        *,
        reverse: bool = False,
    ) -> tuple[Tensor | PackedSequence, States]:
        """(output, state): the states of the last layer at all times, and those of all layers after the last time.

        input (t, b, i), or (b, t, i) if ``batch_first``, (t, i) for one sequence, or packed; hx and the state
        (layers · directions, b, h), a pair of them for an LSTM, None for zeros; output (t, b, directions · h).
        ``lengths`` (b,) says how long the sequences of a padded batch are: what lies beyond is not looked at, the
        output there is 0, and the state is that after the last element, as if the batch were packed. Numbers are
        checked to be 1 … t; a tensor, computed from tokens, is used as it is (0: nothing; beyond t: all).
        ``reverse`` goes through the sequences from the end (in both directions, if there are two).
        """
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError("a packed sequence knows its lengths: pass it without `lengths`")
            return self._forward_packed(input, hx, reverse)
        kind = type(self).__name__
        if input.ndim not in (2, 3):
            raise ValueError(f"{kind}: Expected input to be 2D or 3D, got {input.ndim}D instead")
        states = self._as_states(hx, input.ndim)
        single = input.ndim == 2
        lookup = None if single else self._lookup(input)
        if single:
            input = input.unsqueeze(0 if self.batch_first else 1)
        x = input.transpose(0, 1) if self.batch_first else input
        if lengths is not None and not isinstance(lengths, Tensor):
            lengths = x.new_tensor(as_lengths(lengths, x.shape[1], x.shape[0]))
        output, states = self._walk(x, states, lengths, reverse, lookup)
        output = output.transpose(0, 1) if self.batch_first else output
        if single:
            output = output.squeeze(0 if self.batch_first else 1)
            states = _as_given(tuple([state.squeeze(1) for state in _as_tuple(states)]))
        return output, states

    def _lookup(self, input: Tensor) -> tuple[Tensor, Tensor] | None:
        """(table, tokens (t, b)) if the input was looked up in a table of so few rows that their products with the
        weights are cheaper than those of the input."""
        found = lookup_of(input)
        if found is None or PLACES_A_ROW * found[0].shape[0] > found[1].numel():
            return None
        return found[0], found[1].T if self.batch_first else found[1]

    def _forward_packed(
        self, packed: PackedSequence, hx: States | None, reverse: bool
    ) -> tuple[PackedSequence, States]:
        """As PyTorch: the states come and go in the order before sorting."""
        data, sizes, order, back = packed
        if data.ndim != 2:
            raise RuntimeError(f"input must have 2 dimensions, got {data.ndim}")
        padded, lengths = pad_packed_sequence(PackedSequence(data, sizes))
        states = self._as_states(hx, 3)
        if order is not None and states is not None:
            states = _as_given(tuple([state[:, order] for state in _as_tuple(states)]))
        output, states = self._walk(padded, states, lengths.to(backend=data.backend), reverse)
        if back is not None:
            states = _as_given(tuple([state[:, back] for state in _as_tuple(states)]))
        return PackedSequence(pack_padded_sequence(output, lengths).data, sizes, order, back), states

    def _as_states(self, hx: States | None, ndim: int) -> States | None:
        """The initial states with a dimension for the batch. RuntimeError if their number of dimensions is wrong."""
        if hx is None:
            return None
        count = 2 if self.mode == "lstm" else 1
        states = _as_tuple(hx)
        if len(states) != count:
            wanted = "a pair (h_0, c_0)" if count == 2 else "one tensor"
            raise RuntimeError(f"{type(self).__name__}: hx should be {wanted}, got {len(states)} tensor(s)")
        for state in states:
            if state.ndim != ndim:
                kind = "batched" if ndim == 3 else "unbatched"
                raise RuntimeError(
                    f"For {kind} {ndim}-D input, hx should also be {ndim}-D but got {state.ndim}-D tensor"
                )
        if ndim == 2:
            states = tuple([state.unsqueeze(1) for state in states])
        return _as_given(states)

    def _walk(
        self,
        x: Tensor,
        hx: States | None,
        lengths: Tensor | None,
        reverse: bool,
        lookup: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, States]:
        """All layers and directions over x (t, b, i), with ``lookup`` = (table, tokens) if x is table[tokens]."""
        directions = 2 if self.bidirectional else 1
        shape = (self.num_layers * directions, x.shape[1], self.hidden_size)
        self._check_input(x, hx, shape)
        count = 2 if self.mode == "lstm" else 1
        given = _as_tuple(hx) if hx is not None else None
        lasts: list[list[Tensor]] = [[] for _ in range(count)]
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for direction in range(directions):
                number = layer * directions + direction
                states = [x.new_zeros(shape[1:])] * count if given is None else [state[number] for state in given]
                parameters = [self._parameters[_name(name, layer, direction)] for name in self._shapes(1)]
                results = walk(
                    self.mode, x, states, parameters, lengths, bool(direction) != reverse, None if layer else lookup
                )
                outputs.append(results[0])
                for last, result in zip(lasts, results[1 : 1 + count], strict=True):
                    last.append(result.unsqueeze(0))
            x = outputs[0] if directions == 1 else cat(outputs, 2)
        ends = tuple([last[0] if len(last) == 1 else cat(last) for last in lasts])
        return x, _as_given(ends)

    def _check_input(self, x: Tensor, hx: States | None, shape: tuple[int, int, int]) -> None:
        weight = next(iter(self._parameters.values()))
        if x.dtype != weight.dtype:
            raise ValueError(
                f"RNN input dtype ({x.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype}), or convert model: model.to({x.dtype})"
            )
        if x.shape[2] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {x.shape[2]}"
            )
        if x.shape[0] == 0:
            raise RuntimeError(f"{type(self).__name__}: Expected sequence length to be larger than 0 in RNN")
        for name, state in zip(
            ("hidden[0]", "hidden[1]") if self.mode == "lstm" else ("hidden",), _as_tuple(hx), strict=False
        ):
            if tuple(state.shape) != shape:
                raise RuntimeError(f"Expected {name} size {shape}, got {list(state.shape)}")

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        parts += [f"{name}={getattr(self, name)}" for name, usual in defaults.items() if getattr(self, name) != usual]
        return ", ".join(parts)


def _name(parameter: str, layer: int, direction: int) -> str:
    return f"{parameter}_l{layer}{'_reverse' if direction else ''}"


def _as_tuple(states: States | None) -> tuple[Tensor, ...]:
    return () if states is None else tuple(states) if isinstance(states, tuple | list) else (states,)


def _as_given(states: tuple[Tensor, ...]) -> States:
    """States as a layer takes and gives them."""
    return states if len(states) == 2 else states[0]


PLACES_A_ROW = 4
"""For how many places a table has at most one row where its products take the place of those of the input. There is
nothing to gain below 2, and at 2 layers of a few units lose."""
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
RESET_BEFORE_PARAMETERS = ("weight_x", "weight_h", "bias_x")
"""Of a GRU whose reset gate acts before the product: other names, so that no weights are taken for the other form's."""


def parameter_shapes(mode: str, input_size: int, hidden_size: int, bias: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parameters of one direction of one layer, in the order in which ``walk`` takes them."""
    rows = GATES[mode] * hidden_size
    shapes = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size), "bias_ih": (rows,), "bias_hh": (rows,)}
    names = RESET_BEFORE_PARAMETERS if mode == "gru_reset_before" else PARAMETERS
    named = dict(zip(names, list(shapes.values())[: len(names)], strict=True))
    return {name: shape for name, shape in named.items() if bias or len(shape) == 2}


def walk(
    mode: str,
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None = None,
    reverse: bool = False,
    lookup: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, ...]:
    """One direction of one layer over x (t, b, i), which may be table[tokens]: (output, h_n[, c_n], …)."""
    weights, given = parameters[:2], list(zip(PARAMETERS[2:], parameters[2:], strict=False))
    if lengths is not None:
        given.append(("lengths", lengths))
    if lookup is not None:
        given += zip(("table", "tokens"), lookup, strict=True)
    op = Recurrent(mode, reverse, tuple([name for name, _ in given]))
    return apply(op, x, *weights, *states, *[value for _, value in given])


def add_forget_bias(module: Module, value: float, hidden: int) -> None:
    """Add a value to the forget gate's part of every bias of the inputs."""
    for name, parameter in module.named_parameters():
        if value and name.startswith("bias_ih"):
            parameter.data[hidden : 2 * hidden].add_(value)


def refuse_other_form(reset_after: bool, state_dict: dict, prefix: str, errors: list[str]) -> None:
    """Add an error if a state holds the weights of a GRU whose reset gate acts elsewhere."""
    other = prefix + ("weight_h" if reset_after else "weight_hh")
    if other in state_dict or f"{other}_l0" in state_dict:
        has, wants = ("before", "after") if reset_after else ("after", "before")
        errors.append(
            f"these are weights of a GRU whose reset gate acts {has} the product with the state (PyTorch's acts after "
            f"it), but this one's acts {wants} it: they mean something else. Build it with "
            f"reset_after={not reset_after}."
        )
