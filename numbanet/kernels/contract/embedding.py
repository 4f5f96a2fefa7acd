"""Lookup of rows by number, and its gradient."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare()
def embedding(out, weight, indices):
    """out (…, d) = weight[indices], weight (v, d), indices (…) int64. A number outside 0 … v−1 raises IndexError naming
    it and its position."""


@declare()
def embedding_backward(out, grad, indices, padding_idx: int | None):
    """out (v, d) = zeros, and the rows of grad (…, d) added at indices in their order; the row padding_idx stays 0."""
