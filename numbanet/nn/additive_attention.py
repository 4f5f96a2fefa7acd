"""Additive attention (Bahdanau et al. 2014; LECTURE row L34)."""

from __future__ import annotations

import numpy as np

from numbanet.nn.linear import Linear
from numbanet.nn.module import Module
from numbanet.tensor import Tensor

HIDDEN = -1e30
"""The score of what is not looked at: finite, so that a row of nothing else has weights, which are then set to 0."""


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
        projected = self.key(keys) if projected is None else projected
        if query.ndim == 2:
            scores = self.score((self.query(query).unsqueeze(1) + projected).tanh()).squeeze(2)
        else:
            scores = self.score((self.query(query).unsqueeze(2) + projected.unsqueeze(1)).tanh()).squeeze(3)
        hidden = key_padding_mask
        if lengths is not None:
            beyond = keys.new_arange(keys.shape[1]) >= lengths.unsqueeze(1)
            hidden = beyond if hidden is None else hidden.logical_or(beyond)
        if hidden is None:
            weights = scores.softmax(-1)
        else:
            hidden = hidden if query.ndim == 2 else hidden.unsqueeze(1)
            weights = scores.masked_fill(hidden, HIDDEN).softmax(-1).masked_fill(hidden, 0.0)
        if query.ndim == 2:
            return (weights.unsqueeze(1) @ keys).squeeze(1), weights
        return weights @ keys, weights

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
