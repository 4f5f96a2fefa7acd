"""Around the compiler: the seconds that this process has waited for it, and the garbage it makes meanwhile."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Inside, Python's garbage collector does not run: it would search Numba's objects again and again, a seventh of
    the compile time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class CompileClock:
    """Counts what compiling took, wherever it happened; what runs side by side counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.RLock()
        self._running = 0

    def add(self, seconds: float) -> None:
        """Count one compilation, unless it happened inside ``running``."""
        with self._lock:
            if not self._running:
                self.seconds += seconds

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count all the time inside."""
        begin = time.perf_counter()
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
            self.add(time.perf_counter() - begin)


CLOCK = CompileClock()
