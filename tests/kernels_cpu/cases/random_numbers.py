"""Random numbers and dropout: the NumPy kernels draw the same in float32, not in float64, which takes 53 bits."""

from __future__ import annotations

import numpy as np

from numbanet.kernels import philox
from numbanet.kernels.cpu.pointwise import CHUNK
from numbanet.kernels.cpu.random import CHANNELS
from tests.kernels_cpu.cases.case import Case, random, relative, unset

SIZES = (1, 15, 16, 17, 31, 33, CHUNK, CHUNK + 5, 9 * CHUNK + 3)
PLACES = {"": (12345678901, 1, 0), ", large numbers": (2**64 - 3, 2**32 - 1, 2**34 - 8)}


def uniform(case: Case) -> list[np.ndarray]:
    """The numbers of 24 bits, scaled in float64."""
    out, low, high, *place = case.args
    return [low + (high - low) * philox.uniform(out.shape, np.dtype(np.float32), *place).astype(np.float64)]


def normal(case: Case) -> list[np.ndarray]:
    """Box–Muller in float64 on the numbers of 24 bits."""
    out, mean, std, *place = case.args
    u = philox.uniform(((out.size + 1) // 2, 2), np.dtype(np.float32), *place).astype(np.float64)
    radius, angle = np.sqrt(-2 * np.log1p(-u[:, 0])), 2 * np.pi * u[:, 1]
    z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[: out.size]
    return [mean + std * z.reshape(out.shape)]


def _random_numbers():
    for size in SIZES:
        for name, place in PLACES.items():
            args = (unset(size), -1.0, 2.0, *place)
            yield Case(f"uniform {size}{name}", "uniform", args, tolerance=relative(1, 3), oracle=uniform)
            args = (unset(size), 0.25, 1.5, *place)
            yield Case(f"normal {size}{name}", "normal", args, tolerance=relative(3, 1), oracle=normal)
            args = (unset(size), random("x", size), 0.3, 1 / 0.7, *place)
            yield Case(f"dropout {size}{name}", "dropout", args, tolerance=relative(1))
    for channels, group in ((1, 2), (CHANNELS, 3), (CHANNELS + 1, 49), (100, 16), (3, 2000), (300, 40)):
        x = random("x", channels, group)
        args = (unset(channels, group), x, 0.4, 1.0, 5, 1, 8, group)
        yield Case(f"dropout of {channels} channels of {group}", "dropout", args, tolerance=relative(1))
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0] * 7, np.float32)
    yield Case("dropout of NaN", "dropout", (unset(35), odd, 0.5, 2.0, 5, 1, 8), tolerance=relative(1))
    for p in (0.0, 1.0):
        args = (unset(100), random("x", 100), p, 1.0, 5, 1, 8)
        yield Case(f"dropout with p = {p}", "dropout", args, tolerance=relative(0))


RANDOM_NUMBERS = list(_random_numbers())
