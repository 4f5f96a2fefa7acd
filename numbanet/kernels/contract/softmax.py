"""Softmax and softmax cross-entropy."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare(inplace=("x",))
def softmax(out, x, log: bool):
    """out (outer, c, inner) = softmax, or log-softmax, of x (outer, c, inner) along c, safe for large x."""


@declare(inplace=("grad",))
def softmax_backward(out, grad, y, log: bool):
    """Gradient of softmax from its output y: y·(grad − Σ grad·y), or grad − exp(y)·Σ grad for log-softmax."""


@declare(writes=("logsumexp",))
def cross_entropy(out, logsumexp, logits, target, weight, reduction: str, ignore_index: int, label_smoothing: float):
    """out () for reduction "mean" or "sum", (n,) for "none"; logsumexp (n,); logits (n, c); target (n,) int64; weight
    (c,) or None, which is a weight of 1 for each class.

    A row's loss is (1−ε)·w[target]·(lse − logits[target]) + ε/c·Σ w·(lse − logits), ε = label_smoothing, 0 where target
    is ignore_index; the mean divides by the sum of w[target] over the rows that count (none: NaN). A target outside
    0 … c−1 raises IndexError naming value and row."""


@declare()
def cross_entropy_backward(
    out, grad, logits, logsumexp, target, weight, reduction: str, ignore_index: int, label_smoothing: float
):
    """out (n, c) = gradient for logits, from grad () or (n,)."""
