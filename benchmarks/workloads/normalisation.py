"""Normalisations in training and, for batches, inference.

What a large one has to move: statistics over the batch need a pass of their own (x is read twice, and for the gradient
x and the incoming gradient), those of a row or a group are taken while the row is in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from workloads.libraries import normal
from workloads.workload import Workload, both_ways, forward

Shape = tuple[int, ...]
AGAIN = 1 << 20
"""Elements beyond which a second pass reads memory again, and not the cache."""


def _inputs(shape: Shape, features: int) -> list[np.ndarray]:
    """x, weight, bias."""
    return [normal(shape) * 2 + 1, normal((features,), 1) * np.float32(0.1) + 1, normal((features,), 2)]


def _batch_inputs(shape: Shape) -> list[np.ndarray]:
    """x, running mean, running variance, weight, bias."""
    x, weight, bias = _inputs(shape, shape[1])
    return [x, np.zeros(shape[1], np.float32), np.ones(shape[1], np.float32), weight, bias]


def _batch_call(training: bool) -> Callable:
    def call(library: object, x: object, mean: object, variance: object, weight: object, bias: object) -> object:
        return library.functional.batch_norm(x, mean, variance, weight, bias, training=training)

    return call


def batch_norm(name: str, shape: Shape) -> list[Workload]:
    """Over all axes but the second, with running statistics."""
    size = math.prod(shape)
    passes = (3, 5) if size > AGAIN else (2, 3)
    return both_ways(
        f"normalisation/batch-{name}", _batch_call(True), lambda: _batch_inputs(shape), wanted=(0, 3, 4),
        nbytes=tuple(4.0 * size * count for count in passes), pictures=len(shape) == 4,
    )  # fmt: skip


def batch_norm_inference(name: str, shape: Shape) -> Workload:
    """With the running statistics."""
    sides = forward(_batch_call(False), lambda: _batch_inputs(shape), pictures=len(shape) == 4)
    return Workload(f"normalisation/batch-{name}/inference", sides, nbytes=8.0 * math.prod(shape))


def row_norm(kind: str, name: str, shape: Shape, groups: int = 1) -> list[Workload]:
    """``layer`` (over the last axis), ``group`` or ``instance`` normalisation."""
    size, features = math.prod(shape), shape[-1] if kind == "layer" else shape[1]

    def call(library: object, x: object, weight: object, bias: object) -> object:
        F = library.functional
        if kind == "layer":
            return F.layer_norm(x, (features,), weight, bias)
        if kind == "group":
            return F.group_norm(x, groups, weight, bias)
        return F.instance_norm(x, weight=weight, bias=bias)

    return both_ways(
        f"normalisation/{kind}-{name}", call, lambda: _inputs(shape, features), wanted=(0, 1, 2),
        nbytes=(8.0 * size, 12.0 * size), pictures=len(shape) == 4,
    )  # fmt: skip


def workloads() -> Iterator[Workload]:
    """Forward and backward of each, and inference of batch normalisation."""
    pictures = {
        "resnet20-stage1": (128, 16, 32, 32),
        "resnet20-stage3": (128, 64, 8, 8),
        "resnet50-stage1": (16, 256, 56, 56),
    }
    for name, shape in pictures.items():
        yield from batch_norm(name, shape)
        yield batch_norm_inference(name, shape)
    yield from batch_norm("rows", (128, 512))
    yield from row_norm("layer", "transformer", (4096, 256))
    yield from row_norm("layer", "wide", (512, 1024))
    yield from row_norm("group", "resnet50", (16, 64, 56, 56), groups=32)
    yield from row_norm("instance", "style", (8, 64, 64, 64))
