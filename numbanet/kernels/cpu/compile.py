"""Compiling kernels side by side: processes fill the cache, this one loads it.

Numba's compiler holds a global lock, so threads do not help. ``python -m numbanet.kernels.cpu.compile`` is a child: it
reads names of kernels, line by line, and prints each name when the kernel is ready.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from numbanet.kernels import threads
from numbanet.kernels.cpu import driver
from numbanet.kernels.cpu.cache import cache_root
from numbanet.kernels.cpu.clock import CLOCK, collector_paused
from numbanet.kernels.cpu.kernel import KERNELS, Kernel

Progress = Callable[[int, int], None]
LEAST_SIDE_BY_SIDE = 4
"""Fewer missing kernels than this are compiled here: a child costs the import of Numba."""


FIRST = ("uniform", "normal", "constant")
"""Kernels that give a new model its values, before anybody knows what it computes."""


def drivers() -> list[driver.Driver]:
    """The drivers that replay kernels on the threads that there are."""
    return list(driver.DRIVERS.values()) if threads.get_num_threads() > 1 else [driver.SERIAL]


def compile_kernels(kernels: Sequence[Kernel], progress: Progress | None = None) -> None:
    """Make the kernels and the drivers ready."""
    compile_missing(kernels, progress)
    for kernel in kernels:
        kernel.address  # noqa: B018 - loads it
    for one in drivers():
        one.run  # noqa: B018 - loads it


def compile_missing(kernels: Sequence[Kernel], progress: Progress | None = None) -> None:
    """Compile what is neither loaded nor in the cache."""
    missing = [kernel for kernel in kernels if not kernel.is_loaded and not kernel.is_cached]
    # Kernels of a module share device functions, which each process compiles for itself: neighbours stay together.
    missing.sort(key=lambda kernel: kernel.function.__module__)
    names = [one.name for one in drivers() if not one.is_ready] + [kernel.name for kernel in missing]
    if names:
        with CLOCK.running(), collector_paused():
            report = _Counter(len(names), progress)
            if len(names) >= LEAST_SIDE_BY_SIDE and threads.get_num_threads() > 1 and cache_root() is not None:
                _side_by_side(names, report)
            else:
                for name in names:
                    compile_one(name)
                    report.one()


def compile_one(name: str) -> None:
    """Compile (or load) one kernel, or one driver, by name."""
    if name in driver.DRIVERS:
        driver.DRIVERS[name].run  # noqa: B018 - compiles it
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


PATIENCE = 10.0
"""Seconds that a child without work waits for more: a start of a training compiles twice."""
_children: list[subprocess.Popen] = []


def _take_children(count: int) -> list[subprocess.Popen]:
    """So many children: those that wait for names, and new ones."""
    children = [_children.pop() for _ in range(min(count, len(_children)))]
    children = [child for child in children if child.poll() is None]
    environment = {**os.environ, "NUMBANET_NUM_THREADS": "1"}
    while len(children) < count:
        children.append(
            subprocess.Popen(
                [sys.executable, "-m", "numbanet.kernels.cpu.compile"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                start_new_session=True,  # Ctrl-C is for this process, which then closes the child's input
            )
        )
    return children


@atexit.register
def _dismiss_children() -> None:
    while _children:
        _dismiss(_children.pop())


def _dismiss(child: subprocess.Popen) -> None:
    with contextlib.suppress(OSError):
        child.stdin.close()
    child.stdout.close()
    child.wait()


def _side_by_side(names: list[str], report: _Counter) -> None:
    """Children take names from the end of a common list, this process from its front, until none is left."""
    waiting = list(names)
    lock = threading.Lock()

    def take(at: int) -> str | None:
        with lock:
            return waiting.pop(at) if waiting else None

    def feed(child: subprocess.Popen) -> None:
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
                _dismiss(child)
                return
            report.one()
        _children.append(child)

    def compile_waiting() -> None:
        while (name := take(0)) is not None:
            compile_one(name)
            report.one()

    helpers = [
        threading.Thread(target=feed, args=(child,))
        for child in _take_children(min(threads.get_num_threads(), len(names)) - 1)
    ]
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
    gc.disable()
    importlib.import_module("numbanet.kernels.cpu.functions")
    while True:
        bored = threading.Timer(PATIENCE, os._exit, (0,))
        bored.daemon = True
        bored.start()
        name = sys.stdin.readline().strip()
        bored.cancel()
        if not name:
            return
        compile_one(name)
        print(name, flush=True)


if __name__ == "__main__":
    from numbanet.kernels.cpu import compile as module

    module._serve()
