"""Clipping of gradients: all arrays in one call."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare()
def sum_of_squares(out, arrays: tuple):
    """out () = Σ x² over all elements of all arrays."""


@declare(writes=("arrays",))
def scale_all(arrays: tuple, factor):
    """x ← x · factor () for all elements of all arrays, in place; nothing is touched if factor is 1."""


@declare(writes=("arrays",))
def clamp_all(arrays: tuple, limit):
    """x ← min(max(x, −limit), limit) for all elements of all arrays, in place; limit (); a NaN stays."""
