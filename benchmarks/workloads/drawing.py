"""Random shapes of every kernel family, so that nothing is tuned to the shapes that the report knows.

Drawn are, by weight: products, convolutions (one of the three directions), pools, normalisations, pointwise functions,
softmax, cross-entropy, dropout. Sizes are drawn evenly in their logarithm from the ranges stated at each function; a
shape with more than ``MOST_FLOPS`` or ``MOST_ELEMENTS`` is drawn again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from workloads import convolution, gemm, normalisation, pointwise, pooling
from workloads.workload import Workload

MOST_FLOPS = 4e9
MOST_ELEMENTS = 1 << 23


def between(rng: random.Random, low: int, high: int) -> int:
    """low … high, evenly in the logarithm."""
    return min(high, int(math.exp(rng.uniform(math.log(low), math.log(high + 1)))))


def product(rng: random.Random) -> Workload:
    """m, n 1 … 2048, k 1 … 4096, each factor transposed or not; a quarter batched (2 … 64)."""
    while True:
        batch = between(rng, 2, 64) if rng.random() < 0.25 else 1
        m, n, k = between(rng, 1, 2048), between(rng, 1, 2048), between(rng, 1, 4096)
        one = gemm.Product(m, n, k, batch, rng.random() < 0.5, rng.random() < 0.5)
        if one.flops <= MOST_FLOPS and batch * max(m * n, m * k, k * n) <= MOST_ELEMENTS:
            return gemm.workload(f"drawn/{one.shape}", one)


def convolution_shape(rng: random.Random) -> convolution.Convolution:
    """Batch 1 … 128, channels 1 … 512, sides 4 … 128, kernels 1 … 7 and 11, strides 1 … 3, padding up to half of that.

    One in ten each is dilated by 2, or depthwise."""
    while True:
        kernel = rng.choice([1, 1, 3, 3, 3, 3, 5, 5, 7, 2, 4, 11])
        dilation = 2 if kernel > 1 and rng.random() < 0.1 else 1
        channels, outputs, groups = between(rng, 1, 512), between(rng, 1, 512), 1
        if rng.random() < 0.1:
            outputs = groups = channels
        size = (between(rng, 4, 128), between(rng, 4, 128)) if rng.random() < 0.2 else between(rng, 4, 128)
        one = convolution.Convolution(
            between(rng, 1, 128), channels, size, outputs, kernel, rng.choice([1, 1, 1, 2, 2, 3]),
            rng.randint(0, kernel // 2), dilation, groups,
        )  # fmt: skip
        fits = min(one.out_shape[2:]) >= 1 and one.flops <= MOST_FLOPS
        if fits and max(math.prod(one.x_shape), math.prod(one.out_shape)) <= MOST_ELEMENTS:
            return one


def convolved(rng: random.Random) -> Workload:
    """A convolution in one of its directions."""
    shape = convolution_shape(rng)
    return rng.choice(convolution.workloads_of(f"drawn/{shape.shape}", shape))


def _picture(rng: random.Random, least: int = 4) -> tuple[int, int, int, int]:
    """Batch 1 … 128, channels 1 … 512, sides least … 112."""
    while True:
        shape = (between(rng, 1, 128), between(rng, 1, 512), between(rng, least, 112), between(rng, least, 112))
        if math.prod(shape) <= MOST_ELEMENTS:
            return shape


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def pool(rng: random.Random) -> Workload:
    """Maxima and means with kernels 2 … 5, strides 1 … kernel, padding up to half the kernel; adaptive to 1 … 7."""
    shape = _picture(rng, least=7)
    kind = rng.choice(["max", "max", "avg", "adaptive"])
    if kind == "adaptive":
        size = rng.randint(1, 7)
        return rng.choice(pooling.adaptive_pool(f"drawn/{_text(shape)}-{size}", shape, size))
    kernel = rng.randint(2, 5)
    stride, padding = rng.randint(1, kernel), rng.randint(0, kernel // 2)
    name = f"drawn/{_text(shape)}-k{kernel}-s{stride}-p{padding}"
    return rng.choice(pooling.window_pool(kind, name, shape, kernel, stride, padding))


def norm(rng: random.Random) -> Workload:
    """Batch, group and instance normalisation of pictures, layer normalisation of 1 … 4096 rows of 8 … 2048."""
    kind = rng.choice(["batch", "batch", "layer", "group", "instance"])
    if kind == "layer":
        shape = (between(rng, 1, 4096), between(rng, 8, 2048))
        return rng.choice(normalisation.row_norm(kind, f"drawn/{_text(shape)}", shape))
    shape = _picture(rng)
    if kind == "batch":
        return rng.choice(normalisation.batch_norm(f"drawn/{_text(shape)}", shape))
    groups = rng.choice([one for one in range(1, 33) if shape[1] % one == 0]) if kind == "group" else 1
    name = f"drawn/{_text(shape)}" + (f"-g{groups}" if kind == "group" else "")
    return rng.choice(normalisation.row_norm(kind, name, shape, groups))


def pointwise_function(rng: random.Random) -> Workload:
    """1024 … 8 M elements, as layers have them, forward or backward."""
    size = between(rng, 1024, MOST_ELEMENTS)
    name = f"drawn/{size}"
    if rng.random() < 0.3:
        function = rng.choice(sorted(pointwise.BINARY))
        return pointwise.binary(function, name, (size,), (size,))
    return rng.choice(pointwise.unary(rng.choice(sorted(pointwise.UNARY)), name, size))


def _rows(rng: random.Random) -> tuple[int, int]:
    """1 … 4096 rows of 2 … 32768."""
    while True:
        shape = between(rng, 1, 4096), between(rng, 2, 32768)
        if math.prod(shape) <= MOST_ELEMENTS:
            return shape


def softmax(rng: random.Random) -> Workload:
    """Softmax and log-softmax of rows."""
    shape = _rows(rng)
    return rng.choice(pointwise.softmax(rng.choice(["softmax", "log_softmax"]), f"drawn/{_text(shape)}", shape))


def cross_entropy(rng: random.Random) -> Workload:
    """Cross-entropy of rows, with label smoothing half of the time."""
    shape, smoothing = _rows(rng), rng.choice([0.0, 0.1])
    return rng.choice(pointwise.cross_entropy(f"drawn/{_text(shape)}-{smoothing}", shape, smoothing))


def dropout(rng: random.Random) -> Workload:
    """1024 … 8 M elements."""
    size = between(rng, 1024, MOST_ELEMENTS)
    return rng.choice(pointwise.dropout(f"drawn/{size}", size))


KINDS: dict[Callable[[random.Random], Workload], int] = {
    product: 14, convolved: 16, pool: 5, norm: 5, pointwise_function: 4, softmax: 2, cross_entropy: 2, dropout: 2
}  # fmt: skip
"""How each kind is drawn, and its weight."""


def draw(seed: int, count: int) -> list[Workload]:
    """``count`` workloads with different names."""
    rng = random.Random(seed)
    found: dict[str, Workload] = {}
    while len(found) < count:
        (kind,) = rng.choices(list(KINDS), weights=list(KINDS.values()))
        one = kind(rng)
        found.setdefault(one.name, one)
    return list(found.values())
