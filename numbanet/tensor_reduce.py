"""Tensor's reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from numbanet.autograd import apply
from numbanet.ops import reduce as reduce_ops
from numbanet.ops.base import normalise_axes, normalise_axis
from numbanet.ops.binary import BINARY
from numbanet.ops.loss import Softmax
from numbanet.tensor_math import constant, operands

if TYPE_CHECKING:
    from numbanet.tensor import Tensor


class ValuesIndices(NamedTuple):
    """What max and min along a dimension give."""

    values: Tensor
    indices: Tensor


def constant_one(like: Tensor) -> Tensor:
    """1 in the dtype and on the back end of a tensor."""
    return constant(1, like.dtype, like._array.storage.backend)


def _softmax(log: bool, input: Tensor, dim: int) -> Tensor:
    dim = normalise_axis(dim, input._array.ndim)
    if input._array.ndim == 0:
        return apply(Softmax(log, 0), input.reshape(1)).reshape(())
    return apply(Softmax(log, dim), input)


class ReduceMethods:
    """What Tensor sums up."""

    __slots__ = ()

    def sum(
        self: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: object = None
    ) -> Tensor:
        """The sum over dim (all if None); integers and bool sum up in int64."""
        x = self if dtype is None else self.to(dtype)
        return apply(reduce_ops.Sum(normalise_axes(dim, x._array.ndim), keepdim), x)

    def prod(self: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """The product over dim (all if None)."""
        return apply(reduce_ops.Prod(normalise_axes(dim, self._array.ndim), keepdim), self)

    def mean(self: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """The mean over dim (all if None)."""
        return apply(reduce_ops.Mean(normalise_axes(dim, self._array.ndim), keepdim), self)

    def var(
        self: Tensor,
        dim: int | Sequence[int] | bool | None = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Tensor:
        """Σ (x − mean)² / (n − correction) over dim (all if None); the correction is 1, or 0 unless unbiased.

        As in PyTorch, a bool in the place of dim is ``unbiased``."""
        if type(dim) is bool:
            dim, unbiased = None, dim
        correction = float(unbiased) if correction is None else float(correction)
        return apply(reduce_ops.Variance(normalise_axes(dim, self._array.ndim), keepdim, correction), self)[0]

    def std(
        self: Tensor,
        dim: int | Sequence[int] | bool | None = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Tensor:
        """√var. The gradient at 0 is 0."""
        variance = self.var(dim, unbiased, keepdim, correction=correction)
        if not variance.requires_grad:
            return variance.sqrt()
        zero = variance == 0
        return zero.where(variance, zero.where(constant_one(variance), variance).sqrt())

    def norm(self: Tensor, p: float | str = 2, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """(Σ |x|^p)^(1/p) over dim (all if None); p may be infinite. The gradient at 0 is 0."""
        if p == float("inf"):
            return self.abs().amax(dim, keepdim)
        if p == 1:
            return self.abs().sum(dim, keepdim)
        total = (self.square() if p in (2, "fro") else self.abs() ** p).sum(dim, keepdim)
        zero = total == 0
        root = zero.where(constant_one(total), total)
        return zero.where(total, root.sqrt() if p in (2, "fro") else root ** (1 / p))

    def _extreme(self: Tensor, name: str, dim: object, keepdim: bool) -> object:
        if isinstance(dim, ReduceMethods):
            return apply(BINARY[f"{name}imum"], *operands(self, dim))
        if dim is None:
            kind = reduce_ops.Amax if name == "max" else reduce_ops.Amin
            return apply(kind(normalise_axes(None, self._array.ndim), False), self)
        axis = normalise_axis(dim, self._array.ndim)
        return ValuesIndices(*apply(reduce_ops.MaxAlong(axis, keepdim, name), self))

    def max(self: Tensor, dim: object = None, keepdim: bool = False) -> Tensor | ValuesIndices:
        """The maximum of all; with an int, (values, indices) along that dimension; with a tensor, the larger of
        both."""
        return self._extreme("max", dim, keepdim)

    def min(self: Tensor, dim: object = None, keepdim: bool = False) -> Tensor | ValuesIndices:
        """The minimum of all; with an int, (values, indices) along that dimension; with a tensor, the smaller of
        both."""
        return self._extreme("min", dim, keepdim)

    def amax(self: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """The maximum over dim (all if None); equal maxima share the gradient."""
        return apply(reduce_ops.Amax(normalise_axes(dim, self._array.ndim), keepdim), self)

    def amin(self: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """The minimum over dim (all if None); equal minima share the gradient."""
        return apply(reduce_ops.Amin(normalise_axes(dim, self._array.ndim), keepdim), self)

    def argmax(self: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Where the maximum is first along dim (in the flattened tensor if None), int64."""
        return self._where_extreme("max", dim, keepdim)

    def argmin(self: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Where the minimum is first along dim (in the flattened tensor if None), int64."""
        return self._where_extreme("min", dim, keepdim)

    def _where_extreme(self: Tensor, name: str, dim: int | None, keepdim: bool) -> Tensor:
        if dim is None:
            found = apply(reduce_ops.Argreduce(0, False, name), self.reshape(-1))
            return found.reshape([1] * self._array.ndim) if keepdim else found
        if self._array.ndim == 0:
            return self.unsqueeze(0)._where_extreme(name, dim, False)
        return apply(reduce_ops.Argreduce(normalise_axis(dim, self._array.ndim), keepdim, name), self)

    def any(self: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """Whether any element over dim (all if None) is not 0."""
        return apply(
            reduce_ops.Truth(axes=normalise_axes(dim, self._array.ndim), keepdim=keepdim, function="any"), self
        )

    def all(self: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """Whether no element over dim (all if None) is 0."""
        return apply(
            reduce_ops.Truth(axes=normalise_axes(dim, self._array.ndim), keepdim=keepdim, function="all"), self
        )

    def softmax(self: Tensor, dim: int, dtype: object = None) -> Tensor:
        """exp(x) / Σ exp(x) along dim, computed in dtype if one is given."""
        return _softmax(False, self if dtype is None else self.to(dtype), dim)

    def log_softmax(self: Tensor, dim: int, dtype: object = None) -> Tensor:
        """x − ln Σ exp(x) along dim, computed in dtype if one is given."""
        return _softmax(True, self if dtype is None else self.to(dtype), dim)
