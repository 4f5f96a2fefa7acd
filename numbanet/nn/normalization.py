"""Normalisation layers (LECTURE rows L20 and L21)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from numbanet.creation import empty, full, ones, zeros
from numbanet.nn import init
from numbanet.nn._norm import (
    check_activation,
    counted_batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    require_values,
)
from numbanet.nn.module import Module
from numbanet.nn.parameter import Parameter
from numbanet.ops.base import INT64
from numbanet.tensor import Tensor


def _reset(weight: Parameter | None, bias: Parameter | None) -> None:
    """Weight 1, bias 0, where there are any."""
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)


class _NormBase(Module):
    """What batch and instance normalisation share: weight and bias, running statistics, how they print and load."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: np.dtype | type | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, is_there in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, Parameter(empty(num_features, dtype=dtype)) if is_there else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, dtype=dtype) if tracked else None)
        self.register_buffer("running_var", ones(num_features, dtype=dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", full((), 0, dtype=INT64) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Begin the running statistics anew: mean 0, variance 1, no batches."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Begin anew: weight 1, bias 0, and the running statistics."""
        self.reset_running_stats()
        _reset(self.weight, self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        raise NotImplementedError

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        # States from before PyTorch counted the batches are taken as they are.
        if self.num_batches_tracked is not None:
            state_dict.setdefault(f"{prefix}num_batches_tracked", self.num_batches_tracked)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_NormBase):
    """Batch normalisation (Ioffe, Szegedy 2015): each channel to mean 0 and variance 1, then times weight, plus bias.

    While training the statistics are the batch's, and the running ones move towards them: running ← (1 − momentum) ·
    running + momentum · batch, with the unbiased variance; momentum None is the average over all batches
    (``num_batches_tracked``). In evaluation the running ones are used, or with ``track_running_stats=False`` the
    batch's. weight begins as 1, bias as 0;
    ``affine=False`` leaves both out, ``bias=False`` the bias. Raises ValueError when training with one value a channel.
    """

    def forward(self, input: Tensor, residual: Tensor | None = None, activation: str | None = None) -> Tensor:
        """``residual`` is added and ``activation`` "relu" computed along; see :func:`numbanet.nn.fusion.normalised`."""
        self._check_input_dim(input)
        check_activation(type(self).__name__, activation)
        mean, var = self.running_mean, self.running_var
        use_batch = self.training or (mean is None and var is None)
        if use_batch:
            require_values(input.shape)
        updates = self.training and self.track_running_stats
        if self.training and not updates:
            mean = var = None
        return counted_batch_norm(
            input, mean, var, self.num_batches_tracked if updates else None, self.weight, self.bias, use_batch,
            self.momentum, self.eps, residual, activation,
        )  # fmt: skip


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (n, num_features) or (n, num_features, length); see ``_BatchNorm``."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {input.ndim}D input)")


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of pictures (n, num_features, h, w); see ``_BatchNorm``."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim != 4:
            raise ValueError(f"expected 4D input (got {input.ndim}D input)")


class _InstanceNorm(_NormBase):
    """Instance normalisation (Ulyanov et al. 2016): each channel of each sample to mean 0 and variance 1.

    Without ``affine`` (the default) there are no weight and bias. With ``track_running_stats`` the running statistics
    move towards the means over the samples, and are used in evaluation. An input without the first dimension is one
    sample. Raises ValueError for channels of one element.
    """

    _dims: tuple[int, int]  # of one sample, of a batch

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: np.dtype | type | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype, bias=bias)

    def _check_input_dim(self, input: Tensor) -> None:
        single, batch = self._dims
        if input.ndim not in self._dims:
            raise ValueError(f"expected {single}D or {batch}D input (got {input.ndim}D input)")
        features = input.shape[-(single - 1) - 1]
        if features == self.num_features:
            return
        axis = input.ndim - single
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={axis} to match num_features ({self.num_features}), but got: {features}."
            )
        warnings.warn(
            f"input's size at dim={axis} does not match num_features. You can silence this warning by not passing in "
            "num_features, which is not used because affine=False",
            stacklevel=4,
        )

    def forward(self, input: Tensor, residual: Tensor | None = None, activation: str | None = None) -> Tensor:
        """``residual`` is added and ``activation`` "relu" computed along; see :func:`numbanet.nn.fusion.normalised`."""
        self._check_input_dim(input)
        check_activation(type(self).__name__, activation)
        single = input.ndim == self._dims[0]
        if single:
            input, residual = input.unsqueeze(0), None if residual is None else residual.unsqueeze(0)
        result = instance_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, 0.0 if self.momentum is None else self.momentum, self.eps,
            residual, activation,
        )  # fmt: skip
        return result.squeeze(0) if single else result


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of (n, num_features, length) or (num_features, length); see ``_InstanceNorm``."""

    _dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of pictures (n, num_features, h, w) or (num_features, h, w); see ``_InstanceNorm``."""

    _dims = (3, 4)


class GroupNorm(Module):
    """Group normalisation (Wu, He 2018): each of ``num_groups`` groups of channels of each sample (n, num_channels, …)
    to mean 0 and variance 1, then times weight (begins as 1), plus bias (0).

    Raises ValueError when the groups do not divide the channels.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: np.dtype | type | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, is_there in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, Parameter(empty(num_channels, dtype=dtype)) if is_there else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor, residual: Tensor | None = None, activation: str | None = None) -> Tensor:
        """``residual`` is added and ``activation`` "relu" computed along; see :func:`numbanet.nn.fusion.normalised`."""
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps, residual, activation)

    def extra_repr(self) -> str:
        has_bias = self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={has_bias}"


class LayerNorm(Module):
    """Layer normalisation (Ba, Kiros, Hinton 2016): (…, *normalized_shape) to mean 0 and variance 1 over the dimensions
    of ``normalized_shape``, then times weight (begins as 1), plus bias (0), both of that shape."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: np.dtype | type | None = None,
    ) -> None:
        super().__init__()
        sizes = (normalized_shape,) if isinstance(normalized_shape, (int, np.integer)) else normalized_shape
        self.normalized_shape = tuple(int(size) for size in sizes)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, is_there in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            parameter = Parameter(empty(*self.normalized_shape, dtype=dtype)) if is_there else None
            self.register_parameter(name, parameter)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )
