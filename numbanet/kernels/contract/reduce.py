"""Reductions, mean and variance, and the places of extremes."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare(strided=("x",))
def reduce(out, x, axes: tuple[int, ...], function: str):
    """out = function over axes of x, out with these axes kept as 1; sum mean prod max min any all.

    NaN passes through max and min."""


@declare(strided=("x",), writes=("mean",))
def variance(out, mean, x, axes: tuple[int, ...], correction: float):
    """mean = Σ x / n and out = Σ (x − mean)² / max(0, n − correction) over axes of n elements, kept as 1."""


@declare(strided=("x",))
def argreduce(out, x, axis: int, function: str):
    """out (int64, axis kept as 1) = first index of the argmax or argmin along axis; a NaN counts as the extreme."""
