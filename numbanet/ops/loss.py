"""Softmax, softmax cross-entropy and the squared error."""

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
    """(loss, lse) of logits (n, c) for target (n,) int64: with lse = ln Σ exp(logits) and ε = label_smoothing,

    a row's loss is (1 − ε)·(lse − logits[target]) + ε·(lse − mean(logits)), 0 where target is ignore_index.
    reduction: "mean" over the rows that count (NaN if none), "sum" or "none". lse (n,) is for the gradient.
    IndexError for a target outside 0 … c − 1.
    ∂logits = ∂loss · (softmax − (1 − ε)·onehot − ε/c)."""

    saves_inputs: ClassVar = (0, 1)
    saves_outputs: ClassVar = (1,)
    reduction: str
    ignore_index: int
    label_smoothing: float

    def infer(self, logits, target):
        require_float("cross_entropy", logits)
        if logits.ndim != 2 or target.shape != logits.shape[:1]:
            raise ValueError(
                f"cross_entropy needs logits (n, classes) and targets (n,), got shapes {logits.shape} and "
                f"{target.shape}"
            )
        if target.dtype != INT64:
            raise RuntimeError(f"cross_entropy needs int64 targets (class numbers), got {target.dtype}; use .long()")
        rows = logits.shape[:1]
        return Spec(rows if self.reduction == "none" else (), logits.dtype), Spec(rows, logits.dtype)

    def forward(self, program, out, logits, target):
        program.cross_entropy(out[0], out[1], logits, target, self.reduction, self.ignore_index, self.label_smoothing)

    def backward(self, node, grad, grad_lse):
        if grad_lse is not None:
            raise RuntimeError("the second output of CrossEntropy has no gradient")
        op = CrossEntropyBackward(self.reduction, self.ignore_index, self.label_smoothing)
        return apply(op, grad, node.input(0), node.output(1), node.input(1)), None


@dataclass(slots=True, eq=False)
class CrossEntropyBackward(Op):
    """∂logits (n, c) from ∂loss, logits, lse and target, see CrossEntropy. It has no gradient of its own."""

    reduction: str
    ignore_index: int
    label_smoothing: float

    def infer(self, grad, logits, logsumexp, target):
        return Spec(logits.shape, logits.dtype)

    def forward(self, program, out, grad, logits, logsumexp, target):
        program.cross_entropy_backward(
            out, grad, logits, logsumexp, target, self.reduction, self.ignore_index, self.label_smoothing
        )

    def backward(self, node, grad):
        raise RuntimeError(
            "cross_entropy cannot be differentiated twice (create_graph); use nll_loss(log_softmax(logits, "
            "1), target), "
            "which can"
        )


@dataclass(slots=True, eq=False)
class Mse(Op):
    """loss = mean or sum of (x − y)² over all n elements, or (x − y)² itself for reduction "none"; one shape.

    ∂x = 2·(x − y)·∂loss, over n for the mean; ∂y = −∂x."""

    saves_inputs: ClassVar = (0, 1)
    reduction: str

    def infer(self, x, y):
        require_float("mse_loss", x, y)
        if x.shape != y.shape:
            raise RuntimeError(f"mse_loss needs tensors of one shape, got {x.shape} and {y.shape}")
        return Spec(x.shape if self.reduction == "none" else (), x.dtype)

    def forward(self, program, out, x, y):
        if x.size == 0:  # the mean of nothing is NaN, its sum 0
            program.fill(out, float("nan") if self.reduction == "mean" else 0.0)
        else:
            program.mse_loss(out, x, y, self.reduction)

    def backward(self, node, grad):
        slope = apply(MseBackward(self.reduction), grad, node.input(0), node.input(1))
        return slope if node.needs[0] else None, -slope if node.needs[1] else None


@dataclass(slots=True, eq=False)
class MseBackward(Op):
    """∂x from ∂loss, x and y, see Mse. With v the gradient of ∂x and c = 2, or 2/n for the mean:

    ∂(∂loss) = Σ v·c·(x − y) (no sum for "none"), ∂x = c·v·∂loss, ∂y = −c·v·∂loss."""

    inplace: ClassVar[bool] = False
    saves_inputs: ClassVar = (0, 1, 2)
    reduction: str

    def infer(self, grad, x, y):
        return Spec(x.shape, x.dtype)

    def forward(self, program, out, grad, x, y):
        program.mse_loss_backward(out, grad, x, y, self.reduction)

    def backward(self, node, v):
        grad, x, y = node.input(0), node.input(1), node.input(2)
        need_grad, need_x, need_y = node.needs
        c = 2 / max(x.numel(), 1) if self.reduction == "mean" else 2
        slope = v * grad * c if need_x or need_y else None
        along = None
        if need_grad:
            along = v * (x - y) * c
            along = along if self.reduction == "none" else along.sum()
        return along, slope if need_x else None, -slope if need_y else None
