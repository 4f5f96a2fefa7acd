"""Convolution, and its gradients as operations of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from numbanet.autograd import apply, is_grad_enabled
from numbanet.ops.base import Op, Shape, Spec, as_tuple, require_float
from numbanet.ops.pointwise import RELU_BACKWARD

if TYPE_CHECKING:
    from numbanet.autograd import Node
    from numbanet.tensor import Tensor

Pair = tuple[int, int]


def conv_output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


@dataclass(slots=True, eq=False)
class Conv2d(Op):
    """y (n, o, oh, ow) = activation(x (n, c, h, w) ⋆ weight (o, c/groups, kh, kw) + bias (o,)): cross-correlation.

    y[n,o,i,j] = bias[o] + Σ x[n, c, i·stride + u·dilation − padding, …] · weight[o, c, u, v] over the channels of
    o's group.
    bias is optional; activation is None or "relu". LeCun et al. 1998."""

    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    activation: str | None = None

    def infer(self, x, weight, bias=None):
        arrays = (x, weight) if bias is None else (x, weight, bias)
        require_float("conv2d", *arrays)
        if x.ndim != 4 or weight.ndim != 4:
            raise RuntimeError(
                f"conv2d needs (n, c, h, w) and a weight (o, c, kh, kw), got {x.shape} and {weight.shape}"
            )
        _, c, h, w = x.shape
        o, channels, kh, kw = weight.shape
        if self.groups < 1 or c != channels * self.groups or o % self.groups:
            raise RuntimeError(
                f"Given groups={self.groups}, weight of size {weight.shape}, expected input{x.shape} to have "
                f"{channels * self.groups} channels, but got {c} channels instead"
            )
        if bias is not None and bias.shape != (o,):
            raise RuntimeError(f"conv2d: expected bias of shape {(o,)}, got {bias.shape}")
        if min(self.stride) < 1 or min(self.dilation) < 1 or min(self.padding) < 0:
            raise RuntimeError(
                f"conv2d: stride {self.stride} and dilation {self.dilation} must be positive, padding "
                f"{self.padding} not negative"
            )
        shape = self.output_shape(x.shape, weight.shape)
        if min(shape[2:]) < 1:
            raise RuntimeError(
                f"Calculated output size {shape[2:]} is too small: the kernel {(kh, kw)} with dilation "
                f"{self.dilation} does "
                f"not fit into the picture {(h, w)} with padding {self.padding}"
            )
        return Spec(shape, x.dtype)

    def output_shape(self, shape: Shape, weight_shape: Shape) -> Shape:
        """(n, o, oh, ow)."""
        settings = zip(shape[2:], weight_shape[2:], self.stride, self.padding, self.dilation, strict=True)
        return (shape[0], weight_shape[0], *(conv_output_size(*axis) for axis in settings))

    def forward(self, program, out, x, weight, bias=None):
        program.conv2d(out, x, weight, bias, self.stride, self.padding, self.dilation, self.groups, self.activation)

    def saved_inputs(self, needs):
        return (0, 1) if needs[0] and needs[1] else (1,) if needs[0] else (0,)

    @property
    def saves_outputs(self):
        return (0,) if self.activation else ()

    def backward(self, node, grad):
        needs = (*node.needs, False)[:3]
        if is_grad_enabled():
            masked = apply(RELU_BACKWARD, grad, node.output()) if self.activation else grad
            grads = self.composed(node, masked, needs)
        else:
            settings = (self.stride, self.padding, self.dilation, self.groups)
            saved = [node.output()] if self.activation else []
            saved += [node.input(index) for index in self.saved_inputs(needs)]
            op = Conv2dBackward(*settings, self.activation, tuple(node.shapes[:2]), needs)
            found = iter(as_tuple(apply(op, grad, *saved))[op.masks :])
            grads = [next(found) if need else None for need in needs]
        return tuple(grads[: len(node.needs)])

    def composed(self, node: Node, grad: Tensor, needs: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
        """∂x, ∂weight and ∂bias as ops that have gradients themselves; ``node`` has x and weight for inputs, and
        ``grad`` is what comes before an activation."""
        settings = (self.stride, self.padding, self.dilation, self.groups)
        grad_x = grad_weight = grad_bias = None
        if needs[0]:
            grad_x = apply(Conv2dInputGrad(*settings, node.shapes[0]), grad, node.input(1))
        if needs[1]:
            result = apply(Conv2dWeightGrad(*settings, node.shapes[1], needs[2]), grad, node.input(0))
            grad_weight, grad_bias = result if needs[2] else (result, None)
        elif needs[2]:
            grad_bias = grad.sum((0, 2, 3))
        return grad_x, grad_weight, grad_bias


@dataclass(slots=True, eq=False)
class Conv2dBackward(Op):
    """The gradients of Conv2d in one go: g, ∂x, ∂weight and ∂bias, of which ``needs`` marks the last three.

    Inputs: ∂y, then y if there is an activation, x if ∂weight is wanted and weight if ∂x is. g = ∂y where y > 0, only
    with an activation and if not the weights alone are asked for; the others as Conv2dInputGrad and
    Conv2dWeightGrad."""

    differentiable: ClassVar[bool] = False
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    activation: str | None
    shapes: tuple[Shape, Shape]
    needs: tuple[bool, bool, bool]

    @property
    def masks(self) -> bool:
        """Whether ∂y behind the activation is an output: the gradient for the weights alone masks it on the way."""
        return self.activation is not None and self.needs[:2] != (False, True)

    def infer(self, grad, *saved):
        shapes = (*self.shapes, self.shapes[1][:1])
        wanted = [grad.shape] if self.masks else []
        wanted += [shape for shape, need in zip(shapes, self.needs, strict=True) if need]
        return tuple([Spec(shape, grad.dtype) for shape in wanted])

    def forward(self, program, out, grad, *saved):
        settings = (self.stride, self.padding, self.dilation, self.groups)
        outputs, inputs = iter(as_tuple(out)), iter(saved)
        output = next(inputs) if self.activation else None
        if self.masks:
            masked = next(outputs)
            program.relu_backward(masked, grad, output)
            grad, output = masked, None
        x = next(inputs) if self.needs[1] else None
        if self.needs[0]:
            program.conv2d_input_grad(next(outputs), grad, next(inputs), *settings)
        if self.needs[1]:
            weight_out = next(outputs)
            bias_out = next(outputs) if self.needs[2] else None
            program.conv2d_weight_grad(weight_out, bias_out, grad, x, *settings, output)
        elif self.needs[2]:
            bias_out = next(outputs)
            program.reduce(bias_out.view((1, *bias_out.shape, 1, 1)), grad, (0, 2, 3), "sum")


@dataclass(slots=True, eq=False)
class Conv2dInputGrad(Op):
    """∂x (n, c, h, w) from ∂y (n, o, oh, ow) and weight. Linear in both: ∂∂y = ∂∂x ⋆ weight, ∂weight as
    Conv2dWeightGrad."""

    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    shape: Shape

    def infer(self, grad, weight):
        return Spec(self.shape, grad.dtype)

    def forward(self, program, out, grad, weight):
        program.conv2d_input_grad(out, grad, weight, self.stride, self.padding, self.dilation, self.groups)

    def saved_inputs(self, needs):
        return (0, 1) if needs[0] and needs[1] else (1,) if needs[0] else (0,)

    def backward(self, node, grad):
        settings = (self.stride, self.padding, self.dilation, self.groups)
        return (
            apply(Conv2d(*settings), grad, node.input(1)) if node.needs[0] else None,
            apply(Conv2dWeightGrad(*settings, node.shapes[1], False), node.input(0), grad) if node.needs[1] else None,
        )


@dataclass(slots=True, eq=False)
class Conv2dWeightGrad(Op):
    """∂weight (o, c/groups, kh, kw) and, with_bias, ∂bias (o,), from ∂y and x. Linear in both."""

    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    shape: Shape
    with_bias: bool

    def infer(self, grad, x):
        spec = Spec(self.shape, grad.dtype)
        return (spec, Spec(self.shape[:1], grad.dtype)) if self.with_bias else spec

    def forward(self, program, out, grad, x):
        weight_out, bias_out = out if self.with_bias else (out, None)
        program.conv2d_weight_grad(weight_out, bias_out, grad, x, self.stride, self.padding, self.dilation, self.groups)

    def saved_inputs(self, needs):
        return (0, 1) if needs[0] and needs[1] else (1,) if needs[0] else (0,)

    def backward(self, node, grad_weight, grad_bias=None):
        settings = (self.stride, self.padding, self.dilation, self.groups)
        grad_grad = grad_x = None
        if node.needs[0]:
            if grad_weight is not None:
                grad_grad = apply(Conv2d(*settings), node.input(1), grad_weight)
            if grad_bias is not None:
                shown = grad_bias.reshape((1, -1, 1, 1)).expand(node.shapes[0])
                grad_grad = shown if grad_grad is None else grad_grad + shown
        if node.needs[1] and grad_weight is not None:
            grad_x = apply(Conv2dInputGrad(*settings, node.shapes[1]), node.input(0), grad_weight)
        return grad_grad, grad_x
