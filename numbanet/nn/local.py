"""Locally connected layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from numbanet.creation import empty
from numbanet.nn import functional as F
from numbanet.nn import init
from numbanet.nn.conv import Pair, pair
from numbanet.nn.module import Module
from numbanet.nn.parameter import Parameter
from numbanet.tensor import Tensor


class LocallyConnected2d(Module):
    """A convolution whose weights are not shared over positions (LECTURE row L2); PyTorch has none, Keras had.

    Input (n, in_channels, h, w) with (h, w) = input_size, output (n, out_channels, oh, ow) with oh = ⌊(h + 2·padding −
    kh) / stride⌋ + 1. ``weight`` is (oh · ow, in_channels · kh · kw, out_channels), ``bias`` (out_channels, oh, ow).
    Both start as Conv2d's: U(−β, β) with β = 1/√(in_channels · kh · kw).

    Raises ValueError for sizes that are not positive and a kernel that does not fit into the padded picture.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: int | Pair,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        bias: bool = True,
        dtype: np.dtype | type | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.input_size = pair(input_size, "input_size")
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.stride = pair(stride, "stride")
        self.padding = pair(padding, "padding")
        self.output_size = self._output_size()
        (oh, ow), (kh, kw) = self.output_size, self.kernel_size
        self.weight = Parameter(empty(oh * ow, in_channels * kh * kw, out_channels, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, oh, ow, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def _output_size(self) -> Pair:
        if self.in_channels < 1 or self.out_channels < 1:
            raise ValueError("in_channels and out_channels must be positive integers")
        for name in ("input_size", "kernel_size", "stride"):
            if min(getattr(self, name)) <= 0:
                raise ValueError(f"{name} must be positive, but got {getattr(self, name)}")
        if min(self.padding) < 0:
            raise ValueError(f"padding must not be negative, but got {self.padding}")
        settings = zip(self.input_size, self.padding, self.kernel_size, self.stride, strict=True)
        oh, ow = ((size + 2 * padding - kernel) // stride + 1 for size, padding, kernel, stride in settings)
        if min(oh, ow) < 1:
            raise ValueError(
                f"a kernel {self.kernel_size} does not fit into a picture {self.input_size} with padding {self.padding}"
            )
        return oh, ow

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        bound = self.weight.shape[1] ** -0.5
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def filters(self) -> Iterator[Tensor]:
        """Each position's weights as a convolution's (out, in, kh, kw), of whose fans ``nn.init`` knows: views."""
        shape = (self.in_channels, *self.kernel_size, self.out_channels)
        for weight in self.weight:
            yield weight.reshape(shape).permute(3, 0, 1, 2)

    def forward(self, input: Tensor) -> Tensor:
        if input.shape[-2:] != self.input_size:
            raise RuntimeError(f"LocallyConnected2d is for pictures {self.input_size}, got {input.shape}")
        return F.locally_connected2d(input, self.weight, self.bias, self.kernel_size, self.stride, self.padding)

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, input_size={self.input_size}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.bias is None:
            text += ", bias=False"
        return text
