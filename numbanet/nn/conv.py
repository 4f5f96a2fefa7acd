"""Convolution layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from numbanet.creation import empty
from numbanet.nn import functional as F
from numbanet.nn._arguments import Size
from numbanet.nn.linear import default_init_
from numbanet.nn.module import Module
from numbanet.nn.parameter import Parameter
from numbanet.tensor import Tensor

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
Pair = tuple[int, int]
Single = tuple[int]


def numbers(value: int | tuple[int, ...], name: str, count: int) -> tuple[int, ...]:
    """``(v, …)`` from one number, or ``count`` numbers as they are."""
    values = value if isinstance(value, (tuple, list)) else (value,) * count
    if len(values) != count or not all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values):
        wanted = "an int or a tuple of two ints" if count == 2 else "an int"
        raise ValueError(f"{name} must be {wanted}, but got {value!r}")
    return tuple(int(v) for v in values)


def pair(value: int | tuple[int, int], name: str) -> Pair:
    """``(v, v)`` from one number, or two numbers as they are."""
    return numbers(value, name, 2)


class _Convolution(Module):
    """What convolutions of any number of axes (``axes``) share: settings, their checks, weight and bias."""

    axes: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: np.dtype | type | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = numbers(kernel_size, "kernel_size", self.axes)
        self.stride = numbers(stride, "stride", self.axes)
        self.padding = padding if isinstance(padding, str) else numbers(padding, "padding", self.axes)
        self.dilation = numbers(dilation, "dilation", self.axes)
        self.groups = groups
        self.padding_mode = padding_mode
        self._check()
        self.weight = Parameter(empty(out_channels, in_channels // groups, *self.kernel_size, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def _check(self) -> None:
        if self.groups <= 0:
            raise ValueError("groups must be a positive integer")
        if self.in_channels % self.groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if self.out_channels % self.groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        for name in ("kernel_size", "stride", "dilation"):
            if min(getattr(self, name)) <= 0:
                raise ValueError(f"{name} must be positive, but got {getattr(self, name)}")
        if isinstance(self.padding, str):
            if self.padding not in ("same", "valid"):
                raise ValueError(f"Invalid padding string {self.padding!r}, should be one of ('same', 'valid')")
            if self.padding == "same" and max(self.stride) != 1:
                raise ValueError("padding='same' is not supported for strided convolutions")
        elif min(self.padding) < 0:
            raise ValueError(f"padding must not be negative, but got {self.padding}")
        if self.padding_mode not in PADDING_MODES:
            names = ", ".join(map(repr, PADDING_MODES))
            raise ValueError(f"padding_mode must be one of {names}, but got padding_mode={self.padding_mode!r}")

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        default_init_(self.weight, self.bias)

    def filters(self) -> Iterator[Tensor]:
        """The weight, of whose fans ``nn.init`` knows."""
        yield self.weight

    def _padded(self, input: Tensor) -> tuple[Tensor, tuple[int, ...] | int | str]:
        """The input and the padding to go with it: what the kernels do not pad is padded here. "same" of an even kernel
        leaves an odd number to pad, of which the larger half goes behind, as in PyTorch."""
        zeros = self.padding_mode == "zeros"
        if zeros and type(self.padding) is tuple:  # most often
            return input, self.padding
        spans = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        if self.padding == "valid" or (zeros and (self.padding != "same" or not any(span % 2 for span in spans))):
            return input, self.padding
        if self.padding == "same":
            around = [side for span in reversed(spans) for side in (span // 2, span - span // 2)]
        else:
            around = [side for size in reversed(self.padding) for side in (size, size)]
        return F.pad(input, tuple(around), "constant" if zeros else self.padding_mode), 0

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.axes:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.axes:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class Conv2d(_Convolution):
    """Two-dimensional convolution (cross-correlation, as everywhere; LECTURE rows L3 and L5).

    Input (n, in_channels, h, w), weight (out_channels, in_channels/groups, kh, kw), output (n, out_channels, oh, ow)
    with ``oh = ⌊(h + 2·padding − dilation·(kh − 1) − 1) / stride⌋ + 1``. ``padding`` is a number, a pair, "valid"
    (none) or "same" (output as large as the input, stride 1 only); ``padding_mode`` says what lies there: "zeros",
    "reflect", "replicate" or "circular", as in :func:`numbanet.nn.functional.pad`. Weight and bias start as PyTorch's:
    U(−β, β) with β = 1/√(in_channels/groups · kh · kw).

    Raises ValueError for channels that ``groups`` does not divide, sizes that are not positive, and unknown padding.
    """

    axes: ClassVar[int] = 2

    def forward(self, input: Tensor, activation: str | None = None, pool: tuple[Size, Size] | None = None) -> Tensor:
        """``activation`` "relu" is computed along, in the same kernel, and a max ``pool`` of this window and stride
        before it, in the same op; see :func:`numbanet.nn.fusion.activated` and :func:`numbanet.nn.fusion.pooled`."""
        input, padding = self._padded(input)
        return F.conv2d(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups, activation, pool
        )


class Conv1d(_Convolution):
    """One-dimensional convolution: Conv2d over pictures of height 1, which are views.

    Input (n, in_channels, length), weight (out_channels, in_channels/groups, k), output (n, out_channels, ol); the
    settings, their errors and the start are those of :class:`Conv2d`.
    """

    axes: ClassVar[int] = 1

    def forward(self, input: Tensor, activation: str | None = None) -> Tensor:
        """``activation`` "relu" is computed along, in the same kernel; see :func:`numbanet.nn.fusion.activated`."""
        input, padding = self._padded(input)
        return F.conv1d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups, activation)
