"""Matrix products."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.numpy.pointwise import quiet, unary

ACTIVATIONS = (None, "relu", "gelu", "gelu_tanh", "sigmoid", "tanh")


@quiet
def matmul(out, a, b, bias=None, residual=None, activation=None, accumulate=False):
    a, b = _for_blas(a), _for_blas(b)
    if accumulate:
        out += np.matmul(a, b)
        return
    np.matmul(a, b, out=out)
    finish(out, bias, residual, activation)


def finish(out, bias, residual, activation):
    """Add the bias (shaped to broadcast) and the residual, and apply the activation, in place."""
    if bias is not None:
        out += bias
    if residual is not None:
        out += residual
    if activation not in ACTIVATIONS:
        raise ValueError(f"unknown activation {activation!r}; there are: {', '.join(map(repr, ACTIVATIONS))}")
    if activation is not None:
        unary(out, out, activation)


def _for_blas(x):
    """BLAS wants rows or columns without gaps; NumPy would go through a slow loop for anything else."""
    if x.itemsize in x.strides[-2:] and all(stride > 0 for stride in x.strides[-2:]):
        return x
    return np.ascontiguousarray(x)
