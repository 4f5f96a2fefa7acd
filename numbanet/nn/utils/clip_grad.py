"""Clipping of gradients: all of a model's in one pass to measure and one to change them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from numbanet.autograd import no_grad
from numbanet.creation import stack, zeros
from numbanet.ops import clip
from numbanet.tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of all parameters, seen as one vector, to a norm of at most ``max_norm``; the norm before.

    They are multiplied by ``min(1, max_norm / (norm + 1e-6))``. ``norm_type`` is any positive number or infinity;
    ``foreach`` is there for PyTorch's callers and changes nothing. RuntimeError for a norm that is not finite, if asked
    for.
    """
    by_dtype = _gradients(parameters)
    if not by_dtype:
        return zeros(())
    with no_grad():
        norms = [_norm(gradients, float(norm_type)) for gradients in by_dtype]
        norm = norms[0] if len(norms) == 1 else _norm(norms, float(norm_type))
        if error_if_nonfinite and not math.isfinite(norm.item()):
            raise RuntimeError(
                f"The total norm of order {float(norm_type)} for gradients from `parameters` is non-finite, so it "
                "cannot be clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
                "`error_if_nonfinite=False`"
            )
        factor = (float(max_norm) / (norm + 1e-6)).clamp(max=1.0)
        for gradients in by_dtype:
            clip.scale_all(gradients, factor.to(gradients[0].dtype))
    return norm


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Move every element of the gradients of all parameters into −clip_value … clip_value; a NaN stays."""
    with no_grad():
        for gradients in _gradients(parameters):
            clip.clamp_all(gradients, gradients[0].new_tensor(float(clip_value), gradients[0].dtype))


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[list[Tensor]]:
    """The gradients that there are, those of one dtype together."""
    by_dtype: dict[object, list[Tensor]] = {}
    for parameter in [parameters] if isinstance(parameters, Tensor) else parameters:
        if parameter.grad is not None:
            by_dtype.setdefault(parameter.dtype, []).append(parameter.grad)
    return list(by_dtype.values())


def _norm(tensors: list[Tensor], order: float) -> Tensor:
    """The norm of all elements of all tensors."""
    if order == 2.0 and len({tensor.dtype for tensor in tensors}) == 1:
        return clip.sum_of_squares(tensors).sqrt()
    if math.isinf(order):
        return stack([tensor.abs().max().to(tensors[0].dtype) for tensor in tensors]).max()
    powers = [(tensor.abs() ** order).sum().to(tensors[0].dtype) for tensor in tensors]
    return stack(powers).sum() ** (1 / order)
