"""What functions of layers accept for sizes and pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from numbanet.tensor import Tensor

Size = int | Sequence[int]


def pair(value: Size, name: str) -> tuple[int, int]:
    """One int for both axes, or two. ValueError for anything else."""
    if type(value) is tuple and len(value) == 2 and type(value[0]) is type(value[1]) is int:
        return value
    if isinstance(value, int | np.integer):
        return int(value), int(value)
    values = tuple(int(one) for one in value)
    if len(values) == 1:
        return values * 2
    if len(values) != 2:
        raise ValueError(f"{name} should be an int or a pair of ints, got {value!r}")
    return values


def single(value: Size, name: str) -> int:
    """One int, as it is or as the only item of a sequence."""
    values = (value,) if isinstance(value, int | np.integer) else tuple(value)
    if len(values) != 1:
        raise ValueError(f"{name} should be an int, got {value!r}")
    return int(values[0])


def as_pictures(input: Tensor, name: str) -> Tensor:
    """A sequence (n, c, length) or (c, length) as pictures of height 1: a view."""
    if input.ndim not in (2, 3):
        raise RuntimeError(f"{name} expects (n, c, length) or (c, length), got shape {input.shape}")
    return input.unsqueeze(-2)


def pictures(input: Tensor, name: str) -> tuple[Tensor, bool]:
    """input as (n, c, h, w), and whether it came as one picture (c, h, w)."""
    if input.ndim == 3:
        return input.unsqueeze(0), True
    if input.ndim != 4:
        raise RuntimeError(f"{name} expects (n, c, h, w) or (c, h, w), got shape {input.shape}")
    return input, False
