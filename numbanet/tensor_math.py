"""Tensor's arithmetic, comparisons, pointwise functions and reductions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from numbanet.autograd import apply
from numbanet.kernels.backend import Backend
from numbanet.ops import matmul as matmul_ops
from numbanet.ops import reduce as reduce_ops
from numbanet.ops.base import BOOL, FLOAT32, INT64, Op, normalise_axes, normalise_axis
from numbanet.ops.loss import Softmax
from numbanet.ops.pointwise import BINARY, COMPARE, RELU_BACKWARD, UNARY, WHERE, Cast

if TYPE_CHECKING:
    from numbanet.tensor import Tensor

SOFTMAX, LOG_SOFTMAX = Softmax(False), Softmax(True)
ADD, SUB, MUL, DIV, POW = (BINARY[name] for name in ("add", "sub", "mul", "div", "pow"))
_FLOAT_FUNCTIONS = frozenset(("exp", "log", "sqrt", "reciprocal", "tanh", "sigmoid", "sin", "cos"))
_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}
_constants: dict[tuple, Tensor] = {}


class ValuesIndices(NamedTuple):
    """What max and min along a dimension give."""

    values: Tensor
    indices: Tensor


# --- operands --------------------------------------------------------------------------------------------------------
def constant(value: float, dtype: np.dtype, backend: Backend) -> Tensor:
    """A number as a tensor without dimensions; kept for the next time, so never to be changed."""
    key = (value, dtype.char, backend.name, math.copysign(1.0, value) if value == 0 else 0)
    found = _constants.get(key)
    if found is None:
        if len(_constants) > 1000:
            _constants.clear()
        found = _constants[key] = make_tensor(backend.from_buffer(np.array(value, dtype)))
    return found


def make_tensor(array: object) -> Tensor:
    from numbanet.tensor import Tensor

    return Tensor(array)


def result_dtype(x: Tensor, y: Tensor) -> np.dtype:
    """The dtype of x and y together, by PyTorch's rules: bool < integers < floats; within one of these, a tensor without
    dimensions does not count against one with some."""
    a, b = x._array, y._array
    kind_a, kind_b = _KINDS[a.dtype.kind], _KINDS[b.dtype.kind]
    if kind_a != kind_b:
        return a.dtype if kind_a > kind_b else b.dtype
    if (a.ndim == 0) != (b.ndim == 0):
        return b.dtype if a.ndim == 0 else a.dtype
    return np.promote_types(a.dtype, b.dtype)


def scalar_dtype(x: Tensor, value: object) -> np.dtype:
    """The dtype in which x meets a Python number: x's own, unless the number is of a higher kind."""
    dtype = x._array.dtype
    if dtype.kind == "f" or type(value) is bool or (type(value) is int and dtype.kind != "b"):
        return dtype
    if isinstance(value, float):
        return FLOAT32
    if isinstance(value, int):
        return INT64 if dtype.kind == "b" else dtype
    raise TypeError(f"a tensor and a {type(value).__name__} do not go together")


def operands(x: Tensor, other: object) -> tuple[Tensor, Tensor]:
    """x and other as two tensors of one dtype."""
    if isinstance(other, MathMethods):
        a, b = x._array.dtype, other._array.dtype
        if a is b or a == b:
            return x, other
        dtype = result_dtype(x, other)
        return x.to(dtype), other.to(dtype)
    if isinstance(other, np.ndarray):
        return operands(x, x.new_tensor(other))
    if isinstance(other, np.generic):
        other = other.item()
    dtype = scalar_dtype(x, other)
    return x.to(dtype) if dtype != x._array.dtype else x, constant(other, dtype, x._array.storage.backend)


def _is_operand(other: object) -> bool:
    return isinstance(other, MathMethods | int | float | np.ndarray | np.generic)


def _operator(op: object, swapped: bool = False) -> object:
    def method(self: Tensor, other: object) -> Tensor:
        if not _is_operand(other):
            return NotImplemented
        x, y = operands(self, other)
        return apply(op, y, x) if swapped else apply(op, x, y)

    return method


