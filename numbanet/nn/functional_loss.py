"""Losses as functions: PyTorch's names and arguments."""

from __future__ import annotations

import warnings

from numbanet.autograd import apply, is_captured
from numbanet.ops.base import broadcast_shapes
from numbanet.ops.loss import CrossEntropy
from numbanet.ops.pointwise_loss import NAMES, PointwiseLoss
from numbanet.tensor import Tensor
from numbanet.tensor_math import operands

_REDUCTIONS = ("none", "mean", "sum")
_SMALL = 1e-12
"""The variance input · (1 − input) below which the gradient of binary_cross_entropy stops to grow."""


def _check_reduction(reduction: str) -> None:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{reduction!r} is not a valid value for reduction; there are: {', '.join(_REDUCTIONS)}")


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    _check_reduction(reduction)
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax cross-entropy of logits (n, c, …) for class numbers (n, …) int64, or for probabilities (n, c, …).

    One op for class numbers; put together from log_softmax for probabilities."""
    _check_reduction(reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if input.ndim == 1:
        if target.ndim != (0 if target.dtype.kind != "f" else 1):
            raise ValueError(
                f"cross_entropy: a target of shape {target.shape} does not fit logits of shape {input.shape}"
            )
        result = cross_entropy(
            input.unsqueeze(0), target.unsqueeze(0), weight, ignore_index, reduction, label_smoothing
        )
        return result.squeeze(0) if reduction == "none" else result
    if target.dtype.kind == "f":
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    shape = target.shape
    if input.ndim > 2:
        if shape != (input.shape[0], *input.shape[2:]):
            raise ValueError(f"cross_entropy: a target of shape {shape} does not fit logits of shape {input.shape}")
        input = input.movedim(1, -1).reshape((-1, input.shape[1]))
        target = target.reshape(-1)
    weights = [] if weight is None else [weight]
    loss = apply(CrossEntropy(reduction, int(ignore_index), float(label_smoothing)), input, target, *weights)[0]
    return loss.reshape(shape) if reduction == "none" and loss.shape != shape else loss


def _soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    if target.shape != input.shape:
        raise ValueError(
            f"cross_entropy: probabilities of shape {target.shape} do not fit logits of shape {input.shape}"
        )
    classes = input.shape[1]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    weighted = input.log_softmax(1) * target
    if weight is not None:
        weighted = weighted * weight.reshape((-1, *[1] * (input.ndim - 2)))
    loss = -weighted.sum(1)
    # the mean over samples, as PyTorch has it for probabilities
    return loss.sum() / (input.numel() // classes) if reduction == "mean" else _reduce(loss, reduction)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """−input[target] of log-probabilities (n, c, …) for class numbers (n, …) int64; the mean is weighted by class
    weights."""
    _check_reduction(reduction)
    if input.ndim == 1:
        result = nll_loss(input.unsqueeze(0), target.unsqueeze(0), weight, ignore_index, reduction)
        return result.squeeze(0) if reduction == "none" else result
    if target.shape != (input.shape[0], *input.shape[2:]):
        raise ValueError(f"nll_loss: a target of shape {target.shape} does not fit an input of shape {input.shape}")
    classes = input.shape[1]
    counted = target != ignore_index
    wrong = counted & ((target < 0) | (target >= classes))
    if not is_captured() and wrong.any():  # while a graph is recorded nobody looks; gather knows its bounds, too
        raise IndexError(
            f"Target {target[wrong][0].item()} is out of bounds: there are {classes} classes, 0 to {classes - 1}"
        )
    chosen = counted.where(target, 0)
    loss = -input.gather(1, chosen.unsqueeze(1)).squeeze(1)
    shares = counted.to(input.dtype) if weight is None else weight[chosen] * counted.to(input.dtype)
    loss = counted.where(loss * shares, loss.new_zeros(()))
    return loss.sum() / shares.sum() if reduction == "mean" else _reduce(loss, reduction)


# --- losses of pairs of numbers --------------------------------------------------------------------------------------
def _pointwise(kind: str, input: Tensor, target: Tensor, reduction: str, beta: float = 0.0) -> Tensor:
    """One op for floats of one shape; different shapes are broadcast, with a warning."""
    _check_reduction(reduction)
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will "
            "likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )
        shape = broadcast_shapes(input.shape, target.shape)
        input, target = input.expand(shape), target.expand(shape)
    input, target = operands(input, target)
    if input.dtype.kind != "f":
        if kind not in ("squared", "absolute"):
            raise RuntimeError(f"{NAMES[kind]} is not implemented for {input.dtype}; use .float()")
        difference = input - target
        return _reduce(difference.square() if kind == "squared" else difference.abs(), reduction)
    return apply(PointwiseLoss(kind, float(beta), reduction), input, target)


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(input − target)², its mean or sum. Different shapes are broadcast, with a warning."""
    return _pointwise("squared", input, target, reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|input − target|, its mean or sum. Different shapes are broadcast, with a warning."""
    return _pointwise("absolute", input, target, reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d²/(2·beta) where |d| < beta, else |d| − beta/2, d = input − target; with beta 0 that is l1_loss."""
    if not beta >= 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    return _pointwise("smooth" if beta else "absolute", input, target, reduction, beta)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """d²/2 where |d| < delta, else delta·(|d| − delta/2), d = input − target."""
    if not delta > 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta, got {delta}")
    return _pointwise("huber", input, target, reduction, delta)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """−w·(p·target·ln σ(input) + (1 − target)·ln(1 − σ(input))), safe for large logits; target in [0, 1].

    ``weight`` w and ``pos_weight`` p are 1 unless given, and are broadcast. One op without them."""
    _check_reduction(reduction)
    if input.shape != target.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    target = target.to(input.dtype)
    if weight is None and pos_weight is None:
        return _pointwise("logistic", input, target, reduction)
    loss = _pointwise("logistic", input, target, "none")
    if pos_weight is not None:
        # the loss of the target 1 is −ln σ(input), of which pos_weight − 1 more is wanted
        loss = loss + (pos_weight - 1) * target * _pointwise(
            "logistic", input, target.new_full(target.shape, 1), "none"
        )
    return _reduce(loss if weight is None else loss * weight, reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """−w·(target·ln input + (1 − target)·ln(1 − input)) of probabilities; logarithms stop at −100, as in PyTorch."""
    _check_reduction(reduction)
    if input.shape != target.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. "
            "Please ensure they have the same size."
        )
    if input.numel() and not (input.min().item() >= 0 and input.max().item() <= 1):
        raise RuntimeError("all elements of input should be between 0 and 1")
    complement = 1 - input
    loss = (target - 1) * _bounded_log(complement, input) - target * _bounded_log(input, complement)
    return _reduce(loss if weight is None else loss * weight, reduction)


def _bounded_log(input: Tensor, complement: Tensor) -> Tensor:
    """ln input, −100 at least, with the gradient complement / max(input · complement, 1e-12), complement = 1 − input,
    as PyTorch has it: that of 0 is no infinity, and that of 1 is 0."""
    is_certain = input * complement < _SMALL
    curve = complement * complement / (-2 * _SMALL)
    value = input.detach().log().clamp(min=-100)
    return is_certain.where(value + (curve - curve.detach()), is_certain.where(1.0, input).log())
