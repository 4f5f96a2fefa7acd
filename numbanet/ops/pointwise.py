"""Copies, and pointwise functions of one tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from numbanet.autograd import apply
from numbanet.ops.base import BOOL, Op, Spec, broadcast, broadcast_shapes, require_float, sum_to

if TYPE_CHECKING:
    pass


# --- copies ----------------------------------------------------------------------------------------------------------
@dataclass(slots=True, eq=False)
class Clone(Op):
    """y = x in memory of its own, row-major contiguous. ∂x = ∂y."""

    strided: ClassVar[bool] = True
    inplace: ClassVar[bool] = True

    def infer(self, x):
        return Spec(x.shape, x.dtype)

    def forward(self, program, out, x):
        program.copy(out, x)

    def backward(self, node, grad):
        return grad


@dataclass(slots=True, eq=False)
class Contiguous(Clone):
    """y = x, row-major contiguous: what kernels that take no strides are given."""


@dataclass(slots=True, eq=False)
class Cast(Op):
    """y = x in another dtype. ∂x = ∂y in x's dtype."""

    strided: ClassVar[bool] = True
    dtype: np.dtype
    source: np.dtype

    def infer(self, x):
        return Spec(x.shape, self.dtype)

    def forward(self, program, out, x):
        program.copy(out, x)

    def backward(self, node, grad):
        return grad.to(self.source)

    def saved_inputs(self, needs):
        return ()


@dataclass(slots=True, eq=False)
class CopyFrom(Op):
    """target ← x, broadcast to target and cast to its dtype; in place only. ∂x = ∂target, summed to x."""

    strided: ClassVar[bool] = True
    inplace: ClassVar[bool] = True
    source: np.dtype

    def infer(self, target, x):
        if broadcast_shapes(target.shape, x.shape) != target.shape:
            raise RuntimeError(f"a tensor of shape {x.shape} cannot be copied into one of shape {target.shape}")
        return Spec(target.shape, target.dtype)

    def forward(self, program, out, target, x):
        program.copy(out, broadcast(x, out.shape))

    def backward(self, node, grad):
        return (
            grad.zeros_like() if node.needs[0] else None,
            sum_to(grad, node.shapes[1]).to(self.source) if node.needs[1] else None,
        )


@dataclass(slots=True, eq=False)
class Fill(Op):
    """target ← value; in place only. The gradient is 0."""

    repeats: ClassVar[bool] = False
    strided: ClassVar[bool] = True
    inplace: ClassVar[bool] = True
    value: float

    def infer(self, target):
        return Spec(target.shape, target.dtype)

    def forward(self, program, out, target):
        program.fill(out, self.value)

    def backward(self, node, grad):
        return grad.zeros_like()


# --- functions of one tensor -----------------------------------------------------------------------------------------
@dataclass(slots=True, eq=False)
class Unary(Op):
    """y = function(x) in every element."""

    strided: ClassVar[bool] = True
    inplace: ClassVar[bool] = True
    function: ClassVar[str]

    def infer(self, x):
        return Spec(x.shape, x.dtype)

    def forward(self, program, out, x):
        program.unary(out, x, self.function)


@dataclass(slots=True, eq=False)
class Neg(Unary):
    """y = −x. ∂x = −∂y."""

    function: ClassVar[str] = "neg"

    def infer(self, x):
        if x.dtype == BOOL:
            raise RuntimeError("a bool tensor has no negative; use logical_not() or ~")
        return Spec(x.shape, x.dtype)

    def backward(self, node, grad):
        return -grad


@dataclass(slots=True, eq=False)
class Abs(Unary):
    """y = |x|. ∂x = ∂y · sign(x), 0 at 0."""

    function: ClassVar[str] = "abs"
    saves_inputs: ClassVar = (0,)

    def backward(self, node, grad):
        return grad * node.input(0).sign()


@dataclass(slots=True, eq=False)
class Exp(Unary):
    """y = exp(x). ∂x = ∂y · y."""

    function: ClassVar[str] = "exp"
    saves_outputs: ClassVar = (0,)

    def backward(self, node, grad):
        return grad * node.output()


@dataclass(slots=True, eq=False)
class Log(Unary):
    """y = ln(x). ∂x = ∂y / x."""

    function: ClassVar[str] = "log"
    saves_inputs: ClassVar = (0,)

    def backward(self, node, grad):
        return grad / node.input(0)


