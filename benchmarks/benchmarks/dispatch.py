"""What one operation costs beside its arithmetic: Python, allocation, calling the kernel, linking the graph."""

from __future__ import annotations

import numbanet

from .common import BACKENDS, needs_numba


class Dispatch:
    """Operations on eight numbers, where the arithmetic takes no time."""

    params = BACKENDS
    param_names = ("backend",)

    def setup(self, backend: str) -> None:
        needs_numba(backend)
        numbanet.set_backend(backend)
        self.x, self.y = numbanet.randn(2, 4), numbanet.randn(2, 4)
        self.leaf = numbanet.randn(2, 4).requires_grad_()
        for method in (self.time_relu, self.time_add, self.time_matmul, self.time_backward):
            method(backend)  # kernels are compiled before the clock runs

    def time_relu(self, backend: str) -> None:
        self.x.relu()

    def time_add(self, backend: str) -> None:
        self.x + self.y

    def time_add_with_graph(self, backend: str) -> None:
        self.leaf + self.y

    def time_matmul(self, backend: str) -> None:
        self.x @ self.y.T

    def time_view(self, backend: str) -> None:
        self.x.reshape(4, 2)

    def time_backward(self, backend: str) -> None:
        self.leaf.grad = None
        (self.leaf * self.y).relu().sum().backward()
