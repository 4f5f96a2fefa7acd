"""What is measured: one file a kernel family, and whole networks.

``standard()`` has the shapes that people train with, ``drawn(seed)`` fifty that nobody has looked at before.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from workloads import (
    attention,
    compiled,
    convolution,
    drawing,
    gemm,
    generation,
    networks,
    normalisation,
    optimisers,
    pointwise,
    pooling,
    recurrent,
    transformers,
    translation,
)
from workloads.workload import Workload

FAMILIES = (
    networks,
    compiled,
    transformers,
    recurrent,
    translation,
    generation,
    attention,
    gemm,
    convolution,
    pooling,
    normalisation,
    pointwise,
    optimisers,
)


def standard() -> dict[str, Workload]:
    """All workloads by name, the networks first."""
    return by_name(workload for family in FAMILIES for workload in family.workloads())


def drawn(seed: int, count: int = 50) -> dict[str, Workload]:
    """Random shapes of every kernel family, the same ones for the same seed."""
    return by_name(drawing.draw(seed, count))


def by_name(workloads: Iterable[Workload]) -> dict[str, Workload]:
    """A dictionary of them. ValueError if two have one name."""
    named: dict[str, Workload] = {}
    for workload in workloads:
        if workload.name in named:
            raise ValueError(f"two workloads are called {workload.name!r}")
        named[workload.name] = workload
    return named


def select(names: Sequence[str], words: Sequence[str]) -> list[str]:
    """The names that any of the words means: a name, a part of one between slashes, or a pattern like ``gemm/*x64``.

    No words mean all. ValueError for a word that means nothing."""
    if not words:
        return list(names)
    chosen: set[str] = set()
    for word in words:
        found = [name for name in names if word in (name, *name.split("/")) or fnmatch.fnmatch(name, word)]
        if not found:
            raise ValueError(f"no workload is called {word!r}; --list shows them")
        chosen.update(found)
    return [name for name in names if name in chosen]