@dataclass(slots=True, eq=False)
class Sqrt(Unary):
    """y = √x. ∂x = ∂y / (2y)."""

    function: ClassVar[str] = "sqrt"
    saves_outputs: ClassVar = (0,)

    def backward(self, node, grad):
        return grad / (node.output() * 2)


@dataclass(slots=True, eq=False)
class Square(Unary):
    """y = x². ∂x = 2x · ∂y."""

    function: ClassVar[str] = "square"
    saves_inputs: ClassVar = (0,)

    def backward(self, node, grad):
        return grad * (node.input(0) * 2)


@dataclass(slots=True, eq=False)
class Reciprocal(Unary):
    """y = 1/x. ∂x = −∂y · y²."""

    function: ClassVar[str] = "reciprocal"
    saves_outputs: ClassVar = (0,)

    def backward(self, node, grad):
        return -(grad * node.output().square())


@dataclass(slots=True, eq=False)
class Tanh(Unary):
    """y = tanh(x). ∂x = ∂y · (1 − y²)."""

    function: ClassVar[str] = "tanh"
    saves_outputs: ClassVar = (0,)

    def backward(self, node, grad):
        return apply(TANH_BACKWARD, grad, node.output())


@dataclass(slots=True, eq=False)
class Sigmoid(Unary):
    """y = 1 / (1 + exp(−x)). ∂x = ∂y · y · (1 − y)."""

    function: ClassVar[str] = "sigmoid"
    saves_outputs: ClassVar = (0,)

    def backward(self, node, grad):
        return apply(SIGMOID_BACKWARD, grad, node.output())


@dataclass(slots=True, eq=False)
class Erf(Unary):
    """y = erf(x) = 2/√π · ∫₀ˣ exp(−t²) dt. ∂x = ∂y · 2/√π · exp(−x²)."""

    function: ClassVar[str] = "erf"
    saves_inputs: ClassVar = (0,)

    def backward(self, node, grad):
        return grad * ((-node.input(0).square()).exp() * (2 / math.sqrt(math.pi)))


@dataclass(slots=True, eq=False)
class Gelu(Unary):
    """y = x·Φ(x), Φ the normal distribution function, or the form with tanh ½·x·(1 + tanh u), u = √(2/π)·(x +
    0.044715·x³) (Hendrycks and Gimpel 2016, arXiv:1606.08415). ∂x = ∂y · y′(x), see GeluBackward."""

    function: str  # type: ignore[misc]  (a field here: "gelu" or "gelu_tanh")
    saves_inputs: ClassVar = (0,)

    def infer(self, x):
        require_float("gelu", x)
        return Spec(x.shape, x.dtype)

    def backward(self, node, grad):
        return apply(GELU_BACKWARD[self.function], grad, node.input(0))


@dataclass(slots=True, eq=False)
class Relu(Unary):
    """y = max(x, 0), NaN where x is. ∂x = ∂y where y > 0, else 0."""

    function: ClassVar[str] = "relu"
    saves_outputs: ClassVar = (0,)

    def backward(self, node, grad):
        return apply(RELU_BACKWARD, grad, node.output())


@dataclass(slots=True, eq=False)
class ReluBackward(Op):
    """∂x = ∂y where y > 0, else 0; y is the ReLU's output (or input). Linear in ∂y; y's own derivative is 0."""

    strided: ClassVar[bool] = True
    inplace: ClassVar[bool] = True
    saves_inputs: ClassVar = (1,)

    def infer(self, grad, y):
        return Spec(grad.shape, grad.dtype)

    def forward(self, program, out, grad, y):
        program.relu_backward(out, grad, y)

    def backward(self, node, grad):
        return apply(RELU_BACKWARD, grad, node.input(1)), None


@dataclass(slots=True, eq=False)
class UnaryBackward(Op):
    """∂x = ∂y · function′, from what was saved of the function: its output or its input."""

    strided: ClassVar[bool] = True
    inplace: ClassVar[bool] = True
    saves_inputs: ClassVar = (0, 1)
    function: ClassVar[str]

    def infer(self, grad, saved):
        return Spec(grad.shape, grad.dtype)

    def forward(self, program, out, grad, saved):
        program.unary_backward(out, grad, saved, self.function)


