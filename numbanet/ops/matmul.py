"""Matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numbanet.autograd import apply
from numbanet.ops.base import Op, Spec, broadcast, broadcast_shapes, require_float, sum_to
from numbanet.ops.pointwise import RELU_BACKWARD


@dataclass(slots=True, eq=False)
class MatMul(Op):
    """c (…, m, n) = a (…, m, k) @ b (…, k, n), leading dimensions broadcast. ∂a = ∂c bᵀ, ∂b = aᵀ ∂c."""

    strided: ClassVar[bool] = True

    def infer(self, a, b):
        require_float("matmul", a, b)
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
            raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({a.shape} and {b.shape})")
        return Spec((*broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), a.dtype)

    def forward(self, program, out, a, b):
        lead = out.shape[:-2]
        program.matmul(out, broadcast(a, lead + a.shape[-2:]), broadcast(b, lead + b.shape[-2:]))

    def saved_inputs(self, needs):
        return (0, 1) if needs[0] and needs[1] else (1,) if needs[0] else (0,)

    def backward(self, node, grad):
        return (
            sum_to(apply(MATMUL, grad, node.input(1).mT), node.shapes[0]) if node.needs[0] else None,
            sum_to(apply(MATMUL, node.input(0).mT, grad), node.shapes[1]) if node.needs[1] else None,
        )


@dataclass(slots=True, eq=False)
class Linear(Op):
    """y (m, o) = activation(x (m, k) @ weight (o, k)ᵀ + bias (o,)); bias is optional, activation None or "relu".

    With g = ∂y through the activation: ∂x = g · weight, ∂weight = gᵀ · x, ∂bias = Σ rows of g."""

    strided: ClassVar[bool] = True
    activation: str | None = None

    def infer(self, x, weight, bias=None):
        if bias is None:
            require_float("linear", x, weight)
        else:
            require_float("linear", x, weight, bias)
            if bias.shape != weight.shape[:1]:
                raise RuntimeError(
                    f"linear: a bias of shape {bias.shape} does not fit a weight of shape {weight.shape}"
                )
        if weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
            raise RuntimeError(
                f"linear: an input of shape {x.shape} does not fit a weight of shape {weight.shape} (out, in): "
                "its last "
                f"dimension should be {weight.shape[-1]}"
            )
        return Spec((x.shape[0], weight.shape[0]), x.dtype)

    def forward(self, program, out, x, weight, bias=None):
        program.matmul(out, x, weight.view(weight.shape[::-1], weight.strides[::-1]), bias, self.activation)

    def saved_inputs(self, needs):
        return (0, 1) if needs[0] and needs[1] else (1,) if needs[0] else (0,) if needs[1] else ()

    @property
    def saves_outputs(self):
        return (0,) if self.activation else ()

    def backward(self, node, grad):
        if self.activation:
            grad = apply(RELU_BACKWARD, grad, node.output())
        needs = node.needs
        grads = (
            apply(MATMUL, grad, node.input(1)) if needs[0] else None,
            apply(MATMUL, grad.T, node.input(0)) if needs[1] else None,
        )
        return (*grads, grad.sum(0) if needs[2] else None) if len(needs) == 3 else grads


MATMUL = MatMul()
LINEAR = {None: Linear(), "relu": Linear("relu")}
