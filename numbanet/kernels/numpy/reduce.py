"""Reductions and arg-reductions."""

from __future__ import annotations

import math

import numpy as np

from numbanet.kernels.numpy.pointwise import quiet

REDUCE = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "any": np.logical_or,
    "all": np.logical_and,
}


def count_of(x, axes):
    """How many elements a reduction over axes puts together."""
    return np.array(math.prod([x.shape[axis] for axis in axes]), x.dtype)


@quiet
def reduce(out, x, axes, function):
    if function == "mean":
        np.divide(x.sum(axis=axes, dtype=out.dtype, keepdims=True), count_of(x, axes), out=out)
        return
    REDUCE[function].reduce(x, axis=axes, dtype=out.dtype, keepdims=True, out=out)


@quiet
def variance(out, mean, x, axes, correction):
    reduce(mean, x, axes, "mean")
    squares = np.square(x - mean).sum(axis=axes, keepdims=True)
    np.divide(squares, np.maximum(count_of(x, axes) - x.dtype.type(correction), 0), out=out)


def argreduce(out, x, axis, function):
    find = np.argmax if function == "max" else np.argmin
    np.copyto(out, find(x, axis=axis, keepdims=True))
