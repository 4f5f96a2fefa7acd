"""Fully connected layer."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from numbanet.creation import empty
from numbanet.nn import functional as F
from numbanet.nn import init
from numbanet.nn.module import Module
from numbanet.nn.parameter import Parameter
from numbanet.tensor import Tensor


class Linear(Module):
    """``y = x Wᵀ + b`` for x (…, in_features), W (out_features, in_features), b (out_features,) (LECTURE row L1).

    W and b start as U(−β, β) with β = 1/√in_features, as PyTorch's do (variance 1/(3·in_features); row L11 says what
    that does to deep networks).
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: np.dtype | type | None = None
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in_features, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        default_init_(self.weight, self.bias)

    def filters(self) -> Iterator[Tensor]:
        """The weight, of whose fans ``nn.init`` knows."""
        yield self.weight

    def forward(self, input: Tensor, activation: str | None = None, residual: Tensor | None = None) -> Tensor:
        """``activation`` and ``residual`` are computed along, see :func:`numbanet.nn.functional.linear` and
        :func:`numbanet.nn.fusion.activated`."""
        return F.linear(input, self.weight, self.bias, activation, residual)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def default_init_(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's default for linear and convolution layers: weight and bias U(−1/√fan_in, 1/√fan_in)."""
    init.kaiming_uniform_(weight, a=math.sqrt(5.0))
    if bias is not None:
        fan_in, _ = init.fans(weight)
        bound = 1.0 / math.sqrt(fan_in) if fan_in > 0 else 0.0
        init.uniform_(bias, -bound, bound)
