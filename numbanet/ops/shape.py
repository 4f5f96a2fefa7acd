"""Views: other shapes and strides over the same memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numbanet.autograd import apply, apply_view
from numbanet.kernels.array import Array
from numbanet.ops.base import Op, Shape, Spec, ViewOp, sum_to


@dataclass(slots=True, eq=False)
class Reshape(ViewOp):
    """y = x's elements, row by row, in another shape. ∂x = ∂y in x's shape. Only where strides can say it."""

    shape: Shape

    def view(self, array):
        strides = view_strides(array, self.shape)
        if strides is None:
            raise RuntimeError(
                f"view size {self.shape} is not compatible with the tensor's size {array.shape} and stride "
                f"{array.strides} "
                "(at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead."
            )
        return array.view(self.shape, None if array.is_contiguous else strides)

    def backward(self, node, grad):
        return grad.reshape(node.shapes[0])


def view_strides(array: Array, shape: Shape) -> Shape | None:
    """The strides with which array's memory has this shape, or None if it cannot be seen so."""
    if array.is_contiguous:
        return ()
    if array.size == 0:
        return None
    # runs of dimensions without gaps, from the last: [elements, step]
    runs: list[list[int]] = []
    for extent, stride in zip(reversed(array.shape), reversed(array.strides), strict=True):
        if extent == 1:
            continue
        if runs and stride == runs[-1][0] * runs[-1][1]:
            runs[-1][0] *= extent
        else:
            runs.append([extent, stride])
    strides, at, done = [], 0, 1
    for extent in reversed(shape):
        if extent == 1:
            strides.append(0 if at >= len(runs) else runs[at][1] * done)
            continue
        if at >= len(runs) or runs[at][0] % (done * extent):
            return None
        strides.append(runs[at][1] * done)
        done *= extent
        if done == runs[at][0]:
            at, done = at + 1, 1
    return tuple(reversed(strides))


@dataclass(slots=True, eq=False)
class Permute(ViewOp):
    """y = x with its dimensions in another order. ∂x = ∂y in the order before."""

    order: tuple[int, ...]

    def view(self, array):
        shape, strides = array.shape, array.strides
        return array.view(tuple([shape[axis] for axis in self.order]), tuple([strides[axis] for axis in self.order]))

    def backward(self, node, grad):
        back = [0] * len(self.order)
        for position, axis in enumerate(self.order):
            back[axis] = position
        return apply_view(Permute(tuple(back)), grad)


@dataclass(slots=True, eq=False)
class Expand(ViewOp):
    """y = x repeated along new dimensions and those of size 1, without a copy. ∂x = ∂y summed over them."""

    shape: Shape

    def view(self, array):
        lead = len(self.shape) - array.ndim
        strides = [0] * lead
        for axis, (extent, stride) in enumerate(zip(array.shape, array.strides, strict=True), lead):
            if extent != self.shape[axis] and extent != 1:
                raise RuntimeError(
                    f"The expanded size of the tensor ({self.shape[axis]}) must match the existing size ({extent}) at "
                    f"non-singleton dimension {axis}. Target sizes: {self.shape}. Tensor sizes: {array.shape}"
                )
            strides.append(stride if extent == self.shape[axis] else 0)
        return array.view(self.shape, tuple(strides))

    def backward(self, node, grad):
        return sum_to(grad, node.shapes[0])


@dataclass(slots=True, eq=False)
class Alias(ViewOp):
    """y = x: the same memory under another Tensor. ∂x = ∂y."""

    def view(self, array):
        return array.view(array.shape, array.strides)

    def backward(self, node, grad):
        return grad


@dataclass(slots=True, eq=False)
class Slice(ViewOp):
    """y = x[index] for a basic index, a tuple of ints, slices and None. ∂x = ∂y at the index, 0 elsewhere."""

    repeats: ClassVar[bool] = False
    index: tuple

    def view(self, array):
        return slice_view(array, self.index)

    def backward(self, node, grad):
        return apply(Place(node.shapes[0], self.index), grad)


def slice_view(array: Array, index: tuple) -> Array:
    """array[index]; index is normalised: no Ellipsis, ints and slices in range, as many as there are dimensions."""
    shape, strides, offset, axis = [], [], array.offset, 0
    for part in index:
        if part is None:
            shape.append(1)
            strides.append(0)
            continue
        stride = array.strides[axis]
        if type(part) is slice:
            length = len(range(part.start, part.stop, part.step))
            shape.append(length)
            strides.append(stride * part.step)
            if length:
                offset += stride * part.start
        else:
            offset += stride * part
        axis += 1
    return array.view(tuple(shape), tuple(strides), offset)


@dataclass(slots=True, eq=False)
class Place(Op):
    """y of a shape, with y[index] = x for a basic index as in ``Slice``, and one value elsewhere: what pads, and the
    gradient of a slice. ∂x = ∂y[index]."""

    repeats: ClassVar[bool] = False
    strided: ClassVar[bool] = True
    shape: Shape
    index: tuple
    value: float = 0

    def infer(self, x):
        return Spec(self.shape, x.dtype)

    def forward(self, program, out, x):
        program.fill(out, self.value)
        view = slice_view(out, self.index)
        if view.size:
            program.copy(view, x)

    def backward(self, node, grad):
        return apply_view(Slice(self.index), grad)
