"""A convolution and the max pool behind it as one operation, and its gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numbanet.autograd import apply, is_grad_enabled
from numbanet.ops.base import Op, Shape, Spec, as_tuple
from numbanet.ops.conv import Conv2d
from numbanet.ops.pointwise import RELU_BACKWARD
from numbanet.ops.pool import MaxPool2d, MaxPool2dBackward


@dataclass(slots=True, eq=False)
class Conv2dMaxPool(Op):
    """(y, positions) = (activation(y), positions) of MaxPool2d(Conv2d(x, weight, bias)); activation is None or "relu".

    The same bits as one after the other. Of the gradient of the convolution's output only the cells that the pool chose
    are not 0: one op knows that, and that nobody else reads it. So ∂x, ∂weight and ∂bias take a quarter of the products
    for windows of 2 × 2; their sums are in another order than Conv2d's."""

    conv: Conv2d
    pool: MaxPool2d
    activation: str | None

    def infer(self, x, weight, bias=None):
        return self.pool.infer(self.conv.infer(x, weight, bias))

    def forward(self, program, out, x, weight, bias=None):
        program.conv2d_max_pool(*out, x, weight, bias, *self.settings, self.activation)

    @property
    def settings(self) -> tuple:
        """Stride, padding, dilation and groups, then window and stride of the pool."""
        conv, pool = self.conv, self.pool
        return conv.stride, conv.padding, conv.dilation, conv.groups, pool.kernel, pool.stride

    def saved_inputs(self, needs):
        return self.conv.saved_inputs(needs)

    @property
    def saves_outputs(self):
        return (0, 1) if self.activation else (1,)

    def backward(self, node, grad, _):
        needs = (*node.needs, False)[:3]
        if is_grad_enabled():
            grads = self._composed(node, grad, needs)
        else:
            saved = [node.output(index) for index in self.saves_outputs]
            saved += [node.input(index) for index in self.saved_inputs(needs)]
            op = Conv2dMaxPoolBackward(self, tuple(node.shapes[:2]), needs)
            found = iter(as_tuple(apply(op, grad, *saved)))
            grads = [next(found) if need else None for need in needs]
        return tuple(grads[: len(node.needs)])

    def _composed(self, node, grad, needs):
        """The gradients as ops that have gradients themselves."""
        if self.activation:
            grad = apply(RELU_BACKWARD, grad, node.output(0))
        conv, pool = self.conv, self.pool
        shape = conv.output_shape(*node.shapes[:2])
        op = MaxPool2dBackward(pool.kernel, pool.stride, pool.padding, pool.dilation, shape)
        return conv.composed(node, apply(op, grad, node.output(1)), needs)


@dataclass(slots=True, eq=False)
class Conv2dMaxPoolBackward(Op):
    """∂x, ∂weight and ∂bias of Conv2dMaxPool, those that ``needs`` marks.

    Inputs: ∂y, then y if there is an activation, positions, x if ∂weight is wanted and weight if ∂x is."""

    differentiable: ClassVar[bool] = False
    op: Conv2dMaxPool
    shapes: tuple[Shape, Shape]
    needs: tuple[bool, bool, bool]

    def infer(self, grad, *saved):
        shapes = (*self.shapes, self.shapes[1][:1])
        return tuple([Spec(shape, grad.dtype) for shape, need in zip(shapes, self.needs, strict=True) if need])

    def forward(self, program, out, grad, *saved):
        outputs, inputs = iter(as_tuple(out)), iter(saved)
        wanted = [next(outputs) if need else None for need in self.needs]
        output = next(inputs) if self.op.activation else None
        positions = next(inputs)
        x = next(inputs) if self.needs[1] else None
        weight = next(inputs) if self.needs[0] else None
        program.conv2d_max_pool_backward(*wanted, grad, output, positions, x, weight, *self.op.settings)
