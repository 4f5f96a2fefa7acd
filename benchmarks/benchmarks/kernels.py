"""The workloads of ``compare.py`` without another library: ours by itself, from commit to commit.

A selection of each family, so that a run takes minutes; all of them are measured by ``compare.py``.
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


class Products(Workloads):
    """Squares and layers, as prepared rows."""

    params = workloads.select(
        list(KNOWN), [
            "gemm/square/64", "gemm/square/256", "gemm/square/1024", "mlp-1", "mlp-1-weight", "lenet-fc1", "one-sample",
            "attention-scores",
        ],
    )  # fmt: skip

    def track_gflops(self, name: str) -> float:
        return self.rate()

    track_gflops.unit = "GFLOP/s"


class Convolutions(Workloads):
    """Forward and both gradients."""

    params = workloads.select(
        list(KNOWN), ["lenet-1", "lenet-2", "alexnet64-1", "resnet20-stage1", "resnet20-down2", "resnet50-stage3-1x1"]
    )

    def track_gflops(self, name: str) -> float:
        return self.rate()

    track_gflops.unit = "GFLOP/s"


class MemoryBound(Workloads):
    """Pools, normalisations, pointwise functions, reductions, softmax, losses, dropout, optimisers."""

    params = workloads.select(
        list(KNOWN), [
            "max-lenet-1", "max-alexnet64", "batch-resnet20-stage1", "layer-transformer", "group-resnet50", "relu-1M",
            "gelu-1M", "exp-1M", "add-16M", "sum-4096x4096", "softmax-attention", "128x10", "cross_entropy/512x32000/*",
            "dropout/1M/*", "sgd-momentum-1M", "adamw-25M",
        ],
    )  # fmt: skip

    def track_gbytes(self, name: str) -> float:
        return self.rate()

    track_gbytes.unit = "GB/s"


class Networks(Workloads):
    """Training steps, inference and generation."""

    params = workloads.select(list(KNOWN), ["training/*", "inference/*", "compiled/*", "generation/*"])

    def track_ms(self, name: str) -> float:
        return self.seconds() * 1e3

    track_ms.unit = "ms"
