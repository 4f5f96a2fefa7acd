"""The CPU back end: Numba kernels behind one driver, NumPy kernels where one is lacking.

Importing this package does not import Numba; the first program does.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from numbanet.kernels import calls  # the package has a module called remembered
from numbanet.kernels.array import Array, Storage, pooled_storage
from numbanet.kernels.memory import pool_for
from numbanet.kernels.numpy import share

if TYPE_CHECKING:
    from numbanet.kernels.cpu.assembly import CpuAssembly
    from numbanet.kernels.cpu.kernel import Kernel
    from numbanet.kernels.cpu.program import CpuProgram
    from numbanet.kernels.cpu.remembered import RememberedCall


class _Local(threading.local):
    eager: CpuProgram | None = None
    recorded: set[Kernel] | None = None


class CpuBackend:
    """Storages in host memory, programs of Numba kernels."""

    name = "cpu"
    remembers = True

    def __init__(self) -> None:
        self._local = _Local()

    def allocate(self, nbytes: int) -> Storage:
        """A storage of nbytes bytes, 64-byte aligned, contents undefined."""
        return pooled_storage(self, nbytes, pool_for(nbytes))

    def from_buffer(self, array: np.ndarray) -> Array:
        """An Array that shares memory with an ndarray (a copy of what no Array can describe)."""
        return share(self, array)

    def program(self) -> CpuProgram:
        """A new, empty program."""
        from numbanet.kernels.cpu.functions import install
        from numbanet.kernels.cpu.program import CpuProgram

        install(CpuProgram)
        return CpuProgram(lambda: self._local.recorded)

    def assembly(self) -> CpuAssembly:
        """A program to be put together from calls."""
        from numbanet.kernels.cpu.assembly import CpuAssembly
        from numbanet.kernels.cpu.functions import install
        from numbanet.kernels.cpu.program import CpuProgram

        install(CpuProgram)
        return CpuAssembly(lambda: self._local.recorded)

    def eager(self) -> CpuProgram:
        """This thread's program for eager execution."""
        program = self._local.eager
        if program is None:
            program = self._local.eager = self.program()
        return program

    def remember(self, outs: Sequence[Array], arrays: Sequence[Array]) -> RememberedCall | None:
        """What the eager program is to do with these outputs and inputs, if it can be repeated with others."""
        from numbanet.kernels.cpu.remembered import remember

        return None if self._local.recorded is not None else remember(self._local.eager, outs, arrays)

    @contextlib.contextmanager
    def recording(self) -> Iterator[set[Kernel]]:
        """Inside, this thread's programs do nothing but collect the kernels that they would have run."""
        before, self._local.recorded = self._local.recorded, set()
        remembered, calls.remembered.calls = calls.remembered.calls, {}
        try:
            yield self._local.recorded
        finally:
            calls.remembered.calls = remembered
            if before is not None:
                before |= self._local.recorded
            self._local.recorded = before

    def compile(self, kernels: Iterable[Kernel], progress: Callable[[int, int], None] | None = None) -> None:
        """Make these kernels ready: compile what the cache lacks, in processes side by side, and load all.

        ``progress(done, total)`` is called for what had to be compiled.
        """
        from numbanet.kernels.cpu.compile import compile_kernels

        compile_kernels(sorted(kernels, key=lambda kernel: kernel.name), progress)

    def compile_first(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Compile what any model needs before its own kernels are known, if the cache lacks it."""
        from numbanet.kernels.cpu import functions  # noqa: F401 - defines the kernels
        from numbanet.kernels.cpu.compile import FIRST, compile_missing
        from numbanet.kernels.cpu.kernel import KERNELS

        compile_missing([KERNELS[name] for name in FIRST], progress)

    @property
    def compile_seconds(self) -> float:
        """The seconds that this process has waited for the compiler so far."""
        from numbanet.kernels.cpu.clock import CLOCK

        return CLOCK.seconds

    def info(self) -> dict[str, object]:
        """Lanes, threading layer, cache folder, versions and kernels: what ``numbanet info`` prints."""
        from numbanet.kernels.cpu.info import describe

        return describe()


BACKEND = CpuBackend()


def __getattr__(name: str) -> object:
    if name == "FUNCTIONS":
        from numbanet.kernels.cpu.functions import FUNCTIONS

        return FUNCTIONS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
