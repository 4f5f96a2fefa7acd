"""A convolution and the max pool behind it, and the gradients of both."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import Pair, declare


@declare(writes=("positions",))
def conv2d_max_pool(
    out,
    positions,
    x,
    weight,
    bias,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    pool_kernel: Pair,
    pool_stride: Pair,
    activation: str | None = None,
):
    """out and positions = max_pool2d of conv2d without padding; then out = activation(out), None or "relu"."""


@declare(optional=("x_out", "weight_out", "bias_out"))
def conv2d_max_pool_backward(
    x_out,
    weight_out,
    bias_out,
    grad,
    output,
    positions,
    x,
    weight,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    pool_kernel: Pair,
    pool_stride: Pair,
):
    """Gradients of conv2d_max_pool with respect to x, weight and bias, those that are not None, from grad (of out).

    With the ``output`` of one with ReLU, grad counts only where that is not at or below 0. x is None without
    weight_out, weight without x_out."""
