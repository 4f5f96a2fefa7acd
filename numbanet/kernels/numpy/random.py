"""Random numbers: Philox by (seed, stream, offset)."""

from __future__ import annotations

import numpy as np

from numbanet.kernels import philox
from numbanet.kernels.numpy.pointwise import quiet


def uniform(out, low, high, seed, stream, offset):
    u = philox.uniform(out.shape, out.dtype, seed, stream, offset)
    one = out.dtype.type
    np.copyto(out, one(low) + one(high - low) * u)


@quiet
def dropout(out, x, p, scale, seed, stream, offset, group=1):
    halves = philox.random_halves(seed, stream, offset, -(-x.size // group))
    factors = np.where(halves >= philox.half_threshold(p), out.dtype.type(scale), out.dtype.type(0))
    np.multiply(x, np.repeat(factors, group).reshape(x.shape), out=out)


def normal(out, mean, std, seed, stream, offset):
    """Box–Muller on pairs of uniform numbers: z = sqrt(−2 log(1 − u₀)) · (cos 2πu₁, sin 2πu₁), in float64, then
    rounded."""
    pairs = (out.size + 1) // 2
    u = philox.uniform((pairs, 2), out.dtype, seed, stream, offset).astype(np.float64)
    radius = np.sqrt(-2 * np.log1p(-u[:, 0]))
    angle = 2 * np.pi * u[:, 1]
    z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[: out.size]
    out[...] = (mean + std * z).reshape(out.shape)
