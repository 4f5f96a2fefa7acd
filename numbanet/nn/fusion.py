"""A layer and its activation in one kernel: the output is written once and not read again to be cut off at 0."""

from __future__ import annotations

from typing import Any

from numbanet.nn.activation import ReLU
from numbanet.nn.conv import Conv2d
from numbanet.nn.linear import Linear
from numbanet.nn.module import Module


def can_fuse(layer: Module, activation: Module) -> bool:
    """Whether one kernel does both, and nobody would miss the value in between (hooks would)."""
    return (
        type(activation) is ReLU
        and type(layer) in (Linear, Conv2d)
        and not layer.has_call_hooks
        and not activation.has_call_hooks
    )


def activated(layer: Module, activation: Module, input: Any) -> Any:
    """``activation(layer(input))``, the same bits, in one kernel where that is possible."""
    if can_fuse(layer, activation):
        return layer.forward(input, activation="relu")
    return activation(layer(input))
