"""Matrix products."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.numpy.pointwise import quiet


@quiet
def matmul(out, a, b, bias=None, activation=None, accumulate=False):
    a, b = _for_blas(a), _for_blas(b)
    if accumulate:
        out += np.matmul(a, b)
        return
    np.matmul(a, b, out=out)
    finish(out, bias, activation)


def finish(out, bias, activation):
    """Add the bias (shaped to broadcast) and apply the activation, in place."""
    if bias is not None:
        out += bias
    if activation == "relu":
        np.maximum(out, 0, out=out)
    elif activation is not None:
        raise ValueError(f"unknown activation {activation!r}; there are: None, 'relu'")


def _for_blas(x):
    """BLAS wants rows or columns without gaps; NumPy would go through a slow loop for anything else."""
    if x.itemsize in x.strides[-2:] and all(stride > 0 for stride in x.strides[-2:]):
        return x
    return np.ascontiguousarray(x)
