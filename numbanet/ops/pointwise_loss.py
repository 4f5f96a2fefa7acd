"""Losses of pairs of numbers: squared, absolute, smooth, Huber's and logistic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numbanet.autograd import apply
from numbanet.ops.base import Op, Spec, require_float

NAMES = {
    "squared": "mse_loss",
    "absolute": "l1_loss",
    "smooth": "smooth_l1_loss",
    "huber": "huber_loss",
    "logistic": "binary_cross_entropy_with_logits",
}


@dataclass(slots=True, eq=False)
class PointwiseLoss(Op):
    """The mean or sum of φ(x, y) over all n elements, or φ itself for reduction "none"; x and y of one shape.

    With d = x − y: squared d²; absolute |d|; smooth d²/(2β) where |d| < β, else |d| − β/2; huber β times that;
    logistic max(x, 0) − x·y + ln(1 + exp(−|x|)), the cross-entropy −y·ln σ(x) − (1 − y)·ln(1 − σ(x)).

    ∂x = φ′·∂loss, over n for the mean, with φ′ = 2d; sign d; d/β or sign d; β times that; σ(x) − y.
    ∂y = −∂x, for logistic −x·∂loss."""

    saves_inputs: ClassVar = (0, 1)
    kind: str
    beta: float
    reduction: str

    def infer(self, x, y):
        require_float(NAMES[self.kind], x, y)
        if x.shape != y.shape:
            raise RuntimeError(f"{NAMES[self.kind]} needs tensors of one shape, got {x.shape} and {y.shape}")
        return Spec(x.shape if self.reduction == "none" else (), x.dtype)

    def forward(self, program, out, x, y):
        if x.size == 0:  # the mean of nothing is NaN, its sum 0
            program.fill(out, float("nan") if self.reduction == "mean" else 0.0)
        else:
            program.pointwise_loss(out, x, y, self.kind, self.beta, self.reduction)

    def backward(self, node, grad):
        x, y = node.input(0), node.input(1)
        need_x, need_y = node.needs
        along_x = along_y = None
        if need_x or self.kind != "logistic":
            along_x = apply(PointwiseLossBackward(self.kind, self.beta, self.reduction), grad, x, y)
        if need_y:
            along_y = -along_x if self.kind != "logistic" else -x * (grad * self.share(x))
        return along_x if need_x else None, along_y

    def share(self, x):
        """What the reduction multiplies each element's gradient with."""
        return 1 / max(x.numel(), 1) if self.reduction == "mean" else 1.0


@dataclass(slots=True, eq=False)
class PointwiseLossBackward(Op):
    """∂x from ∂loss, x and y, see PointwiseLoss. With v the gradient of ∂x and s = 1, or 1/n for the mean:

    ∂(∂loss) = Σ v·s·φ′ (no sum for "none"), ∂x = s·v·∂loss·φ″, ∂y = −∂x, for logistic −s·v·∂loss; φ″ = 2; 0; 1/β or
    0; 1 or 0; σ(x)·(1 − σ(x))."""

    inplace: ClassVar[bool] = False
    saves_inputs: ClassVar = (0, 1, 2)
    kind: str
    beta: float
    reduction: str

    def infer(self, grad, x, y):
        return Spec(x.shape, x.dtype)

    def forward(self, program, out, grad, x, y):
        program.pointwise_loss_backward(out, grad, x, y, self.kind, self.beta, self.reduction)

    def backward(self, node, v):
        grad, x, y = node.input(0), node.input(1), node.input(2)
        need_grad, need_x, need_y = node.needs
        along = along_x = along_y = None
        if need_grad:
            ones = grad.new_full(grad.shape, 1.0)
            along = v * apply(PointwiseLossBackward(self.kind, self.beta, self.reduction), ones, x, y)
            along = along if self.reduction == "none" else along.sum()
        if need_x or need_y:
            scaled = v * grad * (1 / max(x.numel(), 1)) if self.reduction == "mean" else v * grad
            along_x = self._curvature(x, y, scaled)
            along_y = -scaled if self.kind == "logistic" else -along_x
        return along, along_x if need_x else None, along_y if need_y else None

    def _curvature(self, x, y, scaled):
        """scaled · φ″."""
        if self.kind == "squared":
            return scaled * 2
        if self.kind == "logistic":
            share = x.sigmoid()
            return scaled * (share * (1 - share))
        if self.kind == "absolute":
            return scaled * 0
        inside = ((x - y).abs() < self.beta).to(x.dtype)
        return scaled * inside / self.beta if self.kind == "smooth" else scaled * inside
