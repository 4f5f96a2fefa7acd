"""The two decorators behind which all Numba code stands: ``kernel`` and ``device_function``.

A kernel is a serial function ``kernel(start, stop, row, scratch) -> status`` that does the tasks start … stop − 1 with
the arguments of a row. It is compiled, or loaded from the cache, when its address is first asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from numba import njit
from numba.core import types
from numba.core.ccallback import CFunc

from numbanet.kernels.cpu.arguments import ROW, RowWriter, row_writer
from numbanet.kernels.cpu.cache import is_cached, kernel_cache
from numbanet.kernels.cpu.clock import CLOCK, collector_paused
from numbanet.kernels.cpu.library import DeviceCompiler, KernelCompiler

KERNEL = types.int64(types.int64, types.int64, ROW, types.int64)
KERNELS: dict[str, Kernel] = {}
_compile_lock = threading.RLock()
FLAGS = {"error_model": "numpy", "nopython": True}


class Kernel:
    """A kernel by name, its argument class, and its machine code once somebody needs it."""

    def __init__(self, function: Callable, name: str, arguments: type) -> None:
        self.function = function
        self.name = name
        self.arguments = arguments
        self.seconds = 0.0
        self.writer: RowWriter = row_writer(arguments)
        self._address = 0
        self._compiled: CFunc | None = None

    @property
    def address(self) -> int:
        """Address of the machine code; compiles or loads it at the first call."""
        return self._address or self._load()

    @property
    def is_loaded(self) -> bool:
        return self._address != 0

    @property
    def is_cached(self) -> bool:
        """Whether a compiled form lies in the cache folder."""
        return is_cached(self.function.__module__, self.name)

    def _load(self) -> int:
        with _compile_lock, collector_paused():
            if not self._address:
                begin = time.perf_counter()
                compiled = CFunc(
                    self.function, (KERNEL.args, KERNEL.return_type), {}, dict(FLAGS), pipeline_class=KernelCompiler
                )
                compiled._cache = kernel_cache(self.function, self.name)
                compiled.compile()
                self._compiled = compiled
                self._address = compiled.address
                self.seconds = time.perf_counter() - begin
                if not compiled.cache_hits:
                    CLOCK.add(self.seconds)
        return self._address

    def __repr__(self) -> str:
        return f"Kernel({self.name!r})"


def kernel(arguments: type, name: str | None = None) -> Callable[[Callable], Kernel]:
    """Make a serial function a kernel whose rows are instances of ``arguments``."""

    def register(function: Callable) -> Kernel:
        made = Kernel(function, name or function.__name__, arguments)
        if made.name in KERNELS:
            raise ValueError(f"two kernels are called {made.name!r}")
        KERNELS[made.name] = made
        return made

    return register


def device_function(function: Callable | None = None, *, inlined: bool = False) -> Callable:
    """A function that kernels call; it is compiled into them.

    Python never calls it, so it has no wrappers: they took an eighth of the compile time of LeNet's kernels. LLVM makes
    a call of what is large and called in several places; ``inlined`` forbids that, for what does little at a time: to
    hand over a row of arguments takes a hundred cycles."""
    compile_ = njit(
        error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=inlined,
        pipeline_class=DeviceCompiler,
    )  # fmt: skip
    return compile_ if function is None else compile_(function)
