"""Max and average pooling, and their gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numbanet.autograd import apply
from numbanet.kernels.array import Array
from numbanet.ops.base import INT32, Op, Shape, Spec, require_float

Pair = tuple[int, int]


def pool_output_size(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """⌊ or ⌈(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1; the last window begins inside the picture."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    out = (span + stride - 1 if ceil_mode else span) // stride + 1
    if ceil_mode and (out - 1) * stride >= size + padding:
        out -= 1
    return out


def _infer(name: str, x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool) -> Shape:
    require_float(name, x)
    if x.ndim != 4:
        raise RuntimeError(f"{name} needs a tensor (n, c, h, w), got {x.shape}")
    if min(kernel) < 1 or min(stride) < 1 or min(dilation) < 1:
        raise RuntimeError(f"{name}: kernel {kernel}, stride {stride} and dilation {dilation} must be positive")
    if any(not 0 <= p <= k // 2 for p, k in zip(padding, kernel, strict=True)):
        raise RuntimeError(
            f"pad should be at most half of effective kernel size, but got pad={padding}, kernel_size={kernel}"
        )
    size = tuple(
        pool_output_size(x.shape[2 + a], kernel[a], stride[a], padding[a], dilation[a], ceil_mode) for a in (0, 1)
    )
    if min(size) < 1:
        raise RuntimeError(
            f"{name}: Given input size {x.shape[1:]}. Calculated output size {size}. Output size is too small"
        )
    return (*x.shape[:2], *size)


@dataclass(slots=True)
class MaxPool2d(Op):
    """(y, indices) = the maximum of each window of x (n, c, h, w), and where it is in the plane (int32).

    Padding counts as −∞; the first of equal maxima is taken, a NaN is the maximum. ∂x = ∂y at the indices."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    ceil_mode: bool

    saves_outputs: ClassVar = (1,)

    def infer(self, x):
        shape = _infer("max_pool2d", x, self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)
        return Spec(shape, x.dtype), Spec(shape, INT32)

    def forward(self, program, out, x):
        program.max_pool2d(out[0], out[1], x, self.kernel, self.stride, self.padding, self.dilation)

    def backward(self, node, grad, _):
        op = MaxPool2dBackward(self.kernel, self.stride, self.padding, self.dilation, node.shapes[0])
        return apply(op, grad, node.output(1))


@dataclass(slots=True)
class MaxPool2dBackward(Op):
    """∂x (n, c, h, w) = ∂y (n, c, oh, ow) added up at indices. Its gradient: ∂∂x read at the indices."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    shape: Shape

    saves_inputs: ClassVar = (1,)

    def infer(self, grad, indices):
        return Spec(self.shape, grad.dtype)

    def forward(self, program, out, grad, indices):
        program.max_pool2d_backward(out, grad, indices, self.kernel, self.stride, self.padding, self.dilation)

    def backward(self, node, grad):
        n, c, h, w = self.shape
        indices = node.input(1)
        flat = indices.long().reshape((n, c, -1))
        return grad.reshape((n, c, h * w)).gather(2, flat).reshape(indices.shape), None


@dataclass(slots=True)
class AvgPool2d(Op):
    """y (n, c, oh, ow) = the mean of each window of x (n, c, h, w), padded with zeros.

    The mean divides by the cells of the window in the padded picture, or only by those in the picture without
    count_include_pad."""

    kernel: Pair
    stride: Pair
    padding: Pair
    ceil_mode: bool
    count_include_pad: bool

    def infer(self, x):
        return Spec(_infer("avg_pool2d", x, self.kernel, self.stride, self.padding, (1, 1), self.ceil_mode), x.dtype)

    def forward(self, program, out, x):
        program.avg_pool2d(out, x, self.kernel, self.stride, self.padding, self.count_include_pad)

    def backward(self, node, grad):
        op = AvgPool2dBackward(
            self.kernel, self.stride, self.padding, self.ceil_mode, self.count_include_pad, node.shapes[0]
        )
        return apply(op, grad)


@dataclass(slots=True)
class AvgPool2dBackward(Op):
    """∂x (n, c, h, w) = each ∂y shared out evenly over its window. Its gradient: AvgPool2d."""

    kernel: Pair
    stride: Pair
    padding: Pair
    ceil_mode: bool
    count_include_pad: bool
    shape: Shape

    def infer(self, grad):
        return Spec(self.shape, grad.dtype)

    def forward(self, program, out, grad):
        program.avg_pool2d_backward(out, grad, self.kernel, self.stride, self.padding, self.count_include_pad)

    def backward(self, node, grad):
        return apply(AvgPool2d(self.kernel, self.stride, self.padding, self.ceil_mode, self.count_include_pad), grad)
