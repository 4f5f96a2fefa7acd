"""What clipping of gradients needs: one op for all gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from numbanet.autograd import apply, apply_mutating
from numbanet.ops.base import Op, Spec, require_float

if TYPE_CHECKING:
    from numbanet.tensor import Tensor


@dataclass(slots=True, eq=False)
class SumOfSquares(Op):
    """Σ x² over all elements of all inputs, of any shapes and one dtype; the result has shape ()."""

    differentiable: ClassVar[bool] = False

    def infer(self, *arrays):
        require_float("a sum of squares", *arrays)
        return Spec((), arrays[0].dtype)

    def forward(self, program, out, *arrays):
        program.sum_of_squares(out, arrays)


@dataclass(slots=True, eq=False)
class _ChangeAll(Op):
    """Inputs: count tensors, which are changed, and a number of shape ()."""

    strided: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False
    count: int

    @property
    def mutates(self):
        return tuple(range(self.count))

    def infer(self, *arrays):
        require_float(type(self).__name__, *arrays)
        if arrays[-1].shape != ():
            raise RuntimeError(f"{type(self).__name__} needs a number, got a tensor of shape {arrays[-1].shape}")
        return ()


@dataclass(slots=True, eq=False)
class ScaleAll(_ChangeAll):
    """x ← x · factor for all tensors; factor 1 touches nothing."""

    def forward(self, program, out, *arrays):
        program.scale_all(arrays[:-1], arrays[-1])


@dataclass(slots=True, eq=False)
class ClampAll(_ChangeAll):
    """x ← min(max(x, −limit), limit) for all tensors; a NaN stays."""

    def forward(self, program, out, *arrays):
        program.clamp_all(arrays[:-1], arrays[-1])


def sum_of_squares(tensors: Sequence[Tensor]) -> Tensor:
    """Σ x² over all elements of all tensors (at least one). See :class:`SumOfSquares`."""
    return apply(SumOfSquares(), *tensors)


def scale_all(tensors: Sequence[Tensor], factor: Tensor) -> None:
    """Multiply all tensors by a number, in place. See :class:`ScaleAll`."""
    apply_mutating(ScaleAll(len(tensors)), *tensors, factor)


def clamp_all(tensors: Sequence[Tensor], limit: Tensor) -> None:
    """Move all elements into −limit … limit, in place. See :class:`ClampAll`."""
    apply_mutating(ClampAll(len(tensors)), *tensors, limit)
