"""Pointwise functions, reductions, softmax, cross-entropy, dropout: what is bound by memory, small and large."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from workloads.libraries import labels, normal
from workloads.workload import Workload, both_ways, forward

SIZES = {"16k": 1 << 14, "1M": 1 << 20, "16M": 1 << 24}
"""In the first-level caches, in the last-level cache, in memory."""

UNARY: dict[str, Callable[[object, object], object]] = {
    "relu": lambda library, x: x.relu(),
    "sigmoid": lambda library, x: x.sigmoid(),
    "tanh": lambda library, x: x.tanh(),
    "exp": lambda library, x: x.exp(),
    "gelu": lambda library, x: library.functional.gelu(x),
    "gelu-tanh": lambda library, x: library.functional.gelu(x, approximate="tanh"),
}
BINARY: dict[str, Callable[[object, object, object], object]] = {
    "add": lambda library, x, y: x + y,
    "mul": lambda library, x, y: x * y,
    "div": lambda library, x, y: x / y,
}
REDUCTIONS: dict[str, Callable[[object, object], object]] = {
    "sum": lambda library, x: x.sum(),
    "mean-rows": lambda library, x: x.mean(1),
    "sum-columns": lambda library, x: x.sum(0),
    "max-rows": lambda library, x: x.amax(1) if hasattr(x, "amax") else x.max(1)[0],
    "argmax-rows": lambda library, x: x.argmax(1),
}


def unary(function: str, name: str, size: int) -> list[Workload]:
    """A function of one array, of its gradient 12 bytes an element: two are read, one is written."""
    call = UNARY[function]
    return both_ways(f"pointwise/{function}-{name}", call, lambda: [normal((size,))], nbytes=(8.0 * size, 12.0 * size))


def binary(function: str, name: str, shape: tuple[int, ...], other: tuple[int, ...]) -> Workload:
    """A function of two arrays, the second broadcast to the first."""
    size = math.prod(shape)

    def arrays() -> list[np.ndarray]:
        return [normal(shape), np.abs(normal(other, 1)) + 1]

    sides = forward(BINARY[function], arrays, pictures=False)
    return Workload(f"pointwise/{function}-{name}/forward", sides, nbytes=4.0 * (2 * size + math.prod(other)))


def reduction(function: str, name: str, shape: tuple[int, int]) -> Workload:
    """A reduction of a matrix."""
    sides = forward(REDUCTIONS[function], lambda: [normal(shape) + 1], pictures=False)
    return Workload(f"reduction/{function}-{name}/forward", sides, nbytes=4.0 * math.prod(shape))


def softmax(function: str, name: str, shape: tuple[int, ...]) -> list[Workload]:
    """``softmax`` or ``log_softmax`` over the last axis."""

    def call(library: object, x: object) -> object:
        return getattr(library.functional, function)(x, -1)

    size = math.prod(shape)
    label = f"softmax/{function.replace('_', '-')}-{name}"
    return both_ways(label, call, lambda: [normal(shape)], nbytes=(8.0 * size, 12.0 * size))


def cross_entropy(name: str, shape: tuple[int, int], smoothing: float = 0.0) -> list[Workload]:
    """The mean loss of class numbers."""

    def call(library: object, x: object, target: object) -> object:
        return library.functional.cross_entropy(x, target, label_smoothing=smoothing)

    size = math.prod(shape)
    return both_ways(
        f"cross_entropy/{name}", call, lambda: [normal(shape), labels(*shape)], nbytes=(4.0 * size, 8.0 * size)
    )


def dropout(name: str, size: int) -> list[Workload]:
    """With probability 1/2; the two libraries draw other numbers, so their results agree on the average only."""

    def call(library: object, x: object) -> object:
        return library.functional.dropout(x, 0.5, training=True)

    nbytes, tolerance = (8.0 * size, 8.0 * size), 10 / math.sqrt(size)
    return both_ways(f"dropout/{name}", call, lambda: [normal((size,))], nbytes=nbytes, tolerance=tolerance)


def workloads() -> Iterator[Workload]:
    """The functions at three sizes; the rest at sizes that networks have."""
    for name, size in SIZES.items():
        for function in UNARY:
            yield from unary(function, name, size)
        for function in BINARY:
            yield binary(function, name, (size,), (size,))
        yield binary("add", f"bias-{name}", (size // 256, 256), (256,))
    for function in REDUCTIONS:
        yield reduction(function, "128x512", (128, 512))
        yield reduction(function, "4096x4096", (4096, 4096))
    for function in ("softmax", "log_softmax"):
        yield from softmax(function, "128x10", (128, 10))
        yield from softmax(function, "1024x1000", (1024, 1000))
        yield from softmax(function, "attention", (64, 128, 128))
    yield from cross_entropy("128x10", (128, 10))
    yield from cross_entropy("128x1000", (128, 1000))
    yield from cross_entropy("512x32000", (512, 32000))
    yield from cross_entropy("smoothed-1024x1000", (1024, 1000), 0.1)
    for name, size in SIZES.items():
        yield from dropout(name, size)
