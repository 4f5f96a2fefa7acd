"""Normalisation as functions: what ``nn.functional`` shows of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numbanet.autograd import apply, no_grad
from numbanet.ops import norm
from numbanet.ops.norm_samples import GroupNorm, LayerNorm
from numbanet.tensor import Tensor


def check_activation(name: str, activation: str | None) -> None:
    """Raise ValueError for what the kernels cannot compute along."""
    if activation not in norm.ACTIVATIONS:
        raise ValueError(f"{name}: unknown activation {activation!r}; there are: None, 'relu'")


class TooFewValues(ValueError):
    """There is but one value, which has no variance."""


def require_values(shape: Sequence[int]) -> None:
    """Raise :class:`TooFewValues` unless a channel of this shape (n, c, …) has more than one value."""
    if math.prod(shape) // max(shape[1], 1) == 1:
        raise TooFewValues(f"Expected more than 1 value per channel when training, got input size {shape}")


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


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    residual: Tensor | None = None,
    activation: str | None = None,
) -> Tensor:
    """Each of num_groups groups of channels of each sample of input (n, c, …) normalised by its mean and variance,
    times weight (c,), plus bias (c,); residual (as input) is added and activation (None or "relu") computed along."""
    check_activation("group_norm", activation)
    values = {"weight": weight, "bias": bias, "residual": residual}
    given = tuple([name for name, value in values.items() if value is not None])
    op = GroupNorm(given, num_groups, eps, activation)
    if input.numel() == 0:
        op.infer(input._array, *[values[name]._array for name in given])
        return input.clone()
    return apply(op, input, *[values[name] for name in given])[0]


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """input (…, *normalized_shape) normalised by mean and variance over the dimensions of normalized_shape, times
    weight, plus bias (both of normalized_shape)."""
    values = {"weight": weight, "bias": bias}
    given = tuple([name for name, value in values.items() if value is not None])
    op = LayerNorm(given, tuple(normalized_shape), eps)
    if input.numel() == 0:
        op.infer(input._array, *[values[name]._array for name in given])
        return input.clone()
    return apply(op, input, *[values[name] for name in given])[0]


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    residual: Tensor | None = None,
    activation: str | None = None,
) -> Tensor:
    """Each channel of each sample of input (n, c, …) normalised by its mean and variance, or without use_input_stats by
    the running ones; when given, these move towards the mean over the samples. Otherwise as batch_norm.

    Raises ValueError for channels of one element."""
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps, residual, activation)
    shape = input.shape
    if math.prod(shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {shape}")
    if running_mean is not None and input.numel():
        # The running statistics are those of batch norm with a channel a sample, their means over the samples.
        with no_grad():
            channels = input.detach().reshape((1, shape[0] * shape[1], *shape[2:]))
            mean, var = (one.repeat(shape[0]) for one in (running_mean, running_var))
            batch_norm(channels, mean, var, training=True, momentum=momentum, eps=eps)
            for running, fresh in ((running_mean, mean), (running_var, var)):
                running.copy_(fresh.reshape(shape[:2]).mean(0))
    return group_norm(input, shape[1], weight, bias, eps, residual, activation)
