"""Reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from numbanet.autograd import apply
from numbanet.ops.base import BOOL, INT64, Op, Shape, Spec, require_float

if TYPE_CHECKING:
    from numbanet.tensor import Tensor


def reduced_shape(shape: Shape, axes: Sequence[int], keepdim: bool) -> Shape:
    """shape without axes, or with them as 1."""
    if keepdim:
        return tuple(1 if axis in axes else extent for axis, extent in enumerate(shape))
    return tuple(extent for axis, extent in enumerate(shape) if axis not in axes)


def count_of(shape: Shape, axes: Sequence[int]) -> int:
    """How many elements a reduction over axes puts together."""
    return math.prod([shape[axis] for axis in axes])


@dataclass(slots=True, eq=False)
class Reduce(Op):
    """y = function over axes of x, which are dropped or, with keepdim, kept as 1."""

    strided: ClassVar[bool] = True
    function: ClassVar[str]
    axes: tuple[int, ...]
    keepdim: bool

    def infer(self, x):
        return Spec(reduced_shape(x.shape, self.axes, self.keepdim), x.dtype)

    def forward(self, program, out, x):
        kept = out if self.keepdim else out.view(reduced_shape(x.shape, self.axes, True))
        program.reduce(kept, x, self.axes, self.function)

    def kept(self, value: Tensor, shape: Shape) -> Tensor:
        """value (an output, or its gradient) with the axes of an input of this shape kept as 1."""
        return value if self.keepdim else value.reshape(reduced_shape(shape, self.axes, True))


@dataclass(slots=True, eq=False)
class Sum(Reduce):
    """y = Σ x over axes; int64 for integers and bool. ∂x = ∂y, repeated along axes."""

    function: ClassVar[str] = "sum"

    def infer(self, x):
        dtype = x.dtype if x.dtype.kind == "f" else INT64
        return Spec(reduced_shape(x.shape, self.axes, self.keepdim), dtype)

    def backward(self, node, grad):
        return self.kept(grad, node.shapes[0]).expand(node.shapes[0])


@dataclass(slots=True, eq=False)
class Mean(Reduce):
    """y = Σ x / n over axes of n elements (none: NaN). ∂x = ∂y / n, repeated along axes."""

    function: ClassVar[str] = "mean"

    def infer(self, x):
        if x.dtype.kind != "f":
            raise RuntimeError(f"mean(): the tensor must be floating point, got {x.dtype}; use .float().mean()")
        return Spec(reduced_shape(x.shape, self.axes, self.keepdim), x.dtype)

    def backward(self, node, grad):
        shape = node.shapes[0]
        return self.kept(grad / count_of(shape, self.axes), shape).expand(shape)


@dataclass(slots=True, eq=False)
class Variance(Op):
    """(v, m) = variance and mean of x over axes of n elements: m = Σ x / n, v = Σ (x − m)² / max(0, n − correction).

    ∂x = ∂v · 2 (x − m) / max(0, n − correction) + ∂m / n. NaN where n is 0 or n = correction."""

    strided: ClassVar[bool] = True
    saves_inputs: ClassVar = (0,)
    saves_outputs: ClassVar = (1,)
    axes: tuple[int, ...]
    keepdim: bool
    correction: float

    def infer(self, x):
        require_float("var", x)
        spec = Spec(reduced_shape(x.shape, self.axes, self.keepdim), x.dtype)
        return spec, spec

    def forward(self, program, out, x):
        shape = reduced_shape(x.shape, self.axes, True)
        program.variance(out[0].view(shape), out[1].view(shape), x, self.axes, self.correction)

    def backward(self, node, grad, grad_mean):
        x = node.input(0)
        shape = reduced_shape(x.shape, self.axes, True)
        count = count_of(x.shape, self.axes)
        result = None
        if grad is not None:
            left = max(0.0, count - self.correction)
            result = (x - node.output(1).reshape(shape)) * (grad.reshape(shape) * (2 / left if left else math.inf))
        if grad_mean is not None:
            mean = (grad_mean / count).reshape(shape).expand(x.shape)
            result = mean if result is None else result + mean
        return result


@dataclass(slots=True, eq=False)
class Prod(Reduce):
    """y = Π x over axes; int64 for integers and bool. ∂x = ∂y · y / x, and where x has zeros, the product of the
    others."""

    function: ClassVar[str] = "prod"
    saves_inputs: ClassVar = (0,)

    def infer(self, x):
        dtype = x.dtype if x.dtype.kind == "f" else INT64
        return Spec(reduced_shape(x.shape, self.axes, self.keepdim), dtype)

    def backward(self, node, grad):
        x = node.input(0)
        grad = self.kept(grad, x.shape)
        zero = x == 0
        count = zero.sum(self.axes, keepdim=True)
        others = apply(Prod(self.axes, True), zero.where(x.new_ones(()), x))  # the product without the zeros
        plain = others / zero.where(x.new_ones(()), x)
        share = (count == 0).where(plain, ((count == 1) & zero).where(others, x.new_zeros(())))
        return grad * share


@dataclass(slots=True, eq=False)
class Amax(Reduce):
    """y = maximum of x over axes, NaN if there is one. ∂x = ∂y, shared out evenly between equal maxima."""

    function: ClassVar[str] = "max"
    saves_inputs: ClassVar = (0,)
    saves_outputs: ClassVar = (0,)

    def infer(self, x):
        for axis in self.axes:
            if x.shape[axis] == 0:
                raise IndexError(f"a {self.function} over no elements: dimension {axis} of {x.shape} is empty")
        return Spec(reduced_shape(x.shape, self.axes, self.keepdim), x.dtype)

    def backward(self, node, grad):
        x = node.input(0)
        found = self.kept(node.output(), x.shape)
        mask = (x == found).to(grad.dtype)
        return mask * (self.kept(grad, x.shape) / mask.sum(self.axes, keepdim=True))


@dataclass(slots=True, eq=False)
class Amin(Amax):
    """y = minimum of x over axes, NaN if there is one. ∂x = ∂y, shared out evenly between equal minima."""

    function: ClassVar[str] = "min"


@dataclass(slots=True, eq=False)
class MaxAlong(Op):
    """(values, indices) = maximum or minimum of x along one axis and where it is first; indices int64.

    ∂x = ∂values at the indices, 0 elsewhere."""

    strided: ClassVar[bool] = True
    saves_outputs: ClassVar = (1,)
    axis: int
    keepdim: bool
    function: str

    def infer(self, x):
        _require_elements(self.function, x, self.axis)
        shape = reduced_shape(x.shape, (self.axis,), self.keepdim)
        return Spec(shape, x.dtype), Spec(shape, INT64)

    def forward(self, program, out, x):
        shape = reduced_shape(x.shape, (self.axis,), True)
        program.reduce(out[0].view(shape), x, (self.axis,), self.function)
        program.argreduce(out[1].view(shape), x, self.axis, self.function)

    def backward(self, node, grad, _):
        shape = node.shapes[0]
        kept = reduced_shape(shape, (self.axis,), True)
        indices = node.output(1).reshape(kept)
        column = [1] * len(shape)
        column[self.axis] = shape[self.axis]
        here = indices.new_arange(shape[self.axis]).reshape(tuple(column)) == indices
        return here.where(grad.reshape(kept), grad.new_zeros(()))


@dataclass(slots=True, eq=False)
class Argreduce(Op):
    """y (int64) = the first index of the maximum or minimum of x along one axis; a NaN counts as the extreme."""

    strided: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False
    axis: int
    keepdim: bool
    function: str

    def infer(self, x):
        _require_elements(f"arg{self.function}", x, self.axis)
        return Spec(reduced_shape(x.shape, (self.axis,), self.keepdim), INT64)

    def forward(self, program, out, x):
        program.argreduce(out.view(reduced_shape(x.shape, (self.axis,), True)), x, self.axis, self.function)


@dataclass(slots=True, eq=False)
class Truth(Reduce):
    """y (bool) = any or all of x over axes."""

    differentiable: ClassVar[bool] = False
    function: str  # type: ignore[misc]  (a field here)

    def infer(self, x):
        return Spec(reduced_shape(x.shape, self.axes, self.keepdim), BOOL)


def _require_elements(name, x, axis):
    if not x.shape or x.shape[axis] == 0:
        raise IndexError(f"{name} along dimension {axis} of a tensor of shape {x.shape}: there is no element")
