"""Locally connected layers: convolutions whose weights differ from position to position (LECTURE row L2)."""

from __future__ import annotations

from dataclasses import dataclass

from numbanet.autograd import apply
from numbanet.ops.base import Op, Shape, Spec, require_float
from numbanet.ops.conv import conv_output_size

Pair = tuple[int, int]


@dataclass(slots=True, eq=False)
class LocallyConnected2d(Op):
    """y (n, o, oh, ow) from x (n, c, h, w) and weight (oh · ow, c · kh · kw, o), which no two positions share.

    y[n, :, i, j] = Σ_k patch[n, k] · weight[i · ow + j, k, :], where the patch of (i, j) is the padded picture's
    [c, i · stride + u, j · stride + v] in the order (c, u, v)."""

    kernel: Pair
    stride: Pair
    padding: Pair

    def infer(self, x, weight):
        require_float("locally_connected2d", x, weight)
        if x.ndim != 4 or weight.ndim != 3:
            raise RuntimeError(
                f"locally_connected2d needs (n, c, h, w) and a weight (oh · ow, c · kh · kw, o), got {x.shape} and "
                f"{weight.shape}"
            )
        if min(self.kernel) < 1 or min(self.stride) < 1 or min(self.padding) < 0:
            raise RuntimeError(
                f"locally_connected2d: kernel {self.kernel} and stride {self.stride} must be positive, padding "
                f"{self.padding} not negative"
            )
        n, c, *size = x.shape
        oh, ow = (conv_output_size(size[a], self.kernel[a], self.stride[a], self.padding[a], 1) for a in (0, 1))
        if oh < 1 or ow < 1:
            raise RuntimeError(
                f"locally_connected2d: the kernel {self.kernel} does not fit into the picture {tuple(size)} with "
                f"padding {self.padding}"
            )
        depth = c * self.kernel[0] * self.kernel[1]
        if weight.shape[:2] != (oh * ow, depth):
            raise RuntimeError(
                f"locally_connected2d: pictures {x.shape[1:]} with kernel {self.kernel} have {oh}·{ow} positions of "
                f"{depth} inputs, which a weight of shape {weight.shape} does not fit"
            )
        return Spec((n, weight.shape[2], oh, ow), x.dtype)

    def forward(self, program, out, x, weight):
        program.locally_connected2d(out, x, weight, self.kernel, self.stride, self.padding)

    def saved_inputs(self, needs):
        return (0, 1) if needs[0] and needs[1] else (1,) if needs[0] else (0,)

    def backward(self, node, grad):
        settings = (self.kernel, self.stride, self.padding)
        return (
            apply(LocallyConnected2dInputGrad(*settings, node.shapes[0]), grad, node.input(1))
            if node.needs[0]
            else None,
            apply(LocallyConnected2dWeightGrad(*settings, node.shapes[1]), grad, node.input(0))
            if node.needs[1]
            else None,
        )


@dataclass(slots=True, eq=False)
class LocallyConnected2dInputGrad(Op):
    """∂x (n, c, h, w) from ∂y and weight. Linear in both."""

    kernel: Pair
    stride: Pair
    padding: Pair
    shape: Shape

    def infer(self, grad, weight):
        return Spec(self.shape, grad.dtype)

    def forward(self, program, out, grad, weight):
        program.locally_connected2d_input_grad(out, grad, weight, self.kernel, self.stride, self.padding)

    def saved_inputs(self, needs):
        return (0, 1) if needs[0] and needs[1] else (1,) if needs[0] else (0,)

    def backward(self, node, grad):
        settings = (self.kernel, self.stride, self.padding)
        return (
            apply(LocallyConnected2d(*settings), grad, node.input(1)) if node.needs[0] else None,
            apply(LocallyConnected2dWeightGrad(*settings, node.shapes[1]), node.input(0), grad)
            if node.needs[1]
            else None,
        )


@dataclass(slots=True, eq=False)
class LocallyConnected2dWeightGrad(Op):
    """∂weight (oh · ow, c · kh · kw, o) from ∂y and x. Linear in both."""

    kernel: Pair
    stride: Pair
    padding: Pair
    shape: Shape

    def infer(self, grad, x):
        return Spec(self.shape, grad.dtype)

    def forward(self, program, out, grad, x):
        program.locally_connected2d_weight_grad(out, grad, x, self.kernel, self.stride, self.padding)

    def saved_inputs(self, needs):
        return (0, 1) if needs[0] and needs[1] else (1,) if needs[0] else (0,)

    def backward(self, node, grad):
        settings = (self.kernel, self.stride, self.padding)
        return (
            apply(LocallyConnected2d(*settings), node.input(1), grad) if node.needs[0] else None,
            apply(LocallyConnected2dInputGrad(*settings, node.shapes[1]), node.input(0), grad)
            if node.needs[1]
            else None,
        )
