"""Optimiser steps on 1 and 25 million parameters in tensors as networks have them, against PyTorch's fused ones."""

from __future__ import annotations

import math
from collections.abc import Iterator

from workloads.libraries import normal
from workloads.workload import Step, Workload, sides_of

PARAMETERS = {
    "1M": [(256, 256), (256,)] * 16,
    "25M": [(1024, 1024), (1024,)] * 24,
}
"""Matrices and biases of that many parameters in all."""
OPTIMISERS: dict[str, tuple[str, dict[str, float], int]] = {
    "sgd": ("SGD", {"lr": 1e-3}, 3),
    "sgd-momentum": ("SGD", {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4}, 5),
    "rmsprop": ("RMSprop", {"lr": 1e-3}, 5),
    "adam": ("Adam", {"lr": 1e-3}, 7),
    "adamw": ("AdamW", {"lr": 1e-3}, 7),
}
"""Class, options, and how many arrays of the parameters' size a step reads or writes."""


def optimiser_step(library: object, optimiser: str, shapes: list[tuple[int, ...]]) -> Step:
    """``optimizer.step()`` with gradients that stay."""
    name, options, _ = OPTIMISERS[optimiser]
    parameters = [library.tensor(normal(shape), requires_grad=True) for shape in shapes]
    for parameter, shape in zip(parameters, shapes, strict=True):
        parameter.grad = library.tensor(normal(shape, 1))
    optimizer = library.optimizer(name, parameters, **options)
    return Step(optimizer.step, result=lambda: parameters)


def workloads() -> Iterator[Workload]:
    """Each optimiser on each list of parameters."""
    for size, shapes in PARAMETERS.items():
        for optimiser, (_, _, arrays) in OPTIMISERS.items():
            sides = sides_of(lambda library, o=optimiser, s=shapes: optimiser_step(library, o, s), pictures=False)
            nbytes = 4.0 * arrays * sum(map(math.prod, shapes))
            yield Workload(f"optimiser/{optimiser}-{size}/step", sides, nbytes=nbytes)
