"""Matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numbanet.autograd import apply, is_grad_enabled
from numbanet.ops.base import Op, Spec, as_tuple, broadcast, broadcast_shapes, require_float, sum_to
from numbanet.ops.pointwise import RELU_BACKWARD, SIGMOID_BACKWARD, TANH_BACKWARD

BY_OUTPUT = {"relu": RELU_BACKWARD, "tanh": TANH_BACKWARD, "sigmoid": SIGMOID_BACKWARD}
"""Activations whose gradient their output tells."""


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
    """y (m, o) = activation(x (m, k) @ weight (o, k)ᵀ + bias (o,) + residual (m, o)); bias is optional, and so is the
    residual, which ``has_residual`` tells from it; activation is None, relu, sigmoid, tanh, gelu or gelu_tanh.

    With g = ∂y through the activation: ∂x = g · weight, ∂weight = gᵀ · x, ∂bias = Σ rows of g, ∂residual = g. GELU's
    gradient needs what GELU is applied to, which is not kept here: there is none through ``gelu`` and ``gelu_tanh``."""

    strided: ClassVar[bool] = True
    activation: str | None = None
    has_residual: bool = False

    def _split(self, inputs):
        """x, weight, bias and residual; None for what is not there."""
        first, residual = (inputs[:-1], inputs[-1]) if self.has_residual else (inputs, None)
        return (*first, None, residual) if len(first) == 2 else (*first, residual)

    def infer(self, *inputs):
        x, weight, bias, residual = self._split(inputs)
        require_float("linear", *inputs)
        if bias is not None and bias.shape != weight.shape[:1]:
            raise RuntimeError(f"linear: a bias of shape {bias.shape} does not fit a weight of shape {weight.shape}")
        if weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
            raise RuntimeError(
                f"linear: an input of shape {x.shape} does not fit a weight of shape {weight.shape} (out, in): "
                "its last "
                f"dimension should be {weight.shape[-1]}"
            )
        if residual is not None and residual.shape != (x.shape[0], weight.shape[0]):
            raise RuntimeError(
                f"linear: a residual of shape {residual.shape} does not fit a result of shape "
                f"{(x.shape[0], weight.shape[0])}"
            )
        return Spec((x.shape[0], weight.shape[0]), x.dtype)

    def forward(self, program, out, *inputs):
        x, weight, bias, residual = self._split(inputs)
        turned = weight.view(weight.shape[::-1], weight.strides[::-1])
        program.matmul(out, x, turned, bias, residual, self.activation)

    def saved_inputs(self, needs):
        return (0, 1) if needs[0] and needs[1] else (1,) if needs[0] else (0,) if needs[1] else ()

    @property
    def saves_outputs(self):
        return (0,) if self.activation in BY_OUTPUT else ()

    def backward(self, node, grad):
        if self.activation is not None and self.activation not in BY_OUTPUT:
            raise RuntimeError(f"linear with {self.activation} has no gradient; apply {self.activation} to its result")
        layer = node.needs[:-1] if self.has_residual else node.needs
        needs = (*layer, False)[:3]
        if is_grad_enabled():
            grad, grads = self._composed(node, grad, needs)
        else:
            saved = [node.output()] if self.activation else []
            saved += [node.input(index) for index in self.saved_inputs(needs)]
            found = iter(as_tuple(apply(LinearBackward(self.activation, needs), grad, *saved)))
            grad = next(found) if self.activation else grad
            grads = [next(found) if need else None for need in needs]
        return (*grads[: len(layer)], grad) if self.has_residual else tuple(grads[: len(layer)])

    def _composed(self, node, grad, needs):
        """g, and the gradients, by ops that have gradients themselves."""
        if self.activation:
            grad = apply(BY_OUTPUT[self.activation], grad, node.output())
        return grad, (
            apply(MATMUL, grad, node.input(1)) if needs[0] else None,
            apply(MATMUL, grad.T, node.input(0)) if needs[1] else None,
            grad.sum(0) if needs[2] else None,
        )


@dataclass(slots=True, eq=False)
class LinearBackward(Op):
    """The gradients of Linear in one go: g, ∂x, ∂weight and ∂bias, of which ``needs`` marks the last three.

    Inputs: ∂y (m, o), then y if there is an activation, x (m, k) if ∂weight is wanted and weight (o, k) if ∂x is.
    g = ∂y through the activation, only with one; ∂x = g · weight, ∂weight = gᵀ · x, ∂bias = Σ rows of g."""

    differentiable: ClassVar[bool] = False
    activation: str | None
    needs: tuple[bool, bool, bool]

    def infer(self, grad, *saved):
        _, x, weight = self._named(saved)
        (m, o), dtype = grad.shape, grad.dtype
        found = [Spec(grad.shape, dtype)] if self.activation else []
        found += [Spec((m, weight.shape[1]), dtype)] if self.needs[0] else []
        found += [Spec((o, x.shape[1]), dtype)] if self.needs[1] else []
        return tuple(found + ([Spec((o,), dtype)] if self.needs[2] else []))

    def _named(self, saved):
        """y, x and weight among the inputs; None for what is not there."""
        following = iter(saved)
        y = next(following) if self.activation else None
        x = next(following) if self.needs[1] else None
        return y, x, next(following) if self.needs[0] else None

    def forward(self, program, out, grad, *saved):
        y, x, weight = self._named(saved)
        following = iter(out)
        if self.activation:
            through = next(following)
            BY_OUTPUT[self.activation].forward(program, through, grad, y)
            grad = through
        if self.needs[0]:
            program.matmul(next(following), grad, weight)
        if self.needs[1]:
            program.matmul(next(following), grad.view(grad.shape[::-1], grad.strides[::-1]), x)
        if self.needs[2]:
            total = next(following)
            program.reduce(total.view((1, *total.shape)), grad, (0,), "sum")


MATMUL = MatMul()
LINEAR = {
    (name, has_residual): Linear(name, has_residual)
    for name in (None, *BY_OUTPUT, "gelu", "gelu_tanh")
    for has_residual in (False, True)
}
"""By activation, and whether there is a residual."""
