"""Random numbers: Philox4x32-10 by (seed, stream, offset)."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare()
def uniform(out, low: float, high: float, seed: int, stream: int, offset: int):
    """out = low + (high − low)·u, u in [0, 1) with 24 bits (float32) or 53 bits (float64)."""


@declare()
def normal(out, mean: float, std: float, seed: int, stream: int, offset: int):
    """out = mean + std·z, z standard normal by Box–Muller."""


@declare(inplace=("x",))
def dropout(out, x, p: float, scale: float, seed: int, stream: int, offset: int, group: int = 1):
    """out = x · 0 with probability p, else x · scale; each ``group`` elements in a row share their fate.

    p is taken to the nearest 1/65536. Element i hangs on half i // group of the words from offset on alone, in any
    dtype: the same call on a gradient drops the same."""
