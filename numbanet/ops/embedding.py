"""Lookup of rows by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numbanet.autograd import apply
from numbanet.ops.base import INT64, Op, Spec, require_float


@dataclass(slots=True, eq=False)
class Embedding(Op):
    """y (…, d) = weight[indices], weight (v, d), indices (…) int64 in 0 … v − 1, else IndexError.

    ∂weight = zeros with ∂y added at the indices, in their order, but for the row padding_idx, which stays 0."""

    saves_inputs: ClassVar = (1,)
    padding_idx: int | None

    def infer(self, weight, indices):
        require_float("embedding", weight)
        if weight.ndim != 2:
            raise RuntimeError(f"'weight' must be 2-D, got shape {weight.shape}")
        if indices.dtype != INT64:
            raise RuntimeError(f"embedding needs int64 indices, got {indices.dtype}; use .long()")
        return Spec((*indices.shape, weight.shape[1]), weight.dtype)

    def forward(self, program, out, weight, indices):
        program.embedding(out, weight, indices)

    def backward(self, node, grad):
        return apply(EmbeddingBackward(self.padding_idx, node.shapes[0][0]), grad, node.input(1)), None


@dataclass(slots=True, eq=False)
class EmbeddingBackward(Op):
    """∂weight (rows, d) of Embedding from ∂y and the indices. Its gradient: the lookup, 0 where padding_idx stands."""

    saves_inputs: ClassVar = (1,)
    padding_idx: int | None
    rows: int

    def infer(self, grad, indices):
        return Spec((self.rows, grad.shape[-1]), grad.dtype)

    def forward(self, program, out, grad, indices):
        program.embedding_backward(out, grad, indices, self.padding_idx)

    def backward(self, node, grad):
        indices = node.input(1)
        taken = apply(Embedding(self.padding_idx), grad, indices)
        if self.padding_idx is not None:
            taken = (indices == self.padding_idx).unsqueeze(-1).where(taken.new_zeros(()), taken)
        return taken, None
