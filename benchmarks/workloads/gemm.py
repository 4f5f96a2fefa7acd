"""Matrix products: squares, and the products of real layers, against NumPy (OpenBLAS) and PyTorch.

Ours is measured as a prepared row (a program built once and replayed, against ``np.matmul(out=)``), and eager as a
second column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workloads.libraries import Numbanet, Torch, normal
from workloads.workload import Step, Workload

SIZES = (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)


@dataclass(frozen=True)
class Product:
    """out (batch…, m, n) = a (batch…, m, k) @ b (batch…, k, n); ``a_t``, ``b_t``: that factor is a transposed view."""

    m: int
    n: int
    k: int
    batch: int = 1
    a_t: bool = False
    b_t: bool = False

    @property
    def flops(self) -> float:
        return 2.0 * self.batch * self.m * self.n * self.k

    @property
    def shape(self) -> str:
        """batch × m × n × k and which factors are transposed, as the name has it."""
        batch = f"{self.batch}x" if self.batch > 1 else ""
        return f"{batch}{self.m}x{self.n}x{self.k}-{'t' if self.a_t else 'n'}{'t' if self.b_t else 'n'}"

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """a and b, the transposed ones as views."""
        leading = (self.batch,) if self.batch > 1 else ()

        def factor(rows: int, columns: int, transposed: bool, seed: int) -> np.ndarray:
            if transposed:
                return np.swapaxes(normal((*leading, columns, rows), seed), -1, -2)
            return normal((*leading, rows, columns), seed)

        return factor(self.m, self.k, self.a_t, 0), factor(self.k, self.n, self.b_t, 1)

    def out(self) -> np.ndarray:
        return np.empty((self.batch, self.m, self.n) if self.batch > 1 else (self.m, self.n), np.float32)


def linear(batch: int, inputs: int, outputs: int) -> dict[str, Product]:
    """The three products of a fully connected layer's step."""
    return {
        "forward": Product(batch, outputs, inputs, b_t=True),
        "input": Product(batch, inputs, outputs),
        "weight": Product(outputs, inputs, batch, a_t=True),
    }


LAYERS = {
    "mlp-1": linear(128, 784, 512)["forward"],
    "mlp-1-weight": linear(128, 784, 512)["weight"],
    "mlp-2": linear(128, 512, 256)["forward"],
    "mlp-2-input": linear(128, 512, 256)["input"],
    "mlp-2-weight": linear(128, 512, 256)["weight"],
    "mlp-3": linear(128, 256, 10)["forward"],
    "lenet-fc1": linear(128, 400, 120)["forward"],
    "lenet-fc1-weight": linear(128, 400, 120)["weight"],
    "lenet-fc2-input": linear(128, 120, 84)["input"],
    "alexnet64-fc2": linear(64, 1024, 1024)["forward"],
    "alexnet64-fc2-input": linear(64, 1024, 1024)["input"],
    "alexnet-fc6": linear(16, 9216, 4096)["forward"],
    "resnet50-fc": linear(32, 2048, 1000)["forward"],
    "resnet50-fc-weight": linear(32, 2048, 1000)["weight"],
    "transformer-qkv": linear(1024, 256, 768)["forward"],
    "transformer-ffn": linear(1024, 256, 1024)["forward"],
    "lstm-gates": linear(64, 512, 1024)["forward"],
    "one-sample": linear(1, 1024, 1024)["forward"],
    "attention-scores": Product(128, 128, 64, batch=64, b_t=True),
    "attention-values": Product(128, 64, 128, batch=64),
}
"""Twenty shapes of real layers."""


def _program(product: Product) -> Step:
    """A program of one row, on the back end in force. A program holds addresses, so somebody must hold its arrays."""
    import numbanet
    from numbanet.kernels.backend import load_backend

    backend = load_backend(numbanet.get_backend())
    held = [product.out(), *product.factors()]
    program = backend.program()
    program.matmul(*map(backend.from_buffer, held))
    return Step(program.run, result=lambda: held[0])


def _numpy(product: Product) -> Step:
    out, (a, b) = product.out(), product.factors()
    return Step(lambda: np.matmul(a, b, out=out), result=lambda: out)


def _torch(product: Product) -> Step:
    library = Torch()
    out, (a, b) = library.module.from_numpy(product.out()), map(library.module.from_numpy, product.factors())
    return Step(lambda: library.module.matmul(a, b, out=out), library.inference, lambda: out)


def _eager(product: Product) -> Step:
    library = Numbanet()
    a, b = map(library.module.from_numpy, product.factors())
    return Step(lambda: a @ b, library.inference)


def workload(name: str, product: Product) -> Workload:
    """The product on all sides."""
    makers = {"numbanet": _program, "numbanet eager": _eager, "numpy": _numpy, "torch": _torch}
    sides = {side: lambda make=make: make(product) for side, make in makers.items()}
    elements = product.batch * (product.m * product.k + product.k * product.n + product.m * product.n)
    return Workload(f"gemm/{name}", sides, product.flops, 4.0 * elements)


def workloads() -> Iterator[Workload]:
    """Squares, then layers."""
    for size in SIZES:
        yield workload(f"square/{size}", Product(size, size, size))
    for name, product in LAYERS.items():
        yield workload(f"layer/{name}", product)
