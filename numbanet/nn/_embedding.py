"""Lookup of rows by number as a function."""

from __future__ import annotations

from numbanet.autograd import apply
from numbanet.nn._lookup import note_lookup
from numbanet.ops.base import INT64
from numbanet.ops.embedding import Embedding
from numbanet.tensor import Tensor


def check_embedding(max_norm: float | None, scale_grad_by_freq: bool, sparse: bool) -> None:
    """NotImplementedError for what embeddings do not do."""
    for name, value in (("max_norm", max_norm), ("scale_grad_by_freq", scale_grad_by_freq), ("sparse", sparse)):
        if value:
            raise NotImplementedError(f"embedding: {name} is not supported, got {value!r}")


def padding_row(padding_idx: int | None, rows: int) -> int | None:
    """padding_idx counted from the front. ValueError where there is no such row."""
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise ValueError(f"Padding_idx must be within num_embeddings ({rows}), got {padding_idx}")
    return padding_idx + rows if padding_idx < 0 else padding_idx


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """weight[input], weight (v, d), for numbers of any shape: (…, d). The row padding_idx gets no gradient.

    IndexError for a number out of range; NotImplementedError for max_norm, scale_grad_by_freq and sparse."""
    check_embedding(max_norm, scale_grad_by_freq, sparse)
    numbers = input if input.dtype == INT64 or input.dtype.kind not in "iu" else input.long()
    found = apply(Embedding(padding_row(padding_idx, weight.shape[0])), weight, numbers)
    if padding_idx is None:
        note_lookup(found, weight)
    return found
