"""Tensor's arithmetic, comparisons, pointwise functions and products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from numbanet.autograd import apply
from numbanet.kernels.backend import Backend
from numbanet.ops import matmul as matmul_ops
from numbanet.ops.base import BOOL, FLOAT32, INT64
from numbanet.ops.binary import BINARY, COMPARE, WHERE
from numbanet.ops.pointwise import UNARY, Cast

if TYPE_CHECKING:
    from numbanet.tensor import Tensor

ADD, SUB, MUL, DIV, POW = (BINARY[name] for name in ("add", "sub", "mul", "div", "pow"))
_FLOAT_FUNCTIONS = frozenset(("exp", "log", "sqrt", "reciprocal", "tanh", "sigmoid", "sin", "cos", "erf"))
_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}
_constants: dict[tuple, Tensor] = {}


# --- operands --------------------------------------------------------------------------------------------------------
def constant(value: float, dtype: np.dtype, backend: Backend) -> Tensor:
    """A number as a tensor without dimensions; kept for the next time, so never to be changed."""
    key = (value if value else str(value), dtype.char, backend.name)  # 0.0 and −0.0 are equal, but not the same
    found = _constants.get(key)
    if found is None:
        if len(_constants) > 1000:
            _constants.clear()
        found = _constants[key] = make_tensor(backend.from_buffer(np.array(value, dtype)))
    return found


def is_constant(tensor: Tensor) -> bool:
    """Whether this is a number that ``constant`` made into a tensor."""
    return not tensor._array.shape and any(found is tensor for found in _constants.values())


def make_tensor(array: object) -> Tensor:
    from numbanet.tensor import Tensor

    return Tensor(array)


def result_dtype(x: Tensor, y: Tensor) -> np.dtype:
    """The dtype of x and y together, by PyTorch's rules: bool < integers < floats; within one of these, a tensor
    without
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
    if isinstance(value, float):
        return dtype if dtype.kind == "f" else FLOAT32
    if isinstance(value, int):
        return INT64 if dtype.kind == "b" and type(value) is not bool else dtype
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


def _operator(op: object, swapped: bool = False) -> object:
    def method(self: Tensor, other: object) -> Tensor:
        if isinstance(other, MathMethods) and other._array.dtype is self._array.dtype:  # most often
            return apply(op, other, self) if swapped else apply(op, self, other)
        if not isinstance(other, _OPERANDS):
            return NotImplemented
        x, y = operands(self, other)
        return apply(op, y, x) if swapped else apply(op, x, y)

    return method


def _division(swapped: bool = False) -> object:
    def method(self: Tensor, other: object) -> Tensor:
        if not isinstance(other, _OPERANDS):
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
    erf = _function("erf")
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
        if not isinstance(other, _OPERANDS):
            return NotImplemented
        if isinstance(other, (int, float)) and self._array.dtype.kind == "f":
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


_OPERANDS = (MathMethods, int, float, np.ndarray, np.generic)
