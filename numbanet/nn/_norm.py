"""Normalisation as functions: what ``nn.functional`` shows of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numbanet.ops import norm
from numbanet.tensor import Tensor


def check_activation(name: str, activation: str | None) -> None:
    """Raise ValueError for what the kernels cannot compute along."""
    if activation not in norm.ACTIVATIONS:
        raise ValueError(f"{name}: unknown activation {activation!r}; there are: None, 'relu'")


def require_values(shape: Sequence[int]) -> None:
    """Raise unless a channel of this shape (n, c, …) has more than one value."""
    if math.prod(shape) // max(shape[1], 1) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {shape}")


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    residual: Tensor | None = None,
    activation: str | None = None,
) -> Tensor:
    """Each channel of input (n, c, …) normalised by its mean and variance, times weight (c,), plus bias (c,).

    When training these are the batch's, and the running statistics move towards them by momentum (the variance
    unbiased), in place; otherwise they are the running ones. residual (as input) is added and activation (None or
    "relu") computed along. Raises ValueError when training with one value a channel."""
    check_activation("batch_norm", activation)
    if training and input.ndim > 1:
        require_values(input.shape)
    return counted_batch_norm(
        input, running_mean, running_var, None, weight, bias, training, momentum, eps, residual, activation
    )


def counted_batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    batches: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float | None,
    eps: float,
    residual: Tensor | None,
    activation: str | None,
) -> Tensor:
    """As batch_norm, and counts the batches in batches (int64); momentum None then is 1/batches."""
    if input.numel() == 0:
        result = input.clone() if residual is None else input + residual
        return result.relu() if activation else result
    return norm.batch_norm(
        input, weight, bias, residual, running_mean, running_var, batches, training, momentum, eps, activation
    )
