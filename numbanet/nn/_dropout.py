"""Dropout as functions: what ``nn.functional`` shows of it."""

from __future__ import annotations

import math

from numbanet import random
from numbanet.autograd import apply, apply_inplace
from numbanet.ops.base import FLOAT32
from numbanet.ops.random import Dropout
from numbanet.tensor import Tensor


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, classic: bool = False
) -> Tensor:
    """While training each element is 0 with probability p, else divided by 1 − p (Srivastava et al. 2014).

    ``classic`` is the lecture's form: training only zeroes, and evaluation multiplies by 1 − p. What is drawn comes
    from the dropout stream of the random state, and again in the backward pass: no mask is kept."""
    return _drop(input, p, training, inplace, classic, 1)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As dropout, but whole channels of input (n, c, l) or (c, l) are dropped."""
    return _drop_channels("dropout1d", input, p, training, inplace, (2, 3), 1)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As dropout, but whole channels of input (n, c, h, w) are dropped; (n, c, l) is taken, too, as in PyTorch."""
    return _drop_channels("dropout2d", input, p, training, inplace, (3, 4), max(1, input.ndim - 2))


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As dropout, but whole channels of input (n, c, d, h, w) or (c, d, h, w) are dropped."""
    return _drop_channels("dropout3d", input, p, training, inplace, (4, 5), 3)


def _drop_channels(
    name: str, input: Tensor, p: float, training: bool, inplace: bool, ranks: tuple[int, int], spatial: int
) -> Tensor:
    if input.ndim not in ranks:
        raise RuntimeError(f"{name} needs {ranks[0]} or {ranks[1]} dimensions, got a tensor of shape {input.shape}")
    return _drop(input, p, training, inplace, False, math.prod(input.shape[input.ndim - spatial :]))


def _drop(input: Tensor, p: float, training: bool, inplace: bool, classic: bool, group: int) -> Tensor:
    """Dropout with one draw for each ``group`` elements in a row."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if p == 0 or not (training or classic):
        return input
    if not training:
        return input.mul_(1 - p) if inplace else input * (1 - p)
    scale = 1.0 if classic else 0.0 if p == 1 else 1 / (1 - p)
    place = random.draw(random.DROPOUT, input._array.size // max(group, 1), FLOAT32)  # a word a draw in any dtype
    op = Dropout(*place, p, scale, max(group, 1))
    return apply_inplace(op, input) if inplace else apply(op, input)
