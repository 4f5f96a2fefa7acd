"""Reductions and arg-reductions."""

from __future__ import annotations

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


@quiet
def reduce(out, x, axes, function):
    REDUCE[function].reduce(x, axis=axes, dtype=out.dtype, keepdims=True, out=out)


def argreduce(out, x, axis, function):
    find = np.argmax if function == "max" else np.argmin
    np.copyto(out, find(x, axis=axis, keepdims=True))
