"""What several models share: activations by name, the lecture's initialisation, the check of the input's shape."""

from __future__ import annotations

from collections.abc import Callable

from numbanet import nn
from numbanet.nn import init
from numbanet.ops.base import INT64
from numbanet.tensor import Tensor

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def choose(kind: str, name: str, known: dict[str, Callable]) -> Callable:
    """``known[name]``. Raises ValueError that lists the names."""
    if name not in known:
        raise ValueError(f"unknown {kind} {name!r}; use one of: {', '.join(known)}")
    return known[name]


def positive(**sizes: int) -> None:
    """Raise ValueError for a size that is not a positive whole number."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a positive whole number, but got {value!r}")


def lecture_init_(model: nn.Module, activation: str) -> None:
    """LECTURE row L11: Std[w] = √(2 / fan-in) before ReLUs, Glorot's Var[w] = 2 / (fan-in + fan-out) else; biases 0.

    PyTorch's default, which the layers have by themselves, lets the variance fall sixfold a ReLU layer.
    """
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            if activation == "relu":
                init.kaiming_normal_(module.weight, nonlinearity="relu")
            else:
                init.xavier_normal_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)


def check_tokens(model: str, tokens: Tensor, what: str = "token numbers") -> None:
    """Raise ValueError unless ``tokens`` is int64 (batch, length) with a length of at least 1."""
    if tokens.ndim != 2 or tokens.dtype != INT64 or tokens.shape[1] < 1:
        raise ValueError(
            f"{model} takes {what} of shape (batch, length), int64, but got shape {tuple(tokens.shape)} and dtype "
            f"{tokens.dtype}" + ("; add the batch axis with x[None]" if tokens.ndim == 1 else "")
        )


def share(name: str, value: float) -> None:
    """Raise ValueError unless value is in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, but got {value!r}")


def heads_fit(d_model: int, num_heads: int) -> None:
    """Raise ValueError unless the heads share d_model evenly."""
    if d_model % num_heads:
        raise ValueError(f"d_model must be a multiple of num_heads, but got {d_model} and {num_heads}")


def check_pictures(model: str, input: Tensor, channels: int, size: int) -> None:
    """Raise ValueError unless ``input`` is (batch, channels, size, size)."""
    shape = tuple(input.shape)
    if len(shape) != 4:
        raise ValueError(
            f"{model} takes a batch of pictures of shape (batch, {channels}, {size}, {size}), but got shape {shape}"
            + ("; add the batch axis with x[None]" if len(shape) == 3 else "")
        )
    if shape[1:] != (channels, size, size):
        _, given, height, width = shape
        fitting = f"build it with in_channels={given}, image_size={height}, or " if height == width else ""
        raise ValueError(
            f"{model} takes pictures of shape (batch, {channels}, {size}, {size}), but got {shape}; "
            f"{fitting}resize the pictures"
        )
