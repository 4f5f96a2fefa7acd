"""Where in a sequence a token stands: sines of several wavelengths, or a learnt vector a position (LECTURE row L36)."""

from __future__ import annotations

import numpy as np

from numbanet.creation import empty, from_numpy
from numbanet.nn import functional as F
from numbanet.nn import init
from numbanet.nn.module import Module
from numbanet.nn.parameter import Parameter
from numbanet.tensor import Tensor


def sinusoids(length: int, size: int, base: float = 10_000.0) -> np.ndarray:
    """PE (length, size) float32: PE(t, 2i) = sin(t / k^(2i/d)), PE(t, 2i + 1) = cos(t / k^(2i/d)), k = ``base``; the
    last sine has no cosine where d is odd."""
    angles = np.arange(length)[:, None] / base ** (np.arange(0, size, 2) / size)
    table = np.empty((length, size), np.float32)
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles[:, : size // 2])
    return table


class _Positions(Module):
    """Adds a row of a table to each token of (b, t, size), or (t, b, size) with ``batch_first=False``."""

    def __init__(self, embedding_dim: int, max_len: int, batch_first: bool) -> None:
        super().__init__()
        if embedding_dim < 1 or max_len < 1:
            raise ValueError(f"embedding_dim and max_len must be positive, got {embedding_dim} and {max_len}")
        self.embedding_dim = embedding_dim
        self.max_len = max_len
        self.batch_first = batch_first

    def table(self) -> Tensor:
        """The vectors of all positions (max_len, embedding_dim)."""
        raise NotImplementedError

    def forward(self, input: Tensor, places: Tensor | None = None) -> Tensor:
        """input + the vectors of positions 0, 1, …, or of ``places`` (b, t) int64.

        ValueError for a sequence that is longer than max_len."""
        length = input.shape[1 if self.batch_first else 0]
        if length > self.max_len:
            raise ValueError(
                f"a sequence of {length} tokens is longer than the {self.max_len} positions that there are; "
                "cut it, or build the module with a larger max_len"
            )
        if places is not None:
            rows = F.embedding(places, self.table())
            return input + (rows if self.batch_first else rows.transpose(0, 1))
        rows = self.table()[:length]
        return input + (rows if self.batch_first else rows.unsqueeze(1))

    def extra_repr(self) -> str:
        return f"{self.embedding_dim}, max_len={self.max_len}"


class SinusoidalPositionalEncoding(_Positions):
    """``x + PE`` with fixed sines and cosines (Vaswani et al. 2017); base is the lecture's k. Not part of the state."""

    def __init__(
        self, embedding_dim: int, max_len: int = 5000, base: float = 10_000.0, batch_first: bool = True
    ) -> None:
        super().__init__(embedding_dim, max_len, batch_first)
        if not base > 1:
            raise ValueError(f"the base must be above 1, got {base}")
        self.base = base
        self.register_buffer("encoding", from_numpy(sinusoids(max_len, embedding_dim, base)), persistent=False)

    def table(self) -> Tensor:
        return self.encoding

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, base={self.base:g}"


class LearnedPositionalEncoding(_Positions):
    """``x + weight[t]``: a learnt vector for each of max_len positions, drawn from N(0, std²)."""

    def __init__(self, embedding_dim: int, max_len: int, std: float = 0.02, batch_first: bool = True) -> None:
        super().__init__(embedding_dim, max_len, batch_first)
        self.std = std
        self.weight = Parameter(empty(max_len, embedding_dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors anew."""
        init.normal_(self.weight, std=self.std)

    def table(self) -> Tensor:
        return self.weight
