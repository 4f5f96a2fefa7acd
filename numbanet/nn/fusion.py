"""A layer and what follows it in one kernel: the output is written once and not read again to be changed."""

from __future__ import annotations

from typing import Any

from numbanet.nn._arguments import pair
from numbanet.nn.activation import GELU, ReLU, Sigmoid, Tanh
from numbanet.nn.conv import Conv1d, Conv2d
from numbanet.nn.linear import Linear
from numbanet.nn.module import Module
from numbanet.nn.normalization import BatchNorm1d, BatchNorm2d, GroupNorm, InstanceNorm1d, InstanceNorm2d
from numbanet.nn.pooling import MaxPool2d
from numbanet.tensor import Tensor

NORMS = (BatchNorm1d, BatchNorm2d, GroupNorm, InstanceNorm1d, InstanceNorm2d)
"""Layers whose kernels add a residual, too."""


def _kernel_name(layer: Module, activation: Module) -> str | None:
    """What the kernels of the layer call the activation; None if none of them does both."""
    if type(activation) is ReLU:
        return "relu" if type(layer) in (Linear, Conv1d, Conv2d, *NORMS) else None
    if type(layer) is not Linear:
        return None
    if type(activation) is GELU:
        return "gelu" if activation.approximate == "none" else "gelu_tanh"
    return {Sigmoid: "sigmoid", Tanh: "tanh"}.get(type(activation))


def can_fuse(layer: Module, activation: Module) -> bool:
    """Whether one kernel does both, and nobody would miss the value in between (hooks would)."""
    return _kernel_name(layer, activation) is not None and not layer.has_call_hooks and not activation.has_call_hooks


def activated(layer: Module, activation: Module, input: Any) -> Any:
    """``activation(layer(input))``, the same bits, in one kernel where that is possible."""
    if can_fuse(layer, activation):
        return layer.forward(input, activation=_kernel_name(layer, activation))
    return activation(layer(input))


def pooled(layer: Module, pool: Module, activation: Module, input: Any) -> Any:
    """``activation(pool(layer(input)))``, the same bits, in one op where that is possible: a convolution and a max pool
    without padding, none of which has a hook. The gradients are the same but for the order of their sums."""
    is_plain = type(layer) is Conv2d and type(pool) is MaxPool2d and not pool.return_indices and not pool.ceil_mode
    if not is_plain or layer.has_call_hooks or pool.has_call_hooks:
        return activation(pool(layer(input)))
    if pair(pool.padding, "padding") != (0, 0) or pair(pool.dilation, "dilation") != (1, 1):
        return activation(pool(layer(input)))
    sizes = (pool.kernel_size, pool.stride)
    if can_fuse(layer, activation):
        return layer.forward(input, _kernel_name(layer, activation), sizes)
    return activation(layer.forward(input, None, sizes))


def normalised(norm: Module, input: Tensor, residual: Tensor | None = None, activation: Module | None = None) -> Tensor:
    """``activation(norm(input) + residual)``, the same bits, in one kernel where that is possible.

    ``norm`` may be any module; ``residual`` and ``activation`` may be None."""
    if type(norm) in NORMS and not norm.has_call_hooks:
        if activation is not None and can_fuse(norm, activation):
            return norm.forward(input, residual, "relu")
        result = norm.forward(input, residual)
    else:
        result = norm(input)
        if residual is not None:
            result = result + residual
    return result if activation is None else activation(result)
