"""Pools: LeNet's, the overlapping ones of AlexNet, ResNet's first and last, an adaptive one whose windows overlap."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from workloads.libraries import normal
from workloads.workload import Workload, both_ways

Shape = tuple[int, int, int, int]


def _pool(name: str, shape: Shape, function: Callable[[object, object], object], outputs: int) -> list[Workload]:
    """``outputs`` is the number of output elements; an input or output element is 4 bytes."""
    elements = math.prod(shape)

    def arrays() -> list[np.ndarray]:
        return [normal(shape)]

    nbytes = 4.0 * (elements + outputs)
    return both_ways(f"pooling/{name}", function, arrays, nbytes=(nbytes, nbytes), pictures=True)


def window_pool(
    kind: str, name: str, shape: Shape, kernel: int, stride: int | None = None, padding: int = 0
) -> list[Workload]:
    """``max_pool2d`` or ``avg_pool2d``; the stride is the kernel's size if it is None."""
    stride = stride or kernel
    n, c, *extents = shape
    outputs = n * c * math.prod((extent + 2 * padding - kernel) // stride + 1 for extent in extents)

    def call(library: object, x: object) -> object:
        return getattr(library.functional, f"{kind}_pool2d")(x, kernel, stride, padding)

    return _pool(f"{kind}-{name}", shape, call, outputs)


def adaptive_pool(name: str, shape: Shape, size: int) -> list[Workload]:
    """``adaptive_avg_pool2d`` to size × size."""

    def call(library: object, x: object) -> object:
        return library.functional.adaptive_avg_pool2d(x, size)

    return _pool(f"adaptive-{name}", shape, call, shape[0] * shape[1] * size * size)


def workloads() -> Iterator[Workload]:
    """Forward and backward of each."""
    yield from window_pool("max", "lenet-1", (128, 6, 28, 28), 2)
    yield from window_pool("max", "lenet-2", (128, 16, 10, 10), 2)
    yield from window_pool("max", "alexnet64", (64, 64, 15, 15), 3, 2)
    yield from window_pool("max", "resnet50", (16, 64, 112, 112), 3, 2, 1)
    yield from window_pool("avg", "2x2", (128, 16, 32, 32), 2)
    yield from window_pool("avg", "3x3", (16, 64, 56, 56), 3, 2, 1)
    yield from adaptive_pool("resnet20", (128, 64, 8, 8), 1)
    yield from adaptive_pool("resnet50", (16, 2048, 7, 7), 1)
    yield from adaptive_pool("overlapping", (16, 256, 13, 13), 6)
