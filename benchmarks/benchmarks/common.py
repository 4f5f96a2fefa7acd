"""What the benchmarks share: the back ends that are here, and the best time of a call."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable

BACKENDS = ["cpu", "numpy"]


def needs_numba(backend: str = "cpu") -> None:
    """For setup: leave a benchmark of the CPU back end out where Numba is missing (asv reads this error so)."""
    if backend == "cpu" and importlib.util.find_spec("numba") is None:
        raise NotImplementedError("Numba is not installed")


def best_seconds(call: Callable[[], object], budget: float = 0.3) -> float:
    """Least seconds of one call, of as many as fit into the budget, at least three, after one that does not count."""
    call()
    best, ends, calls = float("inf"), time.perf_counter() + budget, 0
    while calls < 3 or time.perf_counter() < ends:
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
        calls += 1
    return best
