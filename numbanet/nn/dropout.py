"""Dropout of elements and of channels (LECTURE row L24, both forms)."""

from __future__ import annotations

from numbanet.nn import functional as F
from numbanet.nn.module import Module
from numbanet.tensor import Tensor


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Zero each element with probability ``p`` in training and divide the rest by 1 − p; nothing in evaluation.

    ``classic`` is the form of the lecture and of the paper (Srivastava et al. 2014): zero in training, multiply by
    1 − p in evaluation. The expectation is the same; gradients are smaller by 1 − p.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *, classic: bool = False) -> None:
        super().__init__(p, inplace)
        self.classic = classic

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace, classic=self.classic)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", classic=True" if self.classic else "")


class Dropout1d(_Dropout):
    """Zero whole channels of (n, c, l) or (c, l) with probability ``p`` in training, divide the rest by 1 − p."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Zero whole channels of (n, c, h, w) with probability ``p`` in training, divide the rest by 1 − p.

    Input of three dimensions is taken as (n, c, l), as PyTorch does."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """Zero whole channels of (n, c, d, h, w) or (c, d, h, w) with probability ``p`` in training, divide the rest by
    1 − p."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout3d(input, self.p, self.training, self.inplace)
