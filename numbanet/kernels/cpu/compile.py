"""Compiling kernels side by side: processes fill the cache, this one loads it.

Numba's compiler holds a global lock, so threads do not help. Run as ``python -m numbanet.kernels.cpu.compile NAME …``
in a child, which prints a line for each kernel that is ready.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from numbanet.kernels import threads
from numbanet.kernels.cpu import driver
from numbanet.kernels.cpu.cache import cache_root, is_cached
from numbanet.kernels.cpu.kernel import KERNELS, Kernel

Progress = Callable[[int, int], None]
LEAST_SIDE_BY_SIDE = 4
"""Fewer missing kernels than this are compiled here: a child costs the import of Numba."""
PARALLEL_DRIVER = "driver:replay"


def missing_kernels(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Those that are neither loaded nor in the cache."""
    return [kernel for kernel in kernels if not kernel.is_loaded and not kernel.is_cached]


def _driver_is_missing() -> bool:
    return driver.PARALLEL._dispatcher is None and not is_cached(driver.__name__, driver.replay.__name__)


def compile_kernels(kernels: Sequence[Kernel], progress: Progress | None = None) -> float:
    """Make the kernels and the driver ready; returns the seconds that compiling took, 0.0 if nothing was missing."""
    begin = time.perf_counter()
    # Kernels of a module share device functions, which each process compiles for itself: neighbours stay together.
    missing = sorted(missing_kernels(kernels), key=lambda kernel: kernel.function.__module__)
    names = [kernel.name for kernel in missing]
    if threads.get_num_threads() > 1 and _driver_is_missing():
        names.insert(0, PARALLEL_DRIVER)
    report = _Counter(len(names), progress)
    if len(names) >= LEAST_SIDE_BY_SIDE and threads.get_num_threads() > 1 and cache_root() is not None:
        _side_by_side(names, report)
    else:
        for name in names:
            compile_one(name)
            report.one()
    seconds = time.perf_counter() - begin
    for kernel in kernels:
        kernel.address  # noqa: B018 - loads it
    if threads.get_num_threads() > 1:
        driver.PARALLEL.run  # noqa: B018 - loads it
    driver.SERIAL.run  # noqa: B018 - loads it
    return seconds if names else 0.0


def compile_one(name: str) -> None:
    """Compile (or load) one kernel, or the driver, by name."""
    if name == PARALLEL_DRIVER:
        driver.PARALLEL.run  # noqa: B018 - compiles it
    else:
        KERNELS[name].address  # noqa: B018 - compiles it


class _Counter:
    """Counts what is done, from any thread, and tells it on."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress
        self._lock = threading.Lock()
        if progress is not None and total:
            progress(0, total)

    def one(self) -> None:
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)


def _side_by_side(names: list[str], report: _Counter) -> None:
    """Children take names from the end of a common list, this process from its front, until none is left."""
    waiting = list(names)
    lock = threading.Lock()

    def take(at: int) -> str | None:
        with lock:
            return waiting.pop(at) if waiting else None

    def feed_child() -> None:
        environment = {**os.environ, "NUMBANET_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "numbanet.kernels.cpu.compile"]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,  # Ctrl-C is for this process, which then closes the child's input
        ) as child:
            while (name := take(-1)) is not None:
                try:
                    child.stdin.write(name + "\n")
                    child.stdin.flush()
                    answer = child.stdout.readline()
                except OSError:
                    answer = ""
                if not answer:  # the child died: somebody else compiles its kernel
                    with lock:
                        waiting.append(name)
                    with contextlib.suppress(OSError):
                        child.stdin.close()
                    return
                report.one()
            child.stdin.close()

    def compile_waiting() -> None:
        while (name := take(0)) is not None:
            compile_one(name)
            report.one()

    helpers = [threading.Thread(target=feed_child) for _ in range(threads.get_num_threads() - 1)]
    for helper in helpers:
        helper.start()
    try:
        compile_waiting()
    except BaseException:
        with lock:
            waiting.clear()  # whoever interrupts us does not want to wait for the rest
        raise
    finally:
        for helper in helpers:
            helper.join()
    compile_waiting()  # what a child took last and gave back when it died


def _serve() -> None:
    """The child: compile each name that comes in, and say so."""
    importlib.import_module("numbanet.kernels.cpu.functions")
    for line in sys.stdin:
        compile_one(line.strip())
        print(line.strip(), flush=True)


if __name__ == "__main__":
    from numbanet.kernels.cpu import compile as module

    module._serve()
