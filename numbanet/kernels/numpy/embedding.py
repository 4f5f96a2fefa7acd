"""Lookup of rows by number, and its gradient."""

from __future__ import annotations

import numpy as np


def check_numbers(indices, rows):
    """IndexError for a number that names no row."""
    wrong = (indices < 0) | (indices >= rows)
    if wrong.any():
        at = int(np.argmax(wrong.reshape(-1)))
        place = tuple(int(i) for i in np.unravel_index(at, indices.shape))
        raise IndexError(
            f"index {int(indices.reshape(-1)[at])} at position {place} is out of range: the embedding has {rows} rows, "
            f"0 to {rows - 1}"
        )


def embedding(out, weight, indices):
    check_numbers(indices, weight.shape[0])
    out[...] = weight[indices]


def embedding_backward(out, grad, indices, padding_idx):
    check_numbers(indices, out.shape[0])
    out[...] = 0
    np.add.at(out, indices, grad)
    if padding_idx is not None:
        out[padding_idx] = 0
