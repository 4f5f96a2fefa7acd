"""Locally connected layers."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import Pair, declare


@declare()
def locally_connected2d(out, x, weight, kernel: Pair, stride: Pair, padding: Pair):
    """out (n, o, oh, ow) = for each position the patches of x (n, c, h, w), times weight (oh · ow, c · kh · kw, o)."""


@declare()
def locally_connected2d_input_grad(out, grad, weight, kernel: Pair, stride: Pair, padding: Pair):
    """out (n, c, h, w) = gradient of locally_connected2d with respect to x, from grad (n, o, oh, ow)."""


@declare()
def locally_connected2d_weight_grad(out, grad, x, kernel: Pair, stride: Pair, padding: Pair):
    """out (oh · ow, c · kh · kw, o) = gradient of locally_connected2d with respect to weight."""
