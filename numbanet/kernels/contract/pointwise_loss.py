"""Losses of pairs of numbers."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare()
def pointwise_loss(out, x, y, kind: str, beta: float, reduction: str):
    """out () = mean or sum of a loss of x and y (one shape) over all elements, or for reduction "none" out (x's shape).

    With d = x − y, kind is "squared": d²; "absolute": |d|; "smooth": d²/(2β) where |d| < β, else |d| − β/2;
    "huber": β times that; "logistic": max(x, 0) − x·y + ln(1 + exp(−|x|)), the cross-entropy of the logit x."""


@declare(inplace=("x", "y"))
def pointwise_loss_backward(out, grad, x, y, kind: str, beta: float, reduction: str):
    """out = gradient of pointwise_loss with respect to x, from grad () or, for "none", of x's shape.

    The slopes are 2d; sign(d); d/β where |d| < β, else sign(d); β times that; 1/(1 + exp(−x)) − y."""
