"""Batch normalisation, fused with a residual and a ReLU behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from numbanet.autograd import apply, is_grad_enabled
from numbanet.kernels.array import Array
from numbanet.ops.base import INT64, Op, Spec, require_float, sum_to
from numbanet.ops.pointwise import RELU_BACKWARD

if TYPE_CHECKING:
    from numbanet.autograd import Node
    from numbanet.tensor import Tensor

ACTIVATIONS = (None, "relu")


def as_planes(array: Array | None) -> Array | None:
    """(n, c, …) as (n, c, s)."""
    if array is None or array.ndim == 3:
        return array
    n, c, *rest = array.shape
    return array.view((n, c, math.prod(rest)))


def require_channels(channels: int, **vectors: Array | None) -> None:
    for name, vector in vectors.items():
        if vector is not None and vector.shape != (channels,):
            raise RuntimeError(f"{name} should contain {channels} elements not {vector.size}")


def composed_gradients(
    grad: Tensor,
    weight: Tensor | None,
    normal: Tensor,
    rstd: Tensor,
    axes: Sequence[int] | None,
) -> tuple[Tensor, Tensor]:
    """(∂x, x̂·∂y) of y = x̂·weight, put together from ops, so that it can be differentiated again.

    ∂x = ρ·(g − mean(g) − x̂·mean(g·x̂)) with g = ∂y·weight and means over axes, or ρ·g without axes."""
    g = grad if weight is None else grad * weight
    if axes is not None:
        rest = g - g.mean(axes, keepdim=True) - normal * (g * normal).mean(axes, keepdim=True)
        return rstd * rest, grad * normal
    return rstd * g, grad * normal


def normalised(x: Tensor, axes: Sequence[int], eps: float) -> tuple[Tensor, Tensor]:
    """(x̂, ρ) of x over axes, put together from ops."""
    centred = x - x.mean(axes, keepdim=True)
    rstd = (centred.square().mean(axes, keepdim=True) + eps).rsqrt()
    return centred * rstd, rstd


@dataclass(slots=True, eq=False)
class BatchNorm(Op):
    """(y, statistics): y = activation((x − μ)·ρ·weight + bias + residual), ρ = 1/√(σ² + eps); statistics (2, c) = μ, ρ.

    Inputs: x (n, c, …) and those of weight (c,), bias (c,), residual (as x), running_mean (c,), running_var (c,),
    batches (int64, ()) that ``given`` names, in this order. When training, μ and σ² are mean and variance of each
    channel of x, and what is given of the last three changes: batches += 1; running ← (1 − m)·running + m·(μ, unbiased
    σ²), m = momentum or, where that is None, 1/batches. Otherwise they are running_mean and running_var.
    activation: None or "relu". Ioffe, Szegedy 2015.

    With g = ∂y where y > 0: ∂residual = g, ∂bias = Σ g, ∂weight = Σ g·x̂; ∂x = weight·ρ·(g − mean(g) − x̂·mean(g·x̂)) when
    training, else weight·ρ·g."""

    given: tuple[str, ...]
    training: bool
    momentum: float | None
    eps: float
    activation: str | None = None

    def inputs(self, values: Sequence) -> dict:
        """Inputs by name; None for what is not given."""
        return {**_NOTHING, **dict(zip(self.given, values[1:], strict=True))}

    @property
    def mutates(self):
        return tuple([1 + i for i, name in enumerate(self.given) if name in _CHANGES]) if self.training else ()

    def infer(self, x, *others):
        by = self.inputs((x, *others))
        residual, batches = by.pop("residual"), by.pop("batches")
        if x.ndim < 2:
            raise RuntimeError(f"batch_norm expects an input (n, c, …), got shape {x.shape}")
        require_float("batch_norm", x, *[array for array in by.values() if array is not None])
        require_channels(x.shape[1], **by)
        if residual is not None and (residual.shape != x.shape or residual.dtype != x.dtype):
            raise RuntimeError(
                f"batch_norm: a residual of shape {residual.shape} and dtype {residual.dtype} does not fit an input "
                f"of shape {x.shape} and dtype {x.dtype}"
            )
        if batches is not None and (batches.dtype != INT64 or batches.size != 1):
            raise RuntimeError(f"batch_norm counts batches in one int64, got {batches.dtype} of shape {batches.shape}")
        if self.training and self.momentum is None and by["running_mean"] is not None and batches is None:
            raise RuntimeError("batch_norm without momentum takes the cumulative average, which needs batches")
        if not self.training and (by["running_mean"] is None or by["running_var"] is None):
            missing = "running_mean" if by["running_mean"] is None else "running_var"
            raise RuntimeError(f"{missing} must be defined in evaluation mode")
        return Spec(x.shape, x.dtype), Spec((2, x.shape[1]), x.dtype)

    def forward(self, program, out, x, *others):
        by = self.inputs((x, *others))
        program.batch_norm(
            as_planes(out[0]), out[1], as_planes(x), by["weight"], by["bias"], as_planes(by["residual"]),
            by["running_mean"], by["running_var"], by["batches"], self.training, self.momentum, self.eps,
            self.activation,
        )  # fmt: skip

    def saved_inputs(self, needs):
        kept = {"weight"}
        if self.activation and "residual" not in self.given:
            kept.add("bias")  # the backward pass finds the output's sign from x again
        if not self.training:
            kept |= {"running_mean", "running_var"}
        return (0, *[1 + i for i, name in enumerate(self.given) if name in kept])

    @property
    def saves_outputs(self):
        return (0, 1) if self.activation and "residual" in self.given else (1,)

    def backward(self, node: Node, grad: Tensor | None, grad_statistics: Tensor | None):
        if grad_statistics is not None:
            raise RuntimeError("the second output of BatchNorm has no gradient")
        saved = {name: node.input(i) for i, name in enumerate(("x", *self.given)) if i in node.saved}
        y = node.output(0) if 0 in self.saves_outputs else None
        needs = dict(zip(("x", *self.given), node.needs, strict=True))
        if is_grad_enabled():
            grads = self._composed(grad, y, saved, needs)
        else:
            wanted = tuple([name for name in _GRADIENTS if needs.get(name)])
            if self.activation is None:
                wanted = tuple([name for name in wanted if name != "residual"])
            arrays = {"y": y, "weight": saved.get("weight"), "bias": saved.get("bias")}
            given = tuple([name for name, value in arrays.items() if value is not None])
            op = BatchNormBackward(wanted, given, self.training, self.activation)
            values = [arrays[name] for name in given]
            results = apply(op, grad, saved["x"], node.output(1), *values) if wanted else ()
            grads = dict(zip(wanted, results if len(wanted) > 1 else (results,), strict=True)) if wanted else {}
            if self.activation is None:
                grads["residual"] = grad
        return tuple([grads.get(name) if need else None for name, need in needs.items()])

    def _composed(self, grad: Tensor, y: Tensor | None, saved: dict, needs: dict) -> dict:
        """All gradients from ops that have gradients."""
        x = saved["x"]
        shape = (1, -1, *[1] * (x.ndim - 2))
        weight, bias, mean, var = (
            None if saved.get(name) is None else saved[name].reshape(shape)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        axes = tuple(axis for axis in range(x.ndim) if axis != 1) if self.training else None
        if axes is not None:
            normal, rstd = normalised(x, axes, self.eps)
        else:
            rstd = (var + self.eps).rsqrt()
            normal = (x - mean) * rstd
        if self.activation:
            if y is None:
                y = normal if weight is None else normal * weight
                y = y if bias is None else y + bias
            grad = apply(RELU_BACKWARD, grad, y)
        grad_x, products = composed_gradients(grad, weight, normal, rstd, axes)
        grads = {"x": grad_x, "residual": grad}
        for name, value in (("weight", products), ("bias", grad)):
            if needs.get(name):
                grads[name] = sum_to(value, (1, x.shape[1], *[1] * (x.ndim - 2))).reshape((x.shape[1],))
        return grads


_NOTHING = dict.fromkeys(("weight", "bias", "residual", "running_mean", "running_var", "batches"))
_CHANGES = ("running_mean", "running_var", "batches")
_GRADIENTS = ("x", "residual", "weight", "bias")


@dataclass(slots=True, eq=False)
class BatchNormBackward(Op):
    """The gradients of BatchNorm that ``wanted`` names, of x, residual, weight and bias in this order.

    Inputs: ∂y, x, statistics, and those of y, weight, bias that ``given`` names. It has no gradient of its own:
    BatchNorm puts its gradient together from other ops where that will be differentiated."""

    differentiable: ClassVar[bool] = False
    wanted: tuple[str, ...]
    given: tuple[str, ...]
    training: bool
    activation: str | None

    def infer(self, grad, x, statistics, *others):
        like_x, vector = Spec(x.shape, x.dtype), Spec(statistics.shape[1:], x.dtype)
        return tuple([like_x if name in ("x", "residual") else vector for name in self.wanted])

    def forward(self, program, out, grad, x, statistics, *others):
        to = dict(zip(self.wanted, out, strict=True))
        by = dict(zip(self.given, others, strict=True))
        program.batch_norm_backward(
            as_planes(to.get("x")), as_planes(to.get("residual")), to.get("weight"), to.get("bias"), as_planes(grad),
            as_planes(x), as_planes(by.get("y")), statistics, by.get("weight"), by.get("bias"), self.training,
            self.activation,
        )  # fmt: skip


def batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    batches: Tensor | None,
    training: bool,
    momentum: float | None,
    eps: float,
    activation: str | None = None,
) -> Tensor:
    """See :class:`BatchNorm`; the running statistics change in place, whatever their strides are."""
    values = (weight, bias, residual, running_mean, running_var, batches)
    given = tuple([name for name, value in zip(_NOTHING, values, strict=True) if value is not None])
    tensors = [value for value in values if value is not None]
    op = BatchNorm(given, training, momentum, eps, activation)
    strided = [i for i in op.mutates if not tensors[i - 1]._array.is_contiguous]
    if not strided:
        return apply(op, x, *tensors)[0]
    inputs = [x, *tensors]
    for i in strided:
        inputs[i] = inputs[i].contiguous()
    result = apply(op, *inputs)[0]
    for i in strided:
        tensors[i - 1].copy_(inputs[i])
    return result