def _division(swapped: bool = False) -> object:
    def method(self: Tensor, other: object) -> Tensor:
        if not _is_operand(other):
            return NotImplemented
        x, y = operands(self, other)
        if x._array.dtype.kind != "f":
            x, y = x.to(FLOAT32), y.to(FLOAT32)
        return apply(DIV, y, x) if swapped else apply(DIV, x, y)

    return method


def _function(name: str) -> object:
    op = UNARY[name]
    needs_float = name in _FLOAT_FUNCTIONS

    def method(self: Tensor) -> Tensor:
        if needs_float and self._array.dtype.kind != "f":
            self = self.to(FLOAT32)
        return apply(op, self)

    method.__name__, method.__doc__ = name, type(op).__doc__
    return method


def _named(name: str) -> object:
    op = BINARY.get(name) or COMPARE[name]

    def method(self: Tensor, other: object) -> Tensor:
        return apply(op, *operands(self, other))

    method.__name__, method.__doc__ = name, type(op).__doc__
    return method


def _along_last(op: Op, input: Tensor, dim: int) -> Tensor:
    dim = normalise_axis(dim, input.ndim)
    if input.ndim == 0:
        return apply(op, input.reshape(1)).reshape(())
    if dim == input.ndim - 1:
        return apply(op, input)
    return apply(op, input.movedim(dim, -1)).movedim(-1, dim)


