"""What several models share: activations and norms by name, dropout, how weights start, the check of the input."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from numbanet import nn
from numbanet.nn import init
from numbanet.nn.fusion import activated, normalised
from numbanet.ops.base import INT64
from numbanet.tensor import Tensor

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}

_GAINS = {"relu": "relu", "gelu": "relu", "tanh": "tanh", "sigmoid": "sigmoid"}
"""Whose gain in ``nn.init`` makes up for an activation: GELU halves the second moment nearly as ReLU does."""

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "group": lambda channels: nn.GroupNorm(group_count(channels), channels),
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "none": nn.Identity,
}
"""Norms of pictures, all with a scale and a shift a channel; "layer" is over all channels and positions (row L21)."""

VECTOR_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
    "group": lambda features: nn.GroupNorm(group_count(features), features),
    "none": nn.Identity,
}
"""Norms of vectors (n, features)."""

INITS = ("lecture", "pytorch", *init.SCHEMES)


@dataclass(frozen=True)
class Parts:
    """The options that every model has, checked, and what is made of them.

    ``norm`` and ``activation`` are names of the tables above. ``dropout`` is the probability of dropping, with
    ``classic_dropout`` in the lecture's form (row L24: nothing is divided in training, evaluation multiplies by 1 − p),
    else in PyTorch's. ``init`` "lecture" is row L11: Kaiming's Std[w] = √(2 / fan-in) before ReLU and GELU, Glorot's
    Var[w] = 2 / (fan-in + fan-out) else, biases 0; "pytorch" is the layers' own, which lets the variance fall sixfold a
    ReLU layer; the others are ``nn.init.SCHEMES``. ``init_scale`` multiplies all weights: too small or too big on
    purpose.
    """

    norm: str = "none"
    activation: str = "relu"
    dropout: float = 0.0
    classic_dropout: bool = True
    init: str = "lecture"
    init_scale: float = 1.0

    def __post_init__(self) -> None:
        choose("norm", self.norm, NORMS)
        choose("activation", self.activation, ACTIVATIONS)
        choose("init", self.init, INITS)
        share("dropout", self.dropout)
        if not isinstance(self.classic_dropout, bool):
            raise ValueError(f"classic_dropout must be true or false, but got {self.classic_dropout!r}")
        if not _is_number(self.init_scale) or not 0 < self.init_scale < math.inf:
            raise ValueError(f"init_scale must be a positive number, but got {self.init_scale!r}")

    @property
    def has_norm(self) -> bool:
        """Whether there is a norm, which makes the biases of the layers before it idle."""
        return self.norm != "none"

    def make_norm(self, channels: int) -> nn.Module:
        """A norm of pictures of so many channels."""
        return NORMS[self.norm](channels)

    def make_vector_norm(self, features: int) -> nn.Module:
        """A norm of vectors. Raises ValueError for instance normalisation, which needs positions."""
        return choose("norm", self.norm, VECTOR_NORMS)(features)

    def make_activation(self) -> nn.Module:
        """An activation."""
        return ACTIVATIONS[self.activation]()

    def make_dropout(self) -> nn.Module:
        """A dropout layer; with probability 0 it does nothing."""
        return nn.Dropout(self.dropout, classic=self.classic_dropout)

    def start_weights_(self, model: nn.Module) -> None:
        """Give all linear, convolution and locally connected layers their initial weights."""
        gain = _GAINS[self.activation]
        lecture = "kaiming_normal" if gain == "relu" else "xavier_normal"
        init.initialise_(model, lecture if self.init == "lecture" else self.init, gain, self.init_scale)


def with_norm(layer: nn.Module, norm: nn.Module, activation: nn.Module, input: Tensor) -> Tensor:
    """``activation(norm(layer(input)))`` in as few kernels as there can be."""
    if type(norm) is nn.Identity and not norm.has_call_hooks:
        return activated(layer, activation, input)
    return normalised(norm, layer(input), None, activation)


def group_count(channels: int) -> int:
    """Groups for group normalisation: at most 32 (Wu, He 2018), of 4 channels or more where they can be so divided."""
    return max(groups for groups in range(1, 33) if channels % groups == 0 and (groups == 1 or channels >= 4 * groups))


def choose(kind: str, name: Any, known: Collection[str]) -> Any:
    """``known[name]`` of a table, or the name itself of a list. Raises ValueError that lists the names."""
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"unknown {kind} {name!r}; use one of: {', '.join(known)}")
    return known[name] if isinstance(known, Mapping) else name


def positive(**sizes: Any) -> None:
    """Raise ValueError for a size that is not a positive whole number."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a positive whole number, but got {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_tokens(model: str, tokens: Tensor, what: str = "token numbers") -> None:
    """Raise ValueError unless ``tokens`` is int64 (batch, length) with a length of at least 1."""
    if tokens.ndim != 2 or tokens.dtype != INT64 or tokens.shape[1] < 1:
        raise ValueError(
            f"{model} takes {what} of shape (batch, length), int64, but got shape {tuple(tokens.shape)} and dtype "
            f"{tokens.dtype}" + ("; add the batch axis with x[None]" if tokens.ndim == 1 else "")
        )


def check_series(model: str, series: Tensor, size: int) -> None:
    """Raise ValueError unless ``series`` is (batch, length, size) of floats, of one step at least."""
    if series.ndim != 3 or series.shape[2] != size or not series.shape[1] or series.dtype.kind != "f":
        raise ValueError(
            f"{model} takes series of numbers (batch, length, {size}), but got {series.dtype} of shape "
            f"{tuple(series.shape)}"
        )


def share(name: str, value: Any) -> None:
    """Raise ValueError unless value is a number in [0, 1)."""
    if not _is_number(value) or not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, but got {value!r}")


def heads_fit(d_model: int, num_heads: int) -> None:
    """Raise ValueError unless the heads share d_model evenly."""
    if d_model % num_heads:
        raise ValueError(f"d_model must be a multiple of num_heads, but got {d_model} and {num_heads}")


def sides(image_size: Any) -> tuple[int, int]:
    """(height, width) of the pictures: ``image_size`` is one number for both or the two. Raises ValueError."""
    if isinstance(image_size, (tuple, list)) and len(image_size) == 2:
        height, width = image_size
        positive(image_size=height)
        positive(image_size=width)
        return height, width
    positive(image_size=image_size)
    return image_size, image_size


def check_pictures(model: str, input: Tensor, channels: int, size: tuple[int, int]) -> None:
    """Raise ValueError unless ``input`` is (batch, channels, *size)."""
    shape = tuple(input.shape)
    height, width = size
    wanted = f"(batch, {channels}, {height}, {width})"
    if len(shape) != 4:
        raise ValueError(
            f"{model} takes a batch of pictures of shape {wanted}, but got shape {shape}"
            + ("; add the batch axis with x[None]" if len(shape) == 3 else "")
        )
    if shape[1:] != (channels, *size):
        _, given, height, width = shape
        fitting = height if height == width else (height, width)
        raise ValueError(
            f"{model} takes pictures of shape {wanted}, but got {shape}; "
            f"build it with in_channels={given}, image_size={fitting}, or resize the pictures"
        )
