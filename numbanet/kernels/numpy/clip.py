"""What clipping of gradients needs, for all arrays at once."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.numpy.pointwise import quiet


@quiet
def sum_of_squares(out, arrays):
    out[...] = sum((np.square(array).sum(dtype=np.float64) for array in arrays), start=0.0)


@quiet
def scale_all(arrays, factor):
    if factor != 1:
        for array in arrays:
            array *= factor


@quiet
def clamp_all(arrays, limit):
    for array in arrays:
        np.clip(array, -limit, limit, out=array)