class MathMethods:
    """What Tensor computes."""

    __slots__ = ()
    __array_priority__ = 1000  # ndarray + Tensor comes to Tensor.__radd__
    __array_ufunc__ = None

    __add__ = _operator(ADD)
    __radd__ = _operator(ADD, swapped=True)
    __sub__ = _operator(SUB)
    __rsub__ = _operator(SUB, swapped=True)
    __mul__ = _operator(MUL)
    __rmul__ = _operator(MUL, swapped=True)
    __truediv__ = _division()
    __rtruediv__ = _division(swapped=True)
    __floordiv__ = _operator(BINARY["floor_divide"])
    __rfloordiv__ = _operator(BINARY["floor_divide"], swapped=True)
    __mod__ = _operator(BINARY["remainder"])
    __rmod__ = _operator(BINARY["remainder"], swapped=True)
    __rpow__ = _operator(POW, swapped=True)
    __eq__ = _operator(COMPARE["eq"])
    __ne__ = _operator(COMPARE["ne"])
    __lt__ = _operator(COMPARE["lt"])
    __le__ = _operator(COMPARE["le"])
    __gt__ = _operator(COMPARE["gt"])
    __ge__ = _operator(COMPARE["ge"])
    __hash__ = object.__hash__

    exp, log, sqrt, square, reciprocal = (_function(n) for n in ("exp", "log", "sqrt", "square", "reciprocal"))
    tanh, sigmoid, relu, sin, cos = (_function(n) for n in ("tanh", "sigmoid", "relu", "sin", "cos"))
    neg, abs, sign, floor, ceil, round = (_function(n) for n in ("neg", "abs", "sign", "floor", "ceil", "round"))
    isnan, isinf, logical_not = (_function(n) for n in ("isnan", "isinf", "logical_not"))
    __neg__, __abs__ = _function("neg"), _function("abs")
    eq, ne, lt, le, gt, ge = (_named(n) for n in ("eq", "ne", "lt", "le", "gt", "ge"))
    logical_and, logical_or, logical_xor = (_named(n) for n in ("logical_and", "logical_or", "logical_xor"))
    maximum, minimum, floor_divide, remainder = (_named(n) for n in ("maximum", "minimum", "floor_divide", "remainder"))
    mul, multiply = _named("mul"), _named("mul")

    def __pos__(self: Tensor) -> Tensor:
        return self

    def add(self: Tensor, other: object, *, alpha: float = 1) -> Tensor:
        """self + alpha · other."""
        return self + (other if alpha == 1 else other * alpha)

    def sub(self: Tensor, other: object, *, alpha: float = 1) -> Tensor:
        """self − alpha · other."""
        return self - (other if alpha == 1 else other * alpha)

    def div(self: Tensor, other: object) -> Tensor:
        """self / other; integers become float32."""
        return self / other

    def __pow__(self: Tensor, other: object) -> Tensor:
        if not _is_operand(other):
            return NotImplemented
        if isinstance(other, int | float) and self._array.dtype.kind == "f":
            if other == 2:
                return self.square()
            if other == 1:
                return self.clone()
            if other == 0.5:
                return self.sqrt()
            if other == -1:
                return self.reciprocal()
        return apply(POW, *operands(self, other))

    def pow(self: Tensor, exponent: object) -> Tensor:
        """self to the power of exponent."""
        return self**exponent

    def rsqrt(self: Tensor) -> Tensor:
        """1 / √self."""
        return self.sqrt().reciprocal()

    # --- logic ---
    def __and__(self: Tensor, other: object) -> Tensor:
        return self._logic("logical_and", other)

    def __or__(self: Tensor, other: object) -> Tensor:
        return self._logic("logical_or", other)

    def __xor__(self: Tensor, other: object) -> Tensor:
        return self._logic("logical_xor", other)

    def __invert__(self: Tensor) -> Tensor:
        if self._array.dtype != BOOL:
            raise TypeError(f"~ is for bool tensors, got {self._array.dtype}")
        return self.logical_not()

    def _logic(self: Tensor, name: str, other: object) -> Tensor:
        x, y = operands(self, other)
        if x._array.dtype != BOOL:
            raise TypeError(f"&, | and ^ are for bool tensors, got {self._array.dtype}")
        return apply(COMPARE[name], x, y)

    def isfinite(self: Tensor) -> Tensor:
        """Where self is neither NaN nor infinite."""
        return (self.isnan() | self.isinf()).logical_not()

    def equal(self: Tensor, other: Tensor) -> bool:
        """Whether both have the same shape and the same elements."""
        return self.shape == other.shape and bool((self == other).all())

    def allclose(
        self: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
    ) -> bool:
        """Whether |self − other| ≤ atol + rtol·|other| everywhere."""
        return bool(np.allclose(self.detach().numpy(), other.detach().numpy(), rtol, atol, equal_nan))

    # --- choosing ---
    def where(self: Tensor, x: object, y: object) -> Tensor:
        """x where self (bool), else y."""
        if not isinstance(x, MathMethods):
            if isinstance(y, MathMethods):
                y, x = operands(y, x)
            else:
                x = self.new_tensor(x)
        x, y = operands(x, y)
        return apply(WHERE, self, x, y)

    def masked_fill(self: Tensor, mask: Tensor, value: object) -> Tensor:
        """value where mask (bool), else self."""
        if isinstance(value, MathMethods):
            value = value.to(self.dtype)
        else:
            value = constant(value, self._array.dtype, self._array.storage.backend)
        return apply(WHERE, mask, value, self)

    def clamp(self: Tensor, min: object = None, max: object = None) -> Tensor:
        """self, but at least min and at most max; NaN stays. The gradient passes where self was within."""
        if min is None and max is None:
            raise RuntimeError("At least one of 'min' or 'max' must not be None")
        result = self
        if min is not None:
            result, bound = operands(result, min)
            result = apply(WHERE, result < bound, bound, result)
        if max is not None:
            result, bound = operands(result, max)
            result = apply(WHERE, result > bound, bound, result)
        return result

    clip = clamp

    # --- reductions ---
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
        if self._array.dtype.kind != "f":
            raise RuntimeError(
                f"mean(): the tensor must be floating point, got {self._array.dtype}; use .float().mean()"
            )
        axes = normalise_axes(dim, self._array.ndim)
        shape = self._array.shape
        count = math.prod([shape[axis] for axis in axes])
        return apply(reduce_ops.Sum(axes, keepdim), self) / (count if count else float("nan"))

    def var(
        self: Tensor, dim: int | Sequence[int] | None = None, *, correction: int = 1, keepdim: bool = False
    ) -> Tensor:
        """Σ (x − mean)² / (n − correction) over dim (all if None)."""
        axes = normalise_axes(dim, self._array.ndim)
        count = math.prod([self._array.shape[axis] for axis in axes]) - correction
        square = (self - self.mean(axes, keepdim=True)).square().sum(axes, keepdim=keepdim)
        return square / (count if count > 0 else 0)

    def std(
        self: Tensor, dim: int | Sequence[int] | None = None, *, correction: int = 1, keepdim: bool = False
    ) -> Tensor:
        """√var."""
        return self.var(dim, correction=correction, keepdim=keepdim).sqrt()

    def norm(self: Tensor, p: float | str = 2, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """(Σ |x|^p)^(1/p) over dim (all if None); p may be infinite. The gradient at 0 is 0."""
        if p == float("inf"):
            return self.abs().amax(dim, keepdim)
        if p == 1:
            return self.abs().sum(dim, keepdim)
        total = (self.square() if p in (2, "fro") else self.abs() ** p).sum(dim, keepdim)
        zero = total == 0
        root = zero.where(constant(1, total.dtype, total._array.storage.backend), total)
        return zero.where(total, root.sqrt() if p in (2, "fro") else root ** (1 / p))

    def _extreme(self: Tensor, name: str, dim: object, keepdim: bool) -> object:
        if isinstance(dim, MathMethods):
            return apply(BINARY[f"{name}imum"], *operands(self, dim))
        if dim is None:
            kind = reduce_ops.Amax if name == "max" else reduce_ops.Amin
            return apply(kind(normalise_axes(None, self._array.ndim), False), self)
        axis = normalise_axis(dim, self._array.ndim)
        return ValuesIndices(*apply(reduce_ops.MaxAlong(axis, keepdim, name), self))

    def max(self: Tensor, dim: object = None, keepdim: bool = False) -> Tensor | ValuesIndices:
        """The maximum of all; with an int, (values, indices) along that dimension; with a tensor, the larger of both."""
        return self._extreme("max", dim, keepdim)

    def min(self: Tensor, dim: object = None, keepdim: bool = False) -> Tensor | ValuesIndices:
        """The minimum of all; with an int, (values, indices) along that dimension; with a tensor, the smaller of both."""
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
        return _along_last(SOFTMAX, self if dtype is None else self.to(dtype), dim)

    def log_softmax(self: Tensor, dim: int, dtype: object = None) -> Tensor:
        """x − ln Σ exp(x) along dim, computed in dtype if one is given."""
        return _along_last(LOG_SOFTMAX, self if dtype is None else self.to(dtype), dim)

    # --- products ---
    def matmul(self: Tensor, other: Tensor) -> Tensor:
        """The matrix product, with PyTorch's rules for one-dimensional and stacked arguments."""
        if not isinstance(other, MathMethods):
            raise TypeError(f"matmul needs a tensor, got {type(other).__name__}")
        x, y = operands(self, other)
        if x._array.ndim == 0 or y._array.ndim == 0:
            raise RuntimeError("both arguments to matmul need to be at least 1D")
        left, right = x._array.ndim == 1, y._array.ndim == 1
        result = apply(matmul_ops.MATMUL, x.unsqueeze(0) if left else x, y.unsqueeze(1) if right else y)
        if left:
            result = result.squeeze(-2)
        return result.squeeze(-1) if right else result

    def __matmul__(self: Tensor, other: object) -> Tensor:
        return self.matmul(other) if isinstance(other, MathMethods) else NotImplemented

    def _of_dimensions(self: Tensor, other: Tensor, name: str, ndim: int) -> Tensor:
        if self._array.ndim != ndim or other._array.ndim != ndim:
            raise RuntimeError(f"{name} needs tensors of {ndim} dimensions, got {self.shape} and {other.shape}")
        return self.matmul(other)

    def mm(self: Tensor, other: Tensor) -> Tensor:
        """The product of two matrices."""
        return self._of_dimensions(other, "mm", 2)

    def bmm(self: Tensor, other: Tensor) -> Tensor:
        """The products of two stacks of matrices."""
        return self._of_dimensions(other, "bmm", 3)

    def dot(self: Tensor, other: Tensor) -> Tensor:
        """The inner product of two vectors."""
        return self._of_dimensions(other, "dot", 1)

    # --- dtypes ---
    def _cast(self: Tensor, dtype: np.dtype) -> Tensor:
        source = self._array.dtype
        return self if dtype == source else apply(Cast(dtype, source), self)


__all__ = ["RELU_BACKWARD", "MathMethods", "constant", "operands", "result_dtype"]
