"""Tensor's changes in place. Each counts up the storage's version, and is part of the graph where gradients are
recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from numbanet import random
from numbanet.autograd import apply_inplace, no_grad
from numbanet.ops.binary import BINARY
from numbanet.ops.indexing import Put
from numbanet.ops.pointwise import UNARY, CopyFrom, Fill
from numbanet.ops.random import Normal, Uniform
from numbanet.tensor_math import constant, result_dtype, scalar_dtype
from numbanet.tensor_shape import parse_index

if TYPE_CHECKING:
    from numbanet.tensor import Tensor


def _other(x: Tensor, other: object) -> Tensor:
    """other as a tensor of x's dtype. RuntimeError where that would lose its kind (a float into integers)."""
    if isinstance(other, np.ndarray):
        other = x.new_tensor(other)
    if isinstance(other, InplaceMethods):
        dtype = x._array.dtype
        if other._array.dtype != dtype:
            both = result_dtype(x, other)
            if both.kind != dtype.kind:
                raise RuntimeError(f"result type {both} can't be cast to the desired output type {dtype}")
            other = other.to(dtype)
        return other
    if isinstance(other, np.generic):
        other = other.item()
    dtype = scalar_dtype(x, other)
    if dtype != x._array.dtype:
        raise RuntimeError(f"result type {dtype} can't be cast to the desired output type {x._array.dtype}")
    return constant(other, dtype, x._array.storage.backend)


def _binary(name: str) -> object:
    op = BINARY[name]

    def method(self: Tensor, other: object) -> Tensor:
        if name == "div" and self._array.dtype.kind != "f":
            raise RuntimeError(f"result type float32 can't be cast to the desired output type {self._array.dtype}")
        return apply_inplace(op, self, _other(self, other))

    method.__doc__ = f"self ← {name} of self and other."
    return method


def _unary(name: str) -> object:
    op = UNARY[name]

    def method(self: Tensor) -> Tensor:
        return apply_inplace(op, self)

    method.__doc__ = f"self ← {name} of self."
    return method


class InplaceMethods:
    """How Tensor changes."""

    __slots__ = ()

    mul_, div_, pow_ = _binary("mul"), _binary("div"), _binary("pow")
    __imul__, __itruediv__, __ipow__ = _binary("mul"), _binary("div"), _binary("pow")
    __iadd__, __isub__ = _binary("add"), _binary("sub")
    exp_, log_, sqrt_, neg_, abs_ = (_unary(name) for name in ("exp", "log", "sqrt", "neg", "abs"))
    relu_, tanh_, sigmoid_ = (_unary(name) for name in ("relu", "tanh", "sigmoid"))
    reciprocal_, floor_, ceil_, round_ = (_unary(name) for name in ("reciprocal", "floor", "ceil", "round"))

    def add_(self: Tensor, other: object, *, alpha: float = 1) -> Tensor:
        """self ← self + alpha · other."""
        return apply_inplace(BINARY["add"], self, _other(self, other if alpha == 1 else other * alpha))

    def sub_(self: Tensor, other: object, *, alpha: float = 1) -> Tensor:
        """self ← self − alpha · other."""
        return apply_inplace(BINARY["sub"], self, _other(self, other if alpha == 1 else other * alpha))

    def clamp_(self: Tensor, min: object = None, max: object = None) -> Tensor:
        """self ← self, but at least min and at most max."""
        return self.copy_(self.clamp(min, max))

    def masked_fill_(self: Tensor, mask: Tensor, value: object) -> Tensor:
        """self ← value where mask (bool)."""
        return self.copy_(self.masked_fill(mask, value))

    def copy_(self: Tensor, source: Tensor) -> Tensor:
        """self ← source, broadcast and cast to self's dtype."""
        if not isinstance(source, InplaceMethods):
            source = self.new_tensor(source)
        if source._array.storage.backend is not self._array.storage.backend:
            source = source.to(backend=self.backend)
        return apply_inplace(CopyFrom(source._array.dtype), self, source)

    def fill_(self: Tensor, value: object) -> Tensor:
        """self ← value in every element."""
        return apply_inplace(Fill(value.item() if hasattr(value, "item") else value), self)

    def zero_(self: Tensor) -> Tensor:
        """self ← 0."""
        return self.fill_(0)

    def __setitem__(self: Tensor, index: object, values: object) -> None:
        template, tensors = parse_index(self, index)
        dtype = self._array.dtype
        if not isinstance(values, InplaceMethods):
            values = values.item() if isinstance(values, np.generic) else values
            if isinstance(values, bool | int | float):
                values = constant(dtype.type(values).item(), dtype, self._array.storage.backend)
            else:
                values = self.new_tensor(values)
        apply_inplace(Put(template, False), self, values.to(dtype), *tensors)

    def index_add_(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
        """self[…, index[i], …] += source[…, i, …] along dim; what is named twice adds up."""
        template, tensors = parse_index(self, (slice(None),) * (dim % max(1, self._array.ndim)) + (index,))
        return apply_inplace(Put(template, True), self, _other(self, source), *tensors)

    # --- random ---
    def uniform_(self: Tensor, low: float = 0.0, high: float = 1.0, *, stream: int = random.INITIALISATION) -> Tensor:
        """self ← uniform numbers in [low, high), from a stream of the random state."""
        state = random.draw(stream, self._array.size, self._array.dtype)
        return apply_inplace(Uniform(*state, float(low), float(high)), self)

    def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, stream: int = random.INITIALISATION) -> Tensor:
        """self ← normal numbers, from a stream of the random state."""
        if std < 0:
            raise RuntimeError(f"normal_ expects std >= 0.0, but found std={std}")
        state = random.draw(stream, self._array.size, self._array.dtype)
        return apply_inplace(Normal(*state, float(mean), float(std)), self)

    def bernoulli_(self: Tensor, p: float = 0.5, *, stream: int = random.DROPOUT) -> Tensor:
        """self ← 1 with probability p, else 0, from a stream of the random state."""
        with no_grad():
            return self.copy_(self.new_empty(self.shape).uniform_(stream=stream) < p)
