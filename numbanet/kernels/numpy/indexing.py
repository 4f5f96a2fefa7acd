"""Reading and writing at indices, and joining."""

from __future__ import annotations

import numpy as np


def take(out, x, indices):
    out[...] = x[indices]


def put(out, values, indices, accumulate):
    if accumulate:
        np.add.at(out, indices, values)
    else:
        out[indices] = values


def concatenate(out, inputs, axis):
    np.concatenate(inputs, axis=axis, out=out)
