"""Random fills and dropout, by (seed, stream, offset)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numbanet.autograd import apply
from numbanet.ops.base import Op, Spec, require_float


@dataclass(slots=True, eq=False)
class _RandomFill(Op):
    """Fills its input in place; the gradient is 0."""

    repeats: ClassVar[bool] = False
    inplace: ClassVar[bool] = True
    seed: int
    stream: int
    offset: int

    def infer(self, x):
        require_float("a random fill", x)
        return Spec(x.shape, x.dtype)

    def backward(self, node, grad):
        return grad.zeros_like()


@dataclass(slots=True, eq=False)
class Uniform(_RandomFill):
    """x ← low + (high − low)·u with u in [0, 1), 24 bits (float32) or 53 bits (float64) of Philox4x32-10."""

    low: float = 0.0
    high: float = 1.0

    def forward(self, program, out, x):
        program.uniform(out, self.low, self.high, self.seed, self.stream, self.offset)


@dataclass(slots=True, eq=False)
class Normal(_RandomFill):
    """x ← mean + std·z with z standard normal, by Box–Muller from Philox4x32-10."""

    mean: float = 0.0
    std: float = 1.0

    def forward(self, program, out, x):
        program.normal(out, self.mean, self.std, self.seed, self.stream, self.offset)


@dataclass(slots=True, eq=False)
class Dropout(Op):
    """x · 0 with probability p, else x · scale; ``group`` elements in a row share their fate (Srivastava et al. 2014).

    No mask is kept: the gradient is the same op on the gradient, which draws the same numbers again. The shapes are
    equal; group divides the number of elements."""

    inplace: ClassVar[bool] = True
    repeats: ClassVar[bool] = False
    seed: int
    stream: int
    offset: int
    p: float
    scale: float
    group: int = 1

    def infer(self, x):
        require_float("dropout", x)
        return Spec(x.shape, x.dtype)

    def forward(self, program, out, x):
        program.dropout(out, x, self.p, self.scale, self.seed, self.stream, self.offset, self.group)

    def backward(self, node, grad):
        return apply(self, grad)
