"""Normalisation by the statistics of each sample: layer norm and group norm, this with a residual and a ReLU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from numbanet.autograd import apply, is_grad_enabled
from numbanet.ops.base import Op, Spec, named, require_float, sum_to
from numbanet.ops.norm import as_planes, composed_gradients, normalised, require_channels
from numbanet.ops.pointwise import RELU_BACKWARD

if TYPE_CHECKING:
    from numbanet.autograd import Node
    from numbanet.tensor import Tensor


@dataclass(slots=True, eq=False)
class GroupNorm(Op):
    """(y, statistics): y = activation((x − μ)·ρ·weight + bias + residual), ρ = 1/√(σ² + eps); statistics (2, n·groups).

    Inputs: x (n, c, …) and those of weight (c,), bias (c,), residual (as x) that ``given`` names, in this order. μ and
    σ² are mean and variance of each group of c/groups channels of each sample. Wu, He 2018; with a group a channel
    instance norm, with one group layer norm on pictures. activation: None or "relu".

    With g = ∂y where y > 0: ∂residual = g, ∂bias = Σ g, ∂weight = Σ g·x̂, and with h = g·weight
    ∂x = ρ·(h − mean(h) − x̂·mean(h·x̂)), means over a group."""

    given: tuple[str, ...]
    groups: int
    eps: float
    activation: str | None = None

    def infer(self, x, *others):
        by = named(self.given, others)
        residual = by.pop("residual", None)
        if x.ndim < 2:
            raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {x.ndim}")
        if self.groups < 1 or x.shape[1] % self.groups:
            raise RuntimeError(
                "Expected number of channels in input to be divisible by num_groups, but got input of shape "
                f"{list(x.shape)} and num_groups={self.groups}"
            )
        require_float("group_norm", x, *by.values())
        require_channels(x.shape[1], **by)
        if residual is not None and (residual.shape != x.shape or residual.dtype != x.dtype):
            raise RuntimeError(f"group_norm: a residual of shape {residual.shape} does not fit an input {x.shape}")
        return Spec(x.shape, x.dtype), Spec((2, x.shape[0] * self.groups), x.dtype)

    def forward(self, program, out, x, *others):
        by = named(self.given, others)
        program.group_norm(
            as_planes(out[0]), out[1], as_planes(x), by.get("weight"), by.get("bias"), as_planes(by.get("residual")),
            self.groups, self.eps, self.activation,
        )  # fmt: skip

    def saved_inputs(self, needs):
        kept = ("weight", "bias") if self.activation and "residual" not in self.given else ("weight",)
        return (0, *[1 + i for i, name in enumerate(self.given) if name in kept])

    @property
    def saves_outputs(self):
        return (0, 1) if self.activation and "residual" in self.given else (1,)

    def backward(self, node: Node, grad: Tensor | None, grad_statistics: Tensor | None):
        if grad_statistics is not None:
            raise RuntimeError("the second output of GroupNorm has no gradient")
        names = ("x", *self.given)
        saved = {name: node.input(i) for i, name in enumerate(names) if i in node.saved}
        y = node.output(0) if 0 in self.saves_outputs else None
        needs = named(names, node.needs)
        if is_grad_enabled():
            grads = self._composed(grad, y, saved)
        else:
            wanted = tuple(
                [
                    name
                    for name in ("x", "residual", "weight", "bias")
                    if needs.get(name) and (self.activation or name != "residual")
                ]
            )
            grads = {"residual": grad}
            arrays = {"y": y, "weight": saved.get("weight"), "bias": saved.get("bias")}
            given = tuple([name for name, value in arrays.items() if value is not None])
            if wanted:
                op = GroupNormBackward(wanted, given, self.groups, self.activation)
                results = apply(op, grad, saved["x"], node.output(1), *[arrays[name] for name in given])
                grads.update(named(wanted, results if len(wanted) > 1 else (results,)))
        return tuple([grads[name] if need else None for name, need in needs.items()])

    def _composed(self, grad: Tensor, y: Tensor | None, saved: dict) -> dict:
        """All gradients from ops that have gradients, on (n, groups, c/groups, …)."""
        x = saved["x"]
        channels = x.shape[1]
        shape = (x.shape[0], self.groups, channels // self.groups, *x.shape[2:])
        along = (1, self.groups, channels // self.groups, *[1] * (x.ndim - 2))
        weight, bias = (None if saved.get(n) is None else saved[n].reshape(along) for n in ("weight", "bias"))
        normal, rstd = normalised(x.reshape(shape), tuple(range(2, len(shape))), self.eps)
        if self.activation:
            if y is None:
                y = normal if weight is None else normal * weight
                y = y if bias is None else y + bias
            grad = apply(RELU_BACKWARD, grad, y.reshape(x.shape))
        grouped = grad.reshape(shape)
        grad_x, products = composed_gradients(grouped, weight, normal, rstd, tuple(range(2, len(shape))))
        return {
            "x": grad_x.reshape(x.shape),
            "residual": grad,
            "weight": sum_to(products, along).reshape((channels,)),
            "bias": sum_to(grouped, along).reshape((channels,)),
        }


@dataclass(slots=True, eq=False)
class GroupNormBackward(Op):
    """The gradients of GroupNorm that ``wanted`` names, of x, residual, weight and bias in this order.

    Inputs: ∂y, x, statistics, and those of y, weight, bias that ``given`` names. It has no gradient of its own:
    GroupNorm puts its gradient together from other ops where that will be differentiated."""

    differentiable: ClassVar[bool] = False
    wanted: tuple[str, ...]
    given: tuple[str, ...]
    groups: int
    activation: str | None

    def infer(self, grad, x, statistics, *others):
        like_x, vector = Spec(x.shape, x.dtype), Spec(x.shape[1:2], x.dtype)
        return tuple([like_x if name in ("x", "residual") else vector for name in self.wanted])

    def forward(self, program, out, grad, x, statistics, *others):
        to, by = named(self.wanted, out), named(self.given, others)
        program.group_norm_backward(
            as_planes(to.get("x")), as_planes(to.get("residual")), to.get("weight"), to.get("bias"), as_planes(grad),
            as_planes(x), as_planes(by.get("y")), statistics, by.get("weight"), by.get("bias"), self.groups,
            self.activation,
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class LayerNorm(Op):
    """(y, statistics): y = (x − μ)·ρ·weight + bias, ρ = 1/√(σ² + eps); statistics (2, rows) = μ, ρ.

    Inputs: x (…, *normalized_shape) and those of weight and bias (normalized_shape) that ``given`` names. μ and σ² are
    mean and variance over the dimensions of normalized_shape. Ba, Kiros, Hinton 2016.

    ∂bias = Σ ∂y, ∂weight = Σ ∂y·x̂, and with h = ∂y·weight ∂x = ρ·(h − mean(h) − x̂·mean(h·x̂))."""

    saves_outputs: ClassVar = (1,)
    given: tuple[str, ...]
    normalized_shape: tuple[int, ...]
    eps: float

    def infer(self, x, *others):
        require_float("layer_norm", x, *others)
        shape = self.normalized_shape
        for name, array in named(self.given, others).items():
            if array.shape != shape:
                raise RuntimeError(
                    f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                    f"{list(array.shape)} and normalized_shape = {list(shape)}"
                )
        if not shape or x.shape[x.ndim - len(shape) :] != shape:
            wanted = ", ".join(["*", *map(str, shape)])
            raise RuntimeError(
                f"Given normalized_shape={list(shape)}, expected input with shape [{wanted}], but got input of size"
                f"{list(x.shape)}"
            )
        rows = x.size // max(math.prod(shape), 1)
        return Spec(x.shape, x.dtype), Spec((2, rows), x.dtype)

    def forward(self, program, out, x, *others):
        by = {name: array.view((array.size,)) for name, array in named(self.given, others).items()}
        columns = math.prod(self.normalized_shape)
        rows = (x.size // columns, columns)
        program.layer_norm(out[0].view(rows), out[1], x.view(rows), by.get("weight"), by.get("bias"), self.eps)

    def saved_inputs(self, needs):
        return (0, 1) if "weight" in self.given else (0,)

    def backward(self, node: Node, grad: Tensor | None, grad_statistics: Tensor | None):
        if grad_statistics is not None:
            raise RuntimeError("the second output of LayerNorm has no gradient")
        x, weight = node.input(0), node.input(1) if "weight" in self.given else None
        needs = named(("x", *self.given), node.needs)
        if is_grad_enabled():
            axes = tuple(range(x.ndim - len(self.normalized_shape), x.ndim))
            normal, rstd = normalised(x, axes, self.eps)
            grad_x, products = composed_gradients(grad, weight, normal, rstd, axes)
            grads = {
                "x": grad_x,
                "weight": sum_to(products, self.normalized_shape),
                "bias": sum_to(grad, self.normalized_shape),
            }
        else:
            wanted = tuple([name for name, need in needs.items() if need])
            op = LayerNormBackward(wanted, weight is not None, self.normalized_shape)
            results = apply(op, grad, x, node.output(1), *(() if weight is None else (weight,)))
            grads = named(wanted, results if len(wanted) > 1 else (results,))
        return tuple([grads[name] if need else None for name, need in needs.items()])


@dataclass(slots=True, eq=False)
class LayerNormBackward(Op):
    """The gradients of LayerNorm that ``wanted`` names, of x, weight and bias in this order, from ∂y, x, statistics
    and, with_weight, weight. It has no gradient of its own: LayerNorm puts its gradient together from other ops where
    that will be differentiated."""

    differentiable: ClassVar[bool] = False
    wanted: tuple[str, ...]
    with_weight: bool
    normalized_shape: tuple[int, ...]

    def infer(self, grad, x, statistics, weight=None):
        return tuple([Spec(x.shape if name == "x" else self.normalized_shape, x.dtype) for name in self.wanted])

    def forward(self, program, out, grad, x, statistics, weight=None):
        columns = math.prod(self.normalized_shape)
        flat = {
            name: array.view((array.size // columns, columns) if name == "x" else (columns,))
            for name, array in named(self.wanted, out).items()
        }
        rows = (x.size // columns, columns)
        program.layer_norm_backward(
            flat.get("x"), flat.get("weight"), flat.get("bias"), grad.view(rows), x.view(rows), statistics,
            None if weight is None else weight.view((columns,)),
        )  # fmt: skip
