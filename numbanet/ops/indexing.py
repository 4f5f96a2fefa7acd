"""Reading and writing at index tensors, and joining."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from numbanet.autograd import apply, apply_view
from numbanet.kernels.array import Array
from numbanet.ops.base import Op, Shape, Spec, broadcast, broadcast_shapes, sum_to
from numbanet.ops.shape import Slice, slice_view


class Slot:
    """The place of an index tensor in a template: the tensors themselves are inputs of the op."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "·"


SLOT = Slot()
Template = tuple  # of SLOT, int, slice and None, normalised


def fill_template(template: Template, indices: Sequence[Array]) -> tuple:
    """The template with its slots filled."""
    following = iter(indices)
    return tuple([next(following) if part is SLOT else part for part in template])


def indexed_shape(shape: Shape, template: Template, indices: Sequence[Array]) -> Shape:
    """The shape of x[template] by NumPy's rules: ints and index tensors are broadcast together; their dimensions come
    first, or in the place of the index tensors where those stand side by side."""
    common: Shape = ()
    for array in indices:
        common = broadcast_shapes(common, array.shape)
    result, axis, place, last, apart = [], 0, None, None, False
    for position, part in enumerate(template):
        if part is None:
            result.append(1)
        elif type(part) is slice:
            result.append(len(range(part.start, part.stop, part.step)))
            axis += 1
        else:
            if place is None:
                place = len(result)
            elif last != position - 1:
                apart = True
            last = position
            axis += 1
    place = 0 if apart else place
    return (*result[:place], *common, *result[place:])


@dataclass(slots=True, eq=False)
class Take(Op):
    """y = x[template] with index tensors (int64). ∂x = zeros with ∂y added at the indices."""

    repeats: ClassVar[bool] = False
    strided: ClassVar[bool] = True  # the index tensors are made contiguous by the caller
    template: Template

    def infer(self, x, *indices):
        return Spec(indexed_shape(x.shape, self.template, indices), x.dtype)

    def forward(self, program, out, x, *indices):
        program.take(out, x, fill_template(self.template, indices))

    def saved_inputs(self, needs):
        return range(1, len(needs))

    def backward(self, node, grad):
        indices = [node.input(i) for i in range(1, len(node.needs))]
        return (apply(TakeBackward(self.template, node.shapes[0]), grad, *indices), *[None] * len(indices))


@dataclass(slots=True, eq=False)
class TakeBackward(Op):
    """x = zeros of a shape, and ∂y added at x[template]; what is indexed twice adds up. Its gradient: Take."""

    repeats: ClassVar[bool] = False
    strided: ClassVar[bool] = True
    template: Template
    shape: Shape

    def infer(self, grad, *indices):
        return Spec(self.shape, grad.dtype)

    def forward(self, program, out, grad, *indices):
        program.fill(out, 0)
        if grad.size:
            program.put(out, grad, fill_template(self.template, indices), True)

    def saved_inputs(self, needs):
        return range(1, len(needs))

    def backward(self, node, grad):
        indices = [node.input(i) for i in range(1, len(node.needs))]
        return (apply(Take(self.template), grad, *indices), *[None] * len(indices))


@dataclass(slots=True, eq=False)
class Put(Op):
    """x[template] ← values, or += with accumulate; in place or as a new tensor.

    ∂x = ∂y, with zeros at the indices unless accumulate; ∂values = ∂y[template], summed to values."""

    repeats: ClassVar[bool] = False
    strided: ClassVar[bool] = True
    inplace: ClassVar[bool] = True
    template: Template
    accumulate: bool

    def infer(self, x, values, *indices):
        shape = self._shape(x, indices)
        if broadcast_shapes(shape, values.shape) != shape:
            raise RuntimeError(
                f"shape mismatch: value tensor of shape {values.shape} cannot be broadcast to indexing result "
                f"of shape {shape}"
            )
        if values.dtype != x.dtype:
            raise RuntimeError(
                f"Index put requires the source and destination dtypes match, got {x.dtype} and {values.dtype}"
            )
        return Spec(x.shape, x.dtype)

    def _shape(self, x, indices):
        if indices:
            return indexed_shape(x.shape, self.template, indices)
        return slice_view(x, self.template).shape

    def forward(self, program, out, x, values, *indices):
        if x.storage is not out.storage:
            program.copy(out, x)
        shape = self._shape(x, indices)
        if 0 in shape:
            return
        values = broadcast(values, shape)
        if indices:
            program.put(out, values, fill_template(self.template, indices), self.accumulate)
        else:
            program.copy(slice_view(out, self.template), values)

    def saved_inputs(self, needs):
        return range(2, len(needs))

    def backward(self, node, grad):
        indices = [node.input(i) for i in range(2, len(node.needs))]
        grad_x = grad_values = None
        if node.needs[0]:
            grad_x = grad if self.accumulate else apply(Put(self.template, False), grad, grad.new_zeros(()), *indices)
        if node.needs[1]:
            taken = apply(Take(self.template), grad, *indices) if indices else apply_view(Slice(self.template), grad)
            grad_values = sum_to(taken, node.shapes[1])
        return (grad_x, grad_values, *[None] * len(indices))


@dataclass(slots=True, eq=False)
class Concatenate(Op):
    """y = the inputs joined along an axis. ∂inputs = slices of ∂y."""

    strided: ClassVar[bool] = True
    axis: int

    def infer(self, *arrays):
        first = arrays[0]
        for array in arrays:
            if array.ndim != first.ndim or any(
                a != b and axis != self.axis for axis, (a, b) in enumerate(zip(array.shape, first.shape, strict=True))
            ):
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {self.axis}: got {first.shape} and {array.shape}"
                )
        total = sum(array.shape[self.axis] for array in arrays)
        return Spec((*first.shape[: self.axis], total, *first.shape[self.axis + 1 :]), first.dtype)

    def forward(self, program, out, *arrays):
        program.concatenate(out, tuple(arrays), self.axis)

    def backward(self, node, grad):
        grads, start = [], 0
        for need, shape in zip(node.needs, node.shapes, strict=True):
            stop = start + shape[self.axis]
            grads.append(grad.narrow(self.axis, start, stop - start) if need else None)
            start = stop
        return tuple(grads)
