"""Max and average pooling, adaptive pooling, and their gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from numbanet.autograd import apply
from numbanet.kernels.array import Array
from numbanet.ops.base import INT32, INT64, Op, Shape, Spec, require_float

if TYPE_CHECKING:
    from numbanet.tensor import Tensor

Pair = tuple[int, int]
UINT8 = np.dtype(np.uint8)


def pool_output_size(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """⌊ or ⌈(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1; the last window begins inside the picture."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    out = (span + stride - 1 if ceil_mode else span) // stride + 1
    if ceil_mode and (out - 1) * stride >= size + padding:
        out -= 1
    return out


def _infer(
    name: str, x: Array | Spec, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Shape:
    require_float(name, x)
    if len(x.shape) != 4:
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


@dataclass(slots=True, eq=False)
class MaxPool2d(Op):
    """(y, positions) = the maximum of each window of x (n, c, h, w), and its cell ky · kw + kx in the window.

    Padding counts as −∞; the first of equal maxima is taken, a NaN is the maximum. ∂x = ∂y at the positions, which are
    uint8 (int32 for windows of more than 256 cells): a quarter of what indices would take from memory twice."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    ceil_mode: bool

    saves_outputs: ClassVar = (1,)

    def infer(self, x):
        shape = _infer("max_pool2d", x, self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)
        return Spec(shape, x.dtype), Spec(shape, UINT8 if self.kernel[0] * self.kernel[1] <= 256 else INT32)

    def forward(self, program, out, x):
        program.max_pool2d(out[0], out[1], x, self.kernel, self.stride, self.padding, self.dilation)

    def backward(self, node, grad, _):
        op = MaxPool2dBackward(self.kernel, self.stride, self.padding, self.dilation, node.shapes[0])
        return apply(op, grad, node.output(1))


@dataclass(slots=True, eq=False)
class MaxPool2dBackward(Op):
    """∂x (n, c, h, w) = ∂y (n, c, oh, ow) added up at positions. Its gradient: ∂∂x read there."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    shape: Shape

    saves_inputs: ClassVar = (1,)

    def infer(self, grad, positions):
        return Spec(self.shape, grad.dtype)

    def forward(self, program, out, grad, positions):
        program.max_pool2d_backward(out, grad, positions, self.kernel, self.stride, self.padding, self.dilation)

    def backward(self, node, grad):
        op = MaxPool2dIndices(self.kernel, self.stride, self.padding, self.dilation, self.shape[3])
        return _read(grad, apply(op, node.input(1))), None


@dataclass(slots=True, eq=False)
class MaxPool2dIndices(Op):
    """The places y · width + x in the plane (int64) that the positions of MaxPool2d stand for."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    width: int

    differentiable: ClassVar = False

    def infer(self, positions):
        return Spec(positions.shape, INT64)

    def forward(self, program, out, positions):
        program.max_pool2d_indices(out, positions, self.width, self.kernel, self.stride, self.padding, self.dilation)


def _read(x: Tensor, indices: Tensor) -> Tensor:
    """x (n, c, h, w) at the places of each plane that indices (n, c, oh, ow) name."""
    (n, c, h, w), (oh, ow) = x.shape, indices.shape[2:]
    return x.reshape((n, c, h * w)).gather(2, indices.reshape((n, c, oh * ow))).reshape(indices.shape)


@dataclass(slots=True, eq=False)
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


@dataclass(slots=True, eq=False)
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


def _infer_adaptive(name: str, x: Array, size: Pair) -> Shape:
    require_float(name, x)
    if x.ndim != 4:
        raise RuntimeError(f"{name} needs a tensor (n, c, h, w), got {x.shape}")
    if min(size) < 1:
        raise RuntimeError(f"{name}: output_size must be positive, got {size}")
    if 0 in x.shape[1:]:
        raise RuntimeError(f"{name}: expected a picture that is not empty, got {x.shape}")
    return (*x.shape[:2], *size)


@dataclass(slots=True, eq=False)
class AdaptiveAvgPool2d(Op):
    """y (n, c, oh, ow) = means over windows that share x (n, c, h, w) out, or overlap by a cell where they must.

    Window i of oh covers the rows ⌊i·h/oh⌋ … ⌈(i+1)·h/oh⌉ − 1, likewise the columns (He et al. 2014, SPP)."""

    size: Pair

    def infer(self, x):
        return Spec(_infer_adaptive("adaptive_avg_pool2d", x, self.size), x.dtype)

    def forward(self, program, out, x):
        program.adaptive_avg_pool2d(out, x)

    def backward(self, node, grad):
        return apply(AdaptiveAvgPool2dBackward(node.shapes[0]), grad)


@dataclass(slots=True, eq=False)
class AdaptiveAvgPool2dBackward(Op):
    """∂x (n, c, h, w) = each ∂y shared out evenly over its window. Its gradient: AdaptiveAvgPool2d."""

    shape: Shape

    def infer(self, grad):
        return Spec(self.shape, grad.dtype)

    def forward(self, program, out, grad):
        program.adaptive_avg_pool2d_backward(out, grad)

    def backward(self, node, grad):
        return apply(AdaptiveAvgPool2d(node.shapes[0][2:]), grad)


@dataclass(slots=True, eq=False)
class AdaptiveMaxPool2d(Op):
    """(y, indices) = maxima over the windows of AdaptiveAvgPool2d, and where they are in the plane (int32).

    The first of equal maxima is taken, a NaN is the maximum. ∂x = ∂y at the indices."""

    size: Pair

    saves_outputs: ClassVar = (1,)

    def infer(self, x):
        shape = _infer_adaptive("adaptive_max_pool2d", x, self.size)
        return Spec(shape, x.dtype), Spec(shape, INT32)

    def forward(self, program, out, x):
        program.adaptive_max_pool2d(out[0], out[1], x)

    def backward(self, node, grad, _):
        return apply(AdaptiveMaxPool2dBackward(node.shapes[0]), grad, node.output(1))


@dataclass(slots=True, eq=False)
class AdaptiveMaxPool2dBackward(Op):
    """∂x (n, c, h, w) = ∂y (n, c, oh, ow) added up at indices. Its gradient: ∂∂x read there."""

    shape: Shape

    saves_inputs: ClassVar = (1,)

    def infer(self, grad, indices):
        return Spec(self.shape, grad.dtype)

    def forward(self, program, out, grad, indices):
        program.adaptive_max_pool2d_backward(out, grad, indices)

    def backward(self, node, grad):
        return _read(grad, node.input(1).long()), None
