"""The kernels by themselves: a program of one call, replayed. Products in GFLOP/s, others in GB/s moved."""

from __future__ import annotations

import math

import numpy as np

from numbanet.kernels.array import Array
from numbanet.kernels.backend import load_backend

from .common import BACKENDS, best_seconds, needs_numba

FLOAT, INT = np.dtype("float32"), np.dtype("int64")
PAIR = (1, 1)

LAYERS = {  # name: (batch, channels, size, outputs, kernel, padding)
    "lenet1": (128, 1, 28, 6, 5, 2),
    "lenet2": (128, 6, 14, 16, 5, 0),
    "64x3x3": (16, 64, 32, 64, 3, 1),
}


class KernelBenchmark:
    """A back end, arrays on it, and the rate at which a recorded call of its kernels runs."""

    def setup(self, backend: str, *_: object) -> None:
        needs_numba(backend)
        self.backend = load_backend(backend)
        self.random = np.random.default_rng(0)

    def array(self, *shape: int) -> Array:
        """Normal numbers on the back end."""
        return self.backend.from_buffer(self.random.normal(size=shape).astype(FLOAT))

    def empty(self, *shape: int, dtype: np.dtype = FLOAT) -> Array:
        return Array(self.backend.allocate(math.prod(shape) * dtype.itemsize), shape, dtype)

    def rate(self, amount: float, kernel: str, *arguments: object, **options: object) -> float:
        """Amount / 1e9 / the best seconds of one replay."""
        program = self.backend.program()
        getattr(program, kernel)(*arguments, **options)
        return amount / best_seconds(program.run) / 1e9


class Matmul(KernelBenchmark):
    """out (m, n) = a (m, k) @ b (k, n): LeNet's layers at batch 128, edge tiles, and a size at which the peak shows."""

    params = (BACKENDS, ["128x120x400", "128x84x120", "128x10x84", "97x101x103", "1024x1024x1024"])
    param_names = ("backend", "m x n x k")

    def track_gflops(self, backend: str, sizes: str) -> float:
        m, n, k = map(int, sizes.split("x"))
        out, a, b = self.empty(m, n), self.array(m, k), self.array(k, n)
        return self.rate(2 * m * n * k, "matmul", out, a, b)

    def track_gflops_transposed(self, backend: str, sizes: str) -> float:
        m, n, k = map(int, sizes.split("x"))
        out, a, b = self.empty(m, n), self.array(m, k), self.array(n, k).view((k, n), (1, k))
        return self.rate(2 * m * n * k, "matmul", out, a, b)

    track_gflops.unit = track_gflops_transposed.unit = "GFLOP/s"


class Conv2d(KernelBenchmark):
    """Forward and both gradients of LeNet's convolutions at batch 128, and of a wider one."""

    params = (BACKENDS, list(LAYERS))
    param_names = ("backend", "layer")

    def setup(self, backend: str, layer: str) -> None:
        super().setup(backend)
        n, c, size, o, k, padding = LAYERS[layer]
        out = size + 2 * padding - k + 1
        self.x, self.grad = self.array(n, c, size, size), self.array(n, o, out, out)
        self.weight, self.bias = self.array(o, c, k, k), self.array(o)
        self.shape = (PAIR, (padding, padding), PAIR, 1)
        self.flops = 2 * n * o * out * out * c * k * k

    def track_forward_gflops(self, *_: object) -> float:
        out = self.empty(*self.grad.shape)
        return self.rate(self.flops, "conv2d", out, self.x, self.weight, self.bias, *self.shape)

    def track_input_grad_gflops(self, *_: object) -> float:
        out = self.empty(*self.x.shape)
        return self.rate(self.flops, "conv2d_input_grad", out, self.grad, self.weight, *self.shape)

    def track_weight_grad_gflops(self, *_: object) -> float:
        out, bias = self.empty(*self.weight.shape), self.empty(*self.bias.shape)
        return self.rate(self.flops, "conv2d_weight_grad", out, bias, self.grad, self.x, *self.shape)

    track_forward_gflops.unit = track_input_grad_gflops.unit = track_weight_grad_gflops.unit = "GFLOP/s"


class Bandwidth(KernelBenchmark):
    """Kernels that are bound by memory, on arrays beyond the caches and on ones that fit."""

    params = (BACKENDS, [1 << 14, 1 << 22])
    param_names = ("backend", "elements")

    def track_relu(self, backend: str, size: int) -> float:
        return self.rate(8 * size, "unary", self.empty(size), self.array(size), "relu")

    def track_exp(self, backend: str, size: int) -> float:
        return self.rate(8 * size, "unary", self.empty(size), self.array(size), "exp")

    def track_add(self, backend: str, size: int) -> float:
        return self.rate(12 * size, "binary", self.empty(size), self.array(size), self.array(size), "add")

    def track_sum(self, backend: str, size: int) -> float:
        return self.rate(4 * size, "reduce", self.empty(1), self.array(size), (0,), "sum")

    def track_max_pool2d(self, backend: str, size: int) -> float:
        n = size // 1024
        out, indices = self.empty(n, 1, 16, 16), self.empty(n, 1, 16, 16, dtype=np.dtype("int32"))
        window = ((2, 2), (2, 2), (0, 0), PAIR)
        return self.rate(6 * size, "max_pool2d", out, indices, self.array(n, 1, 32, 32), *window)

    def track_avg_pool2d(self, backend: str, size: int) -> float:
        n = size // 1024
        window = ((2, 2), (2, 2), (0, 0), True)
        return self.rate(5 * size, "avg_pool2d", self.empty(n, 1, 16, 16), self.array(n, 1, 32, 32), *window)

    def track_log_softmax(self, backend: str, size: int) -> float:
        return self.rate(8 * size, "softmax", self.empty(size // 16, 16), self.array(size // 16, 16), True)

    def track_cross_entropy(self, backend: str, size: int) -> float:
        rows = size // 16
        target = self.backend.from_buffer((np.arange(rows) % 16).astype(INT))
        logits, out, lse = self.array(rows, 16), self.empty(), self.empty(rows)
        return self.rate(4 * size, "cross_entropy", out, lse, logits, target, "mean", -100, 0.0)

    def track_sgd_update(self, backend: str, size: int) -> float:
        hyper = self.backend.from_buffer(np.array([1e-9, 0.9, 0, 0, 0, 0], FLOAT))
        rows = (self.array(size),), (self.array(size),), (self.array(size),)
        return self.rate(20 * size, "sgd_update", *rows, hyper)

    def track_adam_update(self, backend: str, size: int) -> float:
        hyper = self.backend.from_buffer(np.array([1e-9, 0.9, 0.999, 1e-8, 0, 0, 0.1, 0.03], FLOAT))
        squares = self.backend.from_buffer(np.ones(size, FLOAT))
        rows = (self.array(size),), (self.array(size),), (self.array(size),), (squares,)
        return self.rate(28 * size, "adam_update", *rows, hyper)

    for _track in [value for name, value in list(locals().items()) if name.startswith("track_")]:
        _track.unit = "GB/s"