@dataclass(slots=True, eq=False)
class TanhBackward(UnaryBackward):
    """∂x = ∂y · (1 − y²). With v the gradient of ∂x: of ∂y it is v·(1 − y²), of y −2·v·∂y·y."""

    function: ClassVar[str] = "tanh"

    def backward(self, node, v):
        grad, y = node.input(0), node.input(1)
        return apply(self, v, y), v * grad * (y * -2) if node.needs[1] else None


@dataclass(slots=True, eq=False)
class SigmoidBackward(UnaryBackward):
    """∂x = ∂y · y·(1 − y). With v the gradient of ∂x: of ∂y it is v·y·(1 − y), of y v·∂y·(1 − 2y)."""

    function: ClassVar[str] = "sigmoid"

    def backward(self, node, v):
        grad, y = node.input(0), node.input(1)
        return apply(self, v, y), v * grad * (1 - y * 2) if node.needs[1] else None


@dataclass(slots=True, eq=False)
class GeluBackward(UnaryBackward):
    """∂x = ∂y · (Φ(x) + x·φ(x)), φ the normal density; of the form with tanh ∂y · (s + x·s·(1 − s)·w) with
    s = 1/(1 + exp(−2u)) and w = 2u′(x).

    With v the gradient of ∂x: of x it is v·∂y·φ(x)·(2 − x²), or v·∂y·s·(1 − s)·(2w + x·w²·(1 − 2s) + x·w′)."""

    function: str  # type: ignore[misc]  (a field here)

    def backward(self, node, v):
        grad, x = node.input(0), node.input(1)
        if not node.needs[1]:
            return apply(self, v, x), None
        square = x.square()
        if self.function == "gelu":
            bend = (square * -0.5).exp() * (2 - square) * (1 / math.sqrt(2 * math.pi))
        else:
            linear = math.sqrt(8 / math.pi)
            s = (x * (square * 0.044715 + 1) * linear).sigmoid()
            w = (square * (3 * 0.044715) + 1) * linear
            bend = s * (1 - s) * (w * 2 + x * w * w * (1 - s * 2) + square * (6 * 0.044715 * linear))
        return apply(self, v, x), v * grad * bend


@dataclass(slots=True, eq=False)
class Sin(Unary):
    """y = sin(x). ∂x = ∂y · cos(x)."""

    function: ClassVar[str] = "sin"
    saves_inputs: ClassVar = (0,)

    def backward(self, node, grad):
        return grad * node.input(0).cos()


@dataclass(slots=True, eq=False)
class Cos(Unary):
    """y = cos(x). ∂x = −∂y · sin(x)."""

    function: ClassVar[str] = "cos"
    saves_inputs: ClassVar = (0,)

    def backward(self, node, grad):
        return -(grad * node.input(0).sin())


@dataclass(slots=True, eq=False)
class Step(Unary):
    """y = sign, floor, ceil or round (half to even) of x: its derivative is 0 wherever it has one."""

    function: str  # type: ignore[misc]  (a field here)

    def backward(self, node, grad):
        return grad.zeros_like()


@dataclass(slots=True, eq=False)
class Predicate(Op):
    """y (bool) = isnan(x), isinf(x) or logical_not(x)."""

    strided: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False
    function: str

    def infer(self, x):
        return Spec(x.shape, BOOL)

    def forward(self, program, out, x):
        program.unary(out, x, self.function)


CLONE, CONTIGUOUS = Clone(), Contiguous()
RELU_BACKWARD, TANH_BACKWARD, SIGMOID_BACKWARD = ReluBackward(), TanhBackward(), SigmoidBackward()
GELU_BACKWARD = {name: GeluBackward(name) for name in ("gelu", "gelu_tanh")}
UNARY: dict[str, Op] = {
    op.function: op
    for op in (
        *(kind() for kind in (Neg, Abs, Exp, Log, Sqrt, Square, Reciprocal, Tanh, Sigmoid, Relu, Sin, Cos, Erf)),
        *(Gelu(name) for name in ("gelu", "gelu_tanh")),
        *(Step(name) for name in ("sign", "floor", "ceil", "round")),
        *(Predicate(name) for name in ("isnan", "isinf", "logical_not")),
    )
}
