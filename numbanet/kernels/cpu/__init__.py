"""The CPU back end: Numba kernels behind one driver, NumPy kernels where one is lacking.

Importing this package does not import Numba; the first program does.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from numbanet.kernels import memory, threads
from numbanet.kernels.array import Array, Storage
from numbanet.kernels.numpy import share

if TYPE_CHECKING:
    from numbanet.kernels.cpu.assembly import CpuAssembly
    from numbanet.kernels.cpu.kernel import Kernel
    from numbanet.kernels.cpu.program import CpuProgram
    from numbanet.kernels.cpu.remembered import RememberedCall


MOST_REMEMBERED = 4096
"""Calls that a thread remembers; after so many it begins anew."""


class _Local(threading.local):
    def __init__(self) -> None:
        self.remembered: dict[tuple, RememberedCall] = {}
        self.thread_count = 0

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
        buffer, address = memory.allocate(nbytes)
        return Storage(self, buffer, address, nbytes, pooled=True)

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

    def recall(self, key: tuple) -> RememberedCall | None:
        """What this thread remembers under ``key``."""
        local = self._local
        if local.recorded is not None:
            return None
        count = threads.get_num_threads()
        if local.thread_count != count:  # work is cut for the threads that there are
            local.thread_count = count
            local.remembered.clear()
        return local.remembered.get(key)

    def remember(self, key: tuple, spec: object, operands: list[Array]) -> None:
        """Remember what the eager program holds, and ``spec`` of its outputs, if it can be repeated with others."""
        from numbanet.kernels.cpu.remembered import remember

        local = self._local
        if local.recorded is None:
            call = remember(local.eager, spec, operands)
            if call is not None:
                if len(local.remembered) >= MOST_REMEMBERED:
                    local.remembered.clear()
                local.remembered[key] = call

    @contextlib.contextmanager
    def recording(self) -> Iterator[set[Kernel]]:
        """Inside, this thread's programs do nothing but collect the kernels that they would have run."""
        before, self._local.recorded = self._local.recorded, set()
        try:
            yield self._local.recorded
        finally:
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
