"""Reading and writing at indices, and joining."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare(strided=("x",))
def take(out, x, indices: tuple):
    """out = x[indices] with NumPy's advanced indexing; indices holds Arrays (int64 or bool), slices, ints and None."""


@declare(strided=("out", "values"))
def put(out, values, indices: tuple, accumulate: bool):
    """out[indices] = values, or += in index order (duplicates add up) when accumulate."""


@declare(strided=("inputs",))
def concatenate(out, inputs: tuple, axis: int):
    """out = inputs joined along axis."""
