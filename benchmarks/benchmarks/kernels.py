"""The workloads of ``compare.py`` without another library: ours by itself, from commit to commit.

``asv run --bench 'Products.*mlp'`` takes some of them.
"""

from __future__ import annotations

import workloads

import numbanet

from .common import best_seconds, needs_numba

KNOWN = workloads.standard()


class Workloads:
    """One value a workload: GFLOP/s of products and convolutions, GB/s of the rest, ms of networks."""

    param_names = ("workload",)

    def setup(self, name: str) -> None:
        needs_numba()
        numbanet.set_backend("cpu")
        self.workload = KNOWN[name]
        side = next(iter(self.workload.sides))
        try:
            self.step = self.workload.sides[side]()
            with self.step.context():
                for _ in range(3):  # kernels are compiled, and graphs recorded, before the clock runs
                    self.step.call()
        except AttributeError as missing:  # a commit from before there was such a layer
            raise NotImplementedError(str(missing)) from missing

    def seconds(self) -> float:
        """Best seconds of a step."""
        with self.step.context():
            return best_seconds(self.step.call)

    def rate(self) -> float:
        """What the workload computes or moves, in G a second."""
        return (self.workload.flops or self.workload.nbytes) / self.seconds() / 1e9


def of(*families: str) -> list[str]:
    """The names of all workloads of these families."""
    return workloads.select(list(KNOWN), [f"{family}/*" for family in families])


class Products(Workloads):
    """Squares and layers, as prepared rows."""

    params = of("gemm")

    def track_gflops(self, name: str) -> float:
        return self.rate()

    track_gflops.unit = "GFLOP/s"


class Convolutions(Workloads):
    """Forward and both gradients."""

    params = of("convolution")

    def track_gflops(self, name: str) -> float:
        return self.rate()

    track_gflops.unit = "GFLOP/s"


class MemoryBound(Workloads):
    """Pools, normalisations, pointwise functions, reductions, softmax, losses, dropout, optimisers."""

    params = of(
        "pooling", "normalisation", "pointwise", "reduction", "softmax", "cross_entropy", "dropout", "optimiser"
    )

    def track_gbytes(self, name: str) -> float:
        return self.rate()

    track_gbytes.unit = "GB/s"


class Sequences(Workloads):
    """Attention and recurrent layers."""

    params = of("attention", "recurrent")

    def track_ms(self, name: str) -> float:
        return self.seconds() * 1e3

    track_ms.unit = "ms"


class Networks(Workloads):
    """Training steps, inference and generation."""

    params = of("training", "inference", "compiled", "generation")

    def track_ms(self, name: str) -> float:
        return self.seconds() * 1e3

    track_ms.unit = "ms"
