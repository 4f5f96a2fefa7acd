"""Normalisation layers (LECTURE rows L20 and L21)."""

from __future__ import annotations

from typing import Any

import numpy as np

from numbanet.creation import empty, full, ones, zeros
from numbanet.nn import init
from numbanet.nn._norm import check_activation, counted_batch_norm, require_values
from numbanet.nn.module import Module
from numbanet.nn.parameter import Parameter
from numbanet.ops.base import INT64
from numbanet.tensor import Tensor


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
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name in ("weight", "bias"):
            self.register_parameter(name, Parameter(empty(num_features, dtype=dtype)) if affine else None)
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
        if self.affine:
            init.ones_(self.weight)
            init.zeros_(self.bias)

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
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_NormBase):
    """Batch normalisation (Ioffe, Szegedy 2015): each channel to mean 0 and variance 1, then times weight, plus bias.

    While training the statistics are the batch's, and the running ones move towards them: running ← (1 − momentum) ·
    running + momentum · batch, with the unbiased variance; momentum None is the average over all batches
    (``num_batches_tracked``). In evaluation the running ones are used, or with ``track_running_stats=False`` the
    batch's. weight begins as 1, bias as 0. Raises ValueError when training with one value a channel.
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
