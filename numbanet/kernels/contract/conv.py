"""Convolution and its two gradients."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import Pair, declare


@declare()
def conv2d(
    out, x, weight, bias, stride: Pair, padding: Pair, dilation: Pair, groups: int, activation: str | None = None
):
    """out (n, o, oh, ow) = activation(x (n, c, h, w) ⋆ weight (o, c/groups, kh, kw) + bias (o,) or None)."""


@declare()
def conv2d_input_grad(out, grad, weight, stride: Pair, padding: Pair, dilation: Pair, groups: int):
    """out (n, c, h, w) = gradient of conv2d with respect to x, from grad (n, o, oh, ow)."""


@declare(optional=("bias_out",))
def conv2d_weight_grad(out, bias_out, grad, x, stride: Pair, padding: Pair, dilation: Pair, groups: int, output=None):
    """out (o, c/groups, kh, kw) and bias_out (o,) or None: gradients of conv2d with respect to weight and bias.

    With the ``output`` of a conv2d with ReLU, grad counts only where that is not at or below 0."""
