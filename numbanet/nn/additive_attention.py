"""Additive attention (Bahdanau et al. 2014; LECTURE row L34)."""

from __future__ import annotations

import numpy as np

from numbanet.autograd import apply
from numbanet.creation import cat, stack
from numbanet.nn.linear import Linear
from numbanet.nn.module import Module
from numbanet.nn.rnn_cells import GRUCell
from numbanet.ops.additive_decoder import AdditiveDecoder
from numbanet.tensor import Tensor

HIDDEN = -1e30
"""The score of what is not looked at: finite, so that a row of nothing else has weights, which are then set to 0."""


def _hidden(keys: Tensor, key_padding_mask: Tensor | None, lengths: Tensor | None) -> Tensor | None:
    """(b, n): where keys are left out, for either reason."""
    if lengths is None:
        return key_padding_mask
    beyond = keys.new_arange(keys.shape[1]) >= lengths.unsqueeze(1)
    return beyond if key_padding_mask is None else key_padding_mask.logical_or(beyond)


class BahdanauAttention(Module):
    """a = softmax over i of vᵀ tanh(W s + U h_i), c = Σ_i a_i h_i, for a query s and keys h_1 … h_n.

    W is ``query`` (a linear layer without a bias), U ``key`` (with one), v ``score``; the tanh is of ``hidden_size``
    numbers. Dzmitry Bahdanau, Kyunghyun Cho and Yoshua Bengio 2014, "Neural machine translation by jointly learning to
    align and translate".
    """

    def __init__(self, query_size: int, key_size: int, hidden_size: int, dtype: np.dtype | type | None = None) -> None:
        super().__init__()
        self.query_size = query_size
        self.key_size = key_size
        self.hidden_size = hidden_size
        self.query = Linear(query_size, hidden_size, bias=False, dtype=dtype)
        self.key = Linear(key_size, hidden_size, dtype=dtype)
        self.score = Linear(hidden_size, 1, bias=False, dtype=dtype)

    def forward(
        self,
        query: Tensor,
        keys: Tensor,
        key_padding_mask: Tensor | None = None,
        lengths: Tensor | None = None,
        projected: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(c, a): contexts (b, key_size) and weights (b, n) for queries (b, query_size) and keys (b, n, key_size).

        Queries (b, m, query_size) give (b, m, …). Keys are left out where ``key_padding_mask`` (b, n) is True, or from
        ``lengths`` (b,) on; a row without any has weights and a context of exactly 0, and so are its gradients.
        ``projected`` is ``self.key(keys)``, for many queries one after the other.
        """
        self._check(query, keys, key_padding_mask, lengths)
        hidden = _hidden(keys, key_padding_mask, lengths)
        projected = self.key(keys) if projected is None else projected
        if query.ndim == 2:
            scores = self.score((self.query(query).unsqueeze(1) + projected).tanh()).squeeze(2)
        else:
            scores = self.score((self.query(query).unsqueeze(2) + projected.unsqueeze(1)).tanh()).squeeze(3)
        if hidden is None:
            weights = scores.softmax(-1)
        else:
            hidden = hidden if query.ndim == 2 else hidden.unsqueeze(1)
            weights = scores.masked_fill(hidden, HIDDEN).softmax(-1).masked_fill(hidden, 0.0)
        if query.ndim == 2:
            return (weights.unsqueeze(1) @ keys).squeeze(1), weights
        return weights @ keys, weights

    def decode(
        self,
        cell: Module,
        words: Tensor,
        state: Tensor,
        keys: Tensor,
        key_padding_mask: Tensor | None = None,
        lengths: Tensor | None = None,
        projected: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(s, c, a): states (t, b, d), contexts (t, b, key_size) and weights (t, b, n) of a decoder that looks at the
        keys (b, n, key_size) before each of its words (t, b, e), from the state s_0 (b, d) on:

        c_t, a_t = self(s_{t−1}, keys), s_t = cell([y_t, c_t], s_{t−1}).

        ``cell`` gives a state from (input, state). With a :class:`GRUCell`, of either form, all steps are one op,
        whatever t is, unless a hook wants to see them. The rest is as for :meth:`forward`.
        """
        if words.ndim != 3 or words.shape[0] == 0:
            raise RuntimeError(f"BahdanauAttention.decode takes words (t, b, e), t > 0, got {tuple(words.shape)}")
        self._check(state, keys, key_padding_mask, lengths)
        hidden = _hidden(keys, key_padding_mask, lengths)
        projected = self.key(keys) if projected is None else projected
        if not self._is_one_op_with(cell):
            return self._step_by_step(cell, words, state, keys, hidden, projected)
        parameters = tuple(cell._parameters.values())
        others = {"hidden": hidden, **dict(zip(("bias_ih", "bias_hh"), parameters[2:], strict=False))}
        given = {name: value for name, value in others.items() if value is not None}
        op = AdditiveDecoder(cell.mode, tuple(given))
        weights = (self.query.weight, self.score.weight, *parameters[:2])
        return apply(op, words, keys, projected, state, *weights, *given.values())[:3]

    def _is_one_op_with(self, cell: Module) -> bool:
        """Whether an op does what the modules do, and nobody would miss the values in between (hooks would)."""
        modules = self, self.query, self.score, cell
        kinds = BahdanauAttention, Linear, Linear, GRUCell
        return all(
            type(module) is kind and not module.has_call_hooks for module, kind in zip(modules, kinds, strict=True)
        )

    def _step_by_step(
        self, cell: Module, words: Tensor, state: Tensor, keys: Tensor, hidden: Tensor | None, projected: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """``decode`` by calls of the modules."""
        found = []
        for word in words:
            context, weights = self(state, keys, hidden, projected=projected)
            state = cell(cat([word, context], 1), state)
            found.append((state, context, weights))
        return tuple([stack(ones) for ones in zip(*found, strict=True)])

    def _check(self, query: Tensor, keys: Tensor, mask: Tensor | None, lengths: Tensor | None) -> None:
        wanted = f"queries (b, {self.query_size}) or (b, m, {self.query_size}) and keys (b, n, {self.key_size})"
        fits = query.ndim in (2, 3) and keys.ndim == 3 and query.shape[0] == keys.shape[0]
        if not fits or query.shape[-1] != self.query_size or keys.shape[2] != self.key_size:
            raise RuntimeError(f"BahdanauAttention takes {wanted}, got {tuple(query.shape)} and {tuple(keys.shape)}")
        if mask is not None and tuple(mask.shape) != tuple(keys.shape[:2]):
            raise RuntimeError(
                f"key_padding_mask should be of shape {tuple(keys.shape[:2])}, as the keys, got {tuple(mask.shape)}"
            )
        if lengths is not None and tuple(lengths.shape) != (keys.shape[0],):
            raise RuntimeError(f"lengths should be of shape ({keys.shape[0]},), got {tuple(lengths.shape)}")

    def extra_repr(self) -> str:
        return f"{self.query_size}, {self.key_size}, {self.hidden_size}"
