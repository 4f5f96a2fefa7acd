"""Pointwise functions of two and three tensors, with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from numbanet.autograd import apply
from numbanet.ops.base import BOOL, Op, Spec, broadcast, broadcast_shapes, sum_to

if TYPE_CHECKING:
    from numbanet.autograd import Node
    from numbanet.tensor import Tensor


@dataclass(slots=True, eq=False)
class Binary(Op):
    """z = function(x, y), broadcast; x and y have one dtype. Gradients are summed to the input's shape."""

    strided: ClassVar[bool] = True
    inplace: ClassVar[bool] = True
    function: ClassVar[str]

    def infer(self, x, y):
        return Spec(x.shape if x.shape == y.shape else broadcast_shapes(x.shape, y.shape), x.dtype)

    def forward(self, program, out, x, y):
        shape = out.shape
        program.binary(
            out,
            x if x.shape == shape else broadcast(x, shape),
            y if y.shape == shape else broadcast(y, shape),
            self.function,
        )

    def backward(self, node: Node, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        need_x, need_y = node.needs
        return (
            sum_to(self.grad_x(node, grad), node.shapes[0]) if need_x else None,
            sum_to(self.grad_y(node, grad), node.shapes[1]) if need_y else None,
        )

    def grad_x(self, node: Node, grad: Tensor) -> Tensor:
        raise NotImplementedError

    def grad_y(self, node: Node, grad: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass(slots=True, eq=False)
class Add(Binary):
    """z = x + y. ∂x = ∂z, ∂y = ∂z."""

    function: ClassVar[str] = "add"

    def grad_x(self, node, grad):
        return grad

    def grad_y(self, node, grad):
        return grad


@dataclass(slots=True, eq=False)
class Sub(Binary):
    """z = x − y. ∂x = ∂z, ∂y = −∂z."""

    function: ClassVar[str] = "sub"

    def infer(self, x, y):
        if x.dtype == BOOL:
            raise RuntimeError("subtraction of bool tensors is not defined; use logical_xor or ^")
        return Spec(broadcast_shapes(x.shape, y.shape), x.dtype)

    def grad_x(self, node, grad):
        return grad

    def grad_y(self, node, grad):
        return -grad


@dataclass(slots=True, eq=False)
class Mul(Binary):
    """z = x · y. ∂x = ∂z · y, ∂y = ∂z · x."""

    function: ClassVar[str] = "mul"

    def saved_inputs(self, needs: tuple[bool, ...]) -> Sequence[int]:
        return (1, 0) if needs[0] and needs[1] else (1,) if needs[0] else (0,)

    def grad_x(self, node, grad):
        return grad * node.input(1)

    def grad_y(self, node, grad):
        return grad * node.input(0)


@dataclass(slots=True, eq=False)
class Div(Binary):
    """z = x / y. ∂x = ∂z / y, ∂y = −∂z · x / y²."""

    function: ClassVar[str] = "div"

    def saved_inputs(self, needs: tuple[bool, ...]) -> Sequence[int]:
        return (0, 1) if needs[1] else (1,)

    def grad_x(self, node, grad):
        return grad / node.input(1)

    def grad_y(self, node, grad):
        y = node.input(1)
        return -(grad * (node.input(0) / y / y))


@dataclass(slots=True, eq=False)
class Pow(Binary):
    """z = x^y. ∂x = ∂z · y · x^(y−1), 0 where y is 0; ∂y = ∂z · z · ln(x), 0 where x is 0 and y ≥ 0."""

    function: ClassVar[str] = "pow"
    saves_inputs: ClassVar = (0, 1)
    saves_outputs: ClassVar = (0,)

    def grad_x(self, node, grad):
        x, y = node.input(0), node.input(1)
        return (y == 0).where(grad.zeros_like(), grad * (y * x ** (y - 1)))

    def grad_y(self, node, grad):
        x, y = node.input(0), node.input(1)
        return ((x == 0) & (y >= 0)).where(grad.zeros_like(), grad * (node.output() * x.log()))


@dataclass(slots=True, eq=False)
class Extreme(Binary):
    """z = maximum or minimum of x and y, NaN where one is. The larger (smaller) one has the gradient; equals halve
    it."""

    function: str  # type: ignore[misc]  (a field here)
    saves_inputs: ClassVar = (0, 1)

    def _share(self, node: Node, grad: Tensor, mine: int) -> Tensor:
        x, y = node.input(mine), node.input(1 - mine)
        wins = x > y if self.function == "maximum" else x < y
        return wins.where(grad, (x == y).where(grad * 0.5, grad.zeros_like()))

    def grad_x(self, node, grad):
        return self._share(node, grad, 0)

    def grad_y(self, node, grad):
        return self._share(node, grad, 1)


@dataclass(slots=True, eq=False)
class Rounded(Binary):
    """z = floor_divide (⌊x / y⌋) or remainder (x − y·⌊x / y⌋, the sign of y). Only the remainder has a gradient,
    for x."""

    function: str  # type: ignore[misc]  (a field here)

    def grad_x(self, node, grad):
        return grad if self.function == "remainder" else grad.zeros_like()

    def grad_y(self, node, grad):
        raise RuntimeError(f"the gradient of {self.function} for the divisor is not available; detach() the divisor")


@dataclass(slots=True, eq=False)
class Compare(Op):
    """z (bool) = eq, ne, lt, le, gt, ge, logical_and, logical_or or logical_xor of x and y, broadcast."""

    strided: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False
    function: str

    def infer(self, x, y):
        return Spec(broadcast_shapes(x.shape, y.shape), BOOL)

    def forward(self, program, out, x, y):
        program.binary(out, broadcast(x, out.shape), broadcast(y, out.shape), self.function)


@dataclass(slots=True, eq=False)
class Where(Op):
    """z = x where condition (bool), else y; all broadcast. ∂x = ∂z where condition, else 0; ∂y the other way."""

    strided: ClassVar[bool] = True
    saves_inputs: ClassVar = (0,)

    def infer(self, condition, x, y):
        if condition.dtype != BOOL:
            raise RuntimeError(f"where needs a bool condition, got {condition.dtype}")
        return Spec(broadcast_shapes(condition.shape, broadcast_shapes(x.shape, y.shape)), x.dtype)

    def forward(self, program, out, condition, x, y):
        shape = out.shape
        program.where(out, broadcast(condition, shape), broadcast(x, shape), broadcast(y, shape))

    def backward(self, node, grad):
        condition = node.input(0)
        zero = grad.new_zeros(())
        return (
            None,
            sum_to(apply(WHERE, condition, grad, zero), node.shapes[1]) if node.needs[1] else None,
            sum_to(apply(WHERE, condition, zero, grad), node.shapes[2]) if node.needs[2] else None,
        )


WHERE = Where()
BINARY: dict[str, Op] = {
    op.function: op
    for op in (
        *(kind() for kind in (Add, Sub, Mul, Div, Pow)),
        *(Extreme(name) for name in ("maximum", "minimum")),
        *(Rounded(name) for name in ("floor_divide", "remainder")),
    )
}
COMPARE: dict[str, Op] = {
    name: Compare(name) for name in ("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor")
}
