"""Random inputs for the table: functions of a random generator, float64 arrays out."""

from __future__ import annotations

import numpy as np


def normal(*shape, scale=1.0):
    return lambda rng: np.asarray(rng.normal(0, scale, shape))


def positive(*shape, low=0.2, high=3.0):
    return lambda rng: np.asarray(rng.uniform(low, high, shape))


def away(*shape, gap=0.1):
    """Away from 0, where a function has a kink."""

    def sample(rng):
        x = np.asarray(rng.normal(0, 1, shape))
        return x + gap * np.where(x < 0, -1, 1)

    return sample


def distinct(*shape):
    """All different, so that a maximum has one place."""
    size = int(np.prod(shape))
    return lambda rng: (rng.permutation(size).reshape(shape) - size / 2) * 0.25


def integers(low, high, *shape):
    return lambda rng: np.asarray(rng.integers(low, high, shape))


def bools(*shape):
    return lambda rng: np.asarray(rng.random(shape) < 0.5)


def ties(*shape):
    """Few different values."""
    return lambda rng: np.asarray(rng.integers(-1, 2, shape), np.float64)


def given(values):
    return lambda rng: np.array(values)


SPECIAL = [
    np.nan,
    np.inf,
    -np.inf,
    0.0,
    -0.0,
    1.5,
    -1.5,
    1e30,
    -1e30,
    1e-30,
    88.0,
    -88.0,
    200.0,
    -200.0,
    3.0,
    -2.0,
    0.5,
]
"""What a pointwise function stumbles over; 17 of them."""

SIZES = [(), (1,), (7,), (130,), (517,), (33, 17), (3, 1, 5), (0, 4)]
"""Awkward sizes: none, one, primes, larger than a tile, several dimensions, empty."""


def each(sampler, *shapes):
    """A case a shape, of one input."""
    return [[sampler(*shape)] for shape in shapes or SIZES]


def as_pair(value):
    return value if isinstance(value, tuple) else (value, value)
