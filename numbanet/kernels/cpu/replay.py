"""Replaying a table of rows on all threads or on one."""

from __future__ import annotations

import os
import threading

import numba
import numpy as np

from numbanet.kernels import memory, threads
from numbanet.kernels.cpu import driver, layer


class Table:
    """Rows of words, where each begins, where the levels begin, and what a run leaves behind.

    ``words``, ``rows`` and ``level_starts`` are views to write through; ``block`` is a view of what the driver gets, by
    its ``address``; ``failed`` is a view of the status, whose first word is not 0 if a kernel stopped."""

    __slots__ = (
        "_arrays", "_starts", "address", "block", "failed", "level_starts", "levels", "nodes", "rows", "status",
        "words",
    )  # fmt: skip

    def __init__(self, words: np.ndarray, index: np.ndarray, status: np.ndarray, nodes: int = 0, levels: int = 0):
        self._arrays = (words, index)
        self.status = status
        self.failed = memoryview(status)
        self.words = memoryview(words)
        self.rows, self.level_starts = memoryview(index[0]), memoryview(index[1])
        base, width = index.ctypes.data, index.shape[1] * 8
        self._starts = base + width
        block = np.zeros(driver.BLOCK_WORDS, np.int64)
        self.address = block.ctypes.data
        self.block = memoryview(block)
        self.block[driver.TABLE], self.block[driver.ROWS] = words.ctypes.data, base
        self.block[driver.COUNTERS], self.block[driver.WIDTH] = base + 2 * width, index.shape[1]
        self.block[driver.STATUS] = status.ctypes.data
        self.choose(0, levels)
        self.nodes = nodes
        self.levels = levels

    def choose(self, first_level: int, levels: int) -> None:
        """Have the next run do so many levels from the first on."""
        self.block[driver.LEVELS] = self._starts + 8 * first_level
        self.block[driver.COUNT] = levels

    def is_parallel(self, first_level: int, levels: int) -> bool:
        """Whether any level has more than one chunk of tasks."""
        if levels > 4:
            return True
        starts, rows, words = self.level_starts, self.rows, self.words
        for node in range(starts[first_level], starts[first_level + levels]):
            row = rows[node]
            if words[row + 1] > words[row + 2]:
                return True
        return any(starts[i + 1] - starts[i] > 1 for i in range(first_level, first_level + levels))

    def copy(self, used: int) -> Table:
        """The same rows in arrays of their own, as large as need be."""
        words, index = self._arrays
        return Table(
            words[:used].copy(), index[:, : self.nodes + 2].copy(), np.zeros_like(self.status), self.nodes, self.levels
        )


class _ThreadState(threading.local):
    """What each Python thread has of its own: scratch memory and the layer's thread count."""

    def __init__(self) -> None:
        self.layer_threads = 0
        self.scratch = np.zeros(64, np.uint8)
        self.scratch_bytes = self.scratch.size
        self.scratch_address = self.scratch.ctypes.data

    def scratch_for(self, nbytes: int) -> int:
        """Address of at least nbytes of scratch memory, 64-byte aligned."""
        if self.scratch_bytes < nbytes:
            self.scratch, self.scratch_address = memory.take(memory.pool_for(nbytes))
            self.scratch_bytes = self.scratch.size
        return self.scratch_address


_state = _ThreadState()
_parallel_lock = threading.Lock()
_forked = False


def _after_fork() -> None:
    """A forked child has none of the layer's threads: from now on it runs on one."""
    global _forked, _parallel_lock
    _forked = True
    _parallel_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


MOST_FAILURES = 3
"""Handshakes that fail, one after the other, before this process goes back to a region a level."""
_failures = 0 if hasattr(os, "sched_yield") else MOST_FAILURES


def prepare_one_region() -> None:
    """Compile or load the driver of many levels now, which the first replay would else wait for."""
    if threads.get_num_threads() > 1 and _failures < MOST_FAILURES:
        driver.ONE_REGION.run  # noqa: B018 - loads it


def _in_one_region(table: Table, count: int) -> bool:
    """Whether all was done in one region; counts how often the layer did not run all threads at once."""
    global _failures
    if _failures >= MOST_FAILURES or count > layer.layer_threads():
        return False
    done = driver.ONE_REGION.run(table.address)
    _failures = 0 if done else _failures + 1
    return done


def replay(table: Table, scratch: int, parallel: bool, one_region: bool = False) -> None:
    """Run the levels that were chosen; ``scratch`` float32 are lent to each thread. The table's status says what went
    wrong.

    With ``one_region`` the threads stay together from the first level to the last, where the layer allows."""
    bytes_each = (scratch * 4 + 63) // 64 * 64
    state, block = _state, table.block
    count = threads.get_num_threads() if parallel else 1
    if count > 1 and not _forked and _parallel_lock.acquire(False):
        try:
            run = driver.PARALLEL.run
            if state.layer_threads != count:
                numba.set_num_threads(min(count, layer.layer_threads()))
                state.layer_threads = count
            block[driver.THREADS] = count
            block[driver.SCRATCH] = state.scratch_for(bytes_each * count + driver.SYNC_BYTES) + driver.SYNC_BYTES
            block[driver.SLICE] = bytes_each
            if not (one_region and _in_one_region(table, count)):
                run(table.address)
        finally:
            _parallel_lock.release()
    else:
        if bytes_each:
            block[driver.SCRATCH] = state.scratch_for(bytes_each)
        driver.SERIAL.run(table.address)
