"""Kernel functions of your own: entered in the contract, they are methods of every program like the built-in ones."""

from __future__ import annotations

from collections.abc import Callable

from numbanet.kernels.contract import CONTRACT, KernelFunction


def add_function(line: KernelFunction, numpy: Callable, cpu: Callable | None = None) -> None:
    """Implement a line of the contract that ``contract.declare`` has entered.

    ``numpy(*ndarrays, …)`` computes it, in float32 and float64; ``cpu(program, *arrays, …)`` appends rows of Numba
    kernels and returns None, or the reason why it declines (the call then goes to ``numpy``). Without ``cpu`` the
    function runs on the NumPy kernel everywhere. Raises ValueError for a line that is implemented already.
    """
    from numbanet.kernels import numpy as numpy_kernels

    if CONTRACT.get(line.name) is not line:
        raise ValueError(f"{line.name!r} is not in the contract; declare it first (numbanet.kernels.contract.declare)")
    if line.name in numpy_kernels.KERNELS:
        raise ValueError(f"a kernel function called {line.name!r} exists already; choose another name")
    numpy_kernels.add_kernel(line.name, numpy)
    if cpu is not None:
        from numbanet.kernels.cpu.functions import add_function

        add_function(line.name, cpu)
