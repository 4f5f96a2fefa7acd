"""Microseconds a node of a thousand tiny ones; ``benchmarks/overhead.py`` prints them beside PyTorch's."""

from __future__ import annotations

from overhead import chain, compiled, microseconds, parallel_levels, two_chains

import numbanet

from .common import needs_numba


class Overhead:
    """The least time of a run, divided by its nodes."""

    unit = "µs"

    def setup(self) -> None:
        needs_numba()
        numbanet.set_backend("cpu")

    def track_replayed_one_task(self) -> float:
        return microseconds(compiled(chain))

    def track_replayed_two_a_level(self) -> float:
        return microseconds(compiled(two_chains))

    def track_replayed_parallel(self) -> float:
        return microseconds(parallel_levels())

    def track_eager(self) -> float:
        x = numbanet.randn(8)
        with numbanet.no_grad():
            return microseconds(lambda: chain(x))
