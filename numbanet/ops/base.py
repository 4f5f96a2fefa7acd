"""What an operation is: shapes, kernels, gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from numbanet.kernels.array import Array

if TYPE_CHECKING:
    from numbanet.autograd import Node
    from numbanet.kernels.backend import Program
    from numbanet.tensor import Tensor

Shape = tuple[int, ...]

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
INT64 = np.dtype(np.int64)
INT32 = np.dtype(np.int32)
BOOL = np.dtype(np.bool_)


class Spec:
    """Shape and dtype of an output."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Shape, dtype: np.dtype) -> None:
        self.shape = shape
        self.dtype = dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self.shape == other.shape and self.dtype == other.dtype

    __hash__ = None

    def __repr__(self) -> str:
        return f"Spec({self.shape}, {self.dtype})"


_made: dict[tuple, Op] = {}
MOST_MADE = 1 << 14


class OpClass(type):
    """The class of op classes: making an op with the settings of one that exists gives that one.

    So an op is its own key where what was worked out for it is kept."""

    def __call__(cls, *settings: object, **named: object) -> Op:
        if not cls.repeats or cls.__hash__ is None:  # a dataclass that compares its fields has no hash
            cls.repeats = False
            return super().__call__(*settings, **named)
        key = (cls, *settings, *named.items()) if named else (cls, *settings)
        op = _made.get(key)
        if op is None:
            if len(_made) >= MOST_MADE:
                _made.clear()
            op = _made[key] = super().__call__(*settings, **named)
        return op


@dataclass(slots=True, eq=False)
class Op(metaclass=OpClass):
    """An operation with its settings as fields, which never change; its inputs and outputs are tensors.

    ``strided``: all inputs may have any strides. ``inplace``: the output may share memory with the first input.
    ``mutates``: the numbers of the inputs that the op changes (``apply_mutating`` runs ops without outputs).
    ``saves_inputs`` and ``saves_outputs``: what ``backward`` asks its node for. ``differentiable``: gradients flow
    through it. ``repeats``: the same settings come up again and again, and can be hashed (not so offsets of random
    numbers, or indices).
    """

    strided: ClassVar[bool] = False
    inplace: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    repeats: ClassVar[bool] = True
    mutates: ClassVar[tuple[int, ...]] = ()
    saves_inputs: ClassVar[tuple[int, ...]] = ()
    saves_outputs: ClassVar[tuple[int, ...]] = ()

    def infer(self, *arrays: Array) -> Spec | tuple[Spec, ...]:
        """The outputs that these inputs give. Raises for inputs that the op cannot take."""
        raise NotImplementedError

    def forward(self, program: Program, out: Array | tuple[Array, ...], *arrays: Array) -> None:
        """Append the kernels that compute out."""
        raise NotImplementedError

    def backward(self, node: Node, *grads: Tensor | None) -> Tensor | tuple[Tensor | None, ...] | None:
        """The gradients of the inputs from those of the outputs, written in ops."""
        raise RuntimeError(
            f"the gradient of {type(self).__name__} is not available (a derivative of a derivative?); see create_graph"
        )

    def saved_inputs(self, needs: tuple[bool, ...]) -> Sequence[int]:
        """Which inputs to keep for ``backward``, when the inputs marked in needs want a gradient."""
        return self.saves_inputs


@dataclass(slots=True, eq=False)
class ViewOp(Op):
    """An operation whose result shows the memory of its input."""

    strided: ClassVar[bool] = True

    def view(self, array: Array) -> Array:
        """Another view of the same storage."""
        raise NotImplementedError


def as_tuple(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What ``apply`` returned as a tuple, also if it is a single tensor."""
    return result if type(result) is tuple else (result,)


def named(names: Sequence[str], values: Sequence) -> dict:
    """The values by their names, of which there are as many."""
    return dict(zip(names, values, strict=True))


# --- shapes ----------------------------------------------------------------------------------------------------------
def broadcast_shapes(a: Shape, b: Shape) -> Shape:
    """The common shape of a and b by NumPy's rules."""
    if a == b:
        return a
    if len(a) < len(b):
        long, short = b, a
    else:
        long, short = a, b
    lead = len(long) - len(short)
    shape = list(long)
    for axis, extent in enumerate(short, lead):
        if extent != shape[axis]:
            if shape[axis] == 1:
                shape[axis] = extent
            elif extent != 1:
                raise RuntimeError(
                    f"the shapes {a} and {b} cannot be broadcast: in dimension {axis} the sizes {shape[axis]} "
                    f"and {extent} "
                    "differ and neither is 1"
                )
    return tuple(shape)


def broadcast(array: Array, shape: Shape) -> Array:
    """The array seen with a larger shape, by strides of 0."""
    if array.shape == shape:
        return array
    if array.size == 1:
        return array.view(shape, (0,) * len(shape))
    lead = len(shape) - len(array.shape)
    strides = [0] * lead
    for axis, (extent, stride) in enumerate(zip(array.shape, array.strides, strict=True), lead):
        strides.append(stride if extent == shape[axis] else 0)
    return array.view(shape, tuple(strides))


def sum_to(grad: Tensor, shape: Shape) -> Tensor:
    """The gradient of a tensor of this shape that was broadcast: the sum over what it was repeated along."""
    if grad._array.shape == shape:
        return grad
    lead = len(grad.shape) - len(shape)
    axes = [*range(lead)]
    axes += [axis for axis, extent in enumerate(shape, lead) if extent == 1 and grad.shape[axis] != 1]
    if axes:
        grad = grad.sum(tuple(axes), keepdim=True)
    return grad.reshape(shape)


def normalise_axis(axis: int, ndim: int) -> int:
    """axis counted from the front. Raises IndexError when there is no such dimension."""
    bound = max(ndim, 1)
    if not -bound <= axis < bound:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {axis})")
    return axis + bound if axis < 0 else axis


def normalise_axes(axes: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Sorted axes from the front; None means all. Raises IndexError, or RuntimeError for a repeated axis."""
    if axes is None:
        return tuple(range(ndim))
    if type(axes) is int:
        axis = normalise_axis(axes, ndim)
        return (axis,) if ndim else ()
    if isinstance(axes, np.integer):
        axes = (axes,)
    found = sorted(normalise_axis(int(axis), ndim) for axis in axes)
    if len(set(found)) != len(found):
        raise RuntimeError(f"a dimension appears more than once in {tuple(axes)}")
    return tuple(axis for axis in found if axis < ndim)


def require_float(name: str, *arrays: Array) -> None:
    """Raise unless the arrays are float32 or float64, all of one dtype."""
    dtype = arrays[0].dtype
    if dtype.kind != "f":
        raise RuntimeError(f"{name} needs floating-point tensors, got {dtype}")
    for array in arrays:
        if array.dtype != dtype:
            names = ", ".join(str(one.dtype) for one in arrays)
            raise RuntimeError(f"{name} needs tensors of one dtype, got {names}")
