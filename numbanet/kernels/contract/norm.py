"""Normalisation."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare(writes=("statistics", "running_mean", "running_var", "batches"))
def batch_norm(
    out,
    statistics,
    x,
    weight,
    bias,
    residual,
    running_mean,
    running_var,
    batches,
    training: bool,
    momentum: float | None,
    eps: float,
    activation: str | None = None,
):
    """out (n, c, s) = activation((x − μ)·ρ·weight + bias + residual), ρ = 1/√(σ² + eps); statistics (2, c) = μ and ρ.

    μ (c,) and σ² (c,) are mean and variance of x over n and s when training, else running_mean and running_var.
    weight (c,), bias (c,) and residual (n, c, s) may be None; activation: None or "relu". When training, what is given
    of these changes: batches (int64, ()) += 1; running ← (1 − m)·running + m·(μ, σ²·k/(k − 1)) with k = n·s and
    m = momentum, or 1/batches where that is None."""


@declare(optional=("out", "residual_out", "weight_out", "bias_out"))
def batch_norm_backward(
    out,
    residual_out,
    weight_out,
    bias_out,
    grad,
    x,
    y,
    statistics,
    weight,
    bias,
    training: bool,
    activation: str | None = None,
):
    """Gradients of batch_norm for x, residual (n, c, s), weight and bias (c,), each of them None if not wanted.

    With "relu" the gradient g is grad where the output is not at or below 0: y (n, c, s) is the output, or None if
    there was no residual (then it is computed again from x and bias). residual_out = g; bias_out = Σ g;
    weight_out = Σ g·x̂ with x̂ = (x − μ)·ρ; out = weight·ρ·(g − bias_out/k − x̂·weight_out/k) when training, else
    weight·ρ·g."""


@declare(writes=("weight_out", "bias_out"))
def batch_norm_fold(weight_out, bias_out, weight, bias, norm_weight, norm_bias, mean, var, eps: float):
    """weight_out (o, k) = weight·s and bias_out (o,) = norm_bias + (bias − mean)·s, s = norm_weight/√(var + eps).

    So W·x + b with these is the batch norm, not training, of what it is with weight and bias. bias, norm_weight and
    norm_bias (o,) may be None."""


@declare(writes=("statistics",))
def group_norm(out, statistics, x, weight, bias, residual, groups: int, eps: float, activation: str | None = None):
    """As batch_norm when training, with μ and ρ of each group of c/groups channels of each sample: statistics
    (2, n·groups)."""


@declare(optional=("out", "residual_out", "weight_out", "bias_out"))
def group_norm_backward(
    out,
    residual_out,
    weight_out,
    bias_out,
    grad,
    x,
    y,
    statistics,
    weight,
    bias,
    groups: int,
    activation: str | None = None,
):
    """Gradients of group_norm, as batch_norm_backward: means are taken over a group."""


@declare(writes=("statistics",))
def layer_norm(out, statistics, x, weight, bias, eps: float):
    """out (rows, c) = (x − μ)·ρ·weight + bias with μ and ρ = 1/√(σ² + eps) of each row: statistics (2, rows).

    weight (c,) and bias (c,) may be None."""


@declare(optional=("out", "weight_out", "bias_out"))
def layer_norm_backward(out, weight_out, bias_out, grad, x, statistics, weight):
    """Gradients of layer_norm for x (rows, c), weight and bias (c,), each of them None if not wanted.

    weight_out = Σ grad·x̂, bias_out = Σ grad over rows; out = ρ·(g − mean(g) − x̂·mean(g·x̂)) with g = grad·weight."""
