"""Softmax and softmax cross-entropy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from numbanet.autograd import apply
from numbanet.kernels.array import Array
from numbanet.ops.base import INT64, Op, Spec, require_float


def _along(array: Array, axis: int) -> Array:
    """(outer, c, inner): what lies before the axis, the axis, what lies behind it."""
    shape = array.shape
    return array.view((math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])))


@dataclass(slots=True, eq=False)
class Softmax(Op):
    """y = exp(x) / Σ exp(x) along an axis, or with log x − ln Σ exp(x); safe for large x.

    ∂x = y · (∂y − Σ ∂y·y), with log ∂y − exp(y) · Σ ∂y."""

    saves_outputs: ClassVar = (0,)
    log: bool
    axis: int

    def infer(self, x):
        require_float("log_softmax" if self.log else "softmax", x)
        return Spec(x.shape, x.dtype)

    def forward(self, program, out, x):
        program.softmax(_along(out, self.axis), _along(x, self.axis), self.log)

    def backward(self, node, grad):
        return apply(SoftmaxBackward(self.log, self.axis), grad, node.output())


@dataclass(slots=True, eq=False)
class SoftmaxBackward(Op):
    """∂x from ∂y and y, see Softmax. With g = ∂y, v the gradient of ∂x:

    ∂g = y · (v − Σ v·y), ∂y = v · (g − Σ g·y) − g · Σ v·y; with log ∂g = v − Σ v·exp(y), ∂y = −v · exp(y) · Σ g."""

    saves_inputs: ClassVar = (0, 1)
    log: bool
    axis: int

    def infer(self, grad, y):
        return Spec(grad.shape, grad.dtype)

    def forward(self, program, out, grad, y):
        out, grad, y = (_along(array, self.axis) for array in (out, grad, y))
        program.softmax_backward(out, grad, y, self.log)

    def backward(self, node, v):
        g, y = node.input(0), node.input(1)
        if self.log:
            weighted = v * y.exp()
            return v - weighted.sum(self.axis, keepdim=True), -(weighted * g.sum(self.axis, keepdim=True))
        mean = (v * y).sum(self.axis, keepdim=True)
        return y * (v - mean), v * (g - (g * y).sum(self.axis, keepdim=True)) - g * mean


@dataclass(slots=True, eq=False)
class CrossEntropy(Op):
    """(loss, lse) of logits (n, c) for target (n,) int64: with lse = ln Σ exp(logits), ε = label_smoothing and the

    classes' weights w (c,), 1 if there are none, a row's loss is (1 − ε)·w[target]·(lse − logits[target]) +
    ε/c·Σ w·(lse − logits), 0 where target is ignore_index. reduction: "mean", divided by Σ w[target] over the rows that
    count (NaN if none), "sum" or "none". lse (n,) is for the gradient. IndexError for a target outside 0 … c − 1.
    ∂logits = ∂loss · (b·softmax − a·onehot − ε/c·w) with a = (1 − ε)·w[target], b = a + ε/c·Σ w. The weights have no
    gradient."""

    saves_outputs: ClassVar = (1,)
    reduction: str
    ignore_index: int
    label_smoothing: float

    def saved_inputs(self, needs):
        return range(len(needs))

    def infer(self, logits, target, weight=None):
        require_float("cross_entropy", logits)
        if logits.ndim != 2 or target.shape != logits.shape[:1]:
            raise ValueError(
                f"cross_entropy needs logits (n, classes) and targets (n,), got shapes {logits.shape} and "
                f"{target.shape}"
            )
        if target.dtype != INT64:
            raise RuntimeError(f"cross_entropy needs int64 targets (class numbers), got {target.dtype}; use .long()")
        if weight is not None and (weight.shape != logits.shape[1:] or weight.dtype != logits.dtype):
            raise RuntimeError(
                f"cross_entropy: weight tensor should be defined either for all {logits.shape[1]} classes or no "
                f"classes but got weight tensor of shape {weight.shape} and dtype {weight.dtype} for {logits.dtype}"
            )
        rows = logits.shape[:1]
        return Spec(rows if self.reduction == "none" else (), logits.dtype), Spec(rows, logits.dtype)

    def forward(self, program, out, logits, target, weight=None):
        settings = self.reduction, self.ignore_index, self.label_smoothing
        program.cross_entropy(out[0], out[1], logits, target, weight, *settings)

    def backward(self, node, grad, grad_lse):
        if grad_lse is not None:
            raise RuntimeError("the second output of CrossEntropy has no gradient")
        weights = [node.input(2)] if len(node.needs) == 3 else []
        if weights and node.needs[2]:
            raise RuntimeError("the derivative of cross_entropy for its class weights is not implemented")
        op = CrossEntropyBackward(self.reduction, self.ignore_index, self.label_smoothing)
        slope = apply(op, grad, node.input(0), node.output(1), node.input(1), *weights)
        return slope, *[None] * (len(node.needs) - 1)


@dataclass(slots=True, eq=False)
class CrossEntropyBackward(Op):
    """∂logits (n, c) from ∂loss, logits, lse, target and weight, see CrossEntropy. It has no gradient of its own."""

    reduction: str
    ignore_index: int
    label_smoothing: float

    def infer(self, grad, logits, logsumexp, target, weight=None):
        return Spec(logits.shape, logits.dtype)

    def forward(self, program, out, grad, logits, logsumexp, target, weight=None):
        settings = self.reduction, self.ignore_index, self.label_smoothing
        program.cross_entropy_backward(out, grad, logits, logsumexp, target, weight, *settings)

    def backward(self, node, grad):
        raise RuntimeError(
            "cross_entropy cannot be differentiated twice (create_graph); use nll_loss(log_softmax(logits, "
            "1), target), which can"
        )
