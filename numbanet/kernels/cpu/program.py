"""Programs on the CPU: a table of kernel rows in levels, interrupted by host calls where a kernel is lacking."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from numbanet.kernels import memory, threads
from numbanet.kernels.array import Array, Storage
from numbanet.kernels.cpu import driver, layer
from numbanet.kernels.cpu.kernel import Kernel
from numbanet.kernels.cpu.simd.pointers import CHECKED, VIOLATION_BYTES
from numbanet.kernels.numpy import as_ndarray

FIRST_WORDS = 1 << 13
FIRST_NODES = 1 << 8


class KernelAccessError(RuntimeError):
    """A kernel touched memory outside its buffers (found by ``NUMBANET_CHECK=1``)."""


class _ThreadState(threading.local):
    """What each Python thread has of its own: scratch memory and the layer's thread count."""

    def __init__(self) -> None:
        self.layer_threads = 0
        self.scratch = np.zeros(64, np.uint8)
        self.scratch_address = self.scratch.ctypes.data

    def scratch_for(self, nbytes: int) -> int:
        """Address of at least nbytes of scratch memory, 64-byte aligned."""
        if self.scratch.size < nbytes:
            self.scratch, self.scratch_address = memory.allocate(nbytes)
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


class CpuProgram:
    """Rows in levels and host calls, in order. ``append`` and ``host`` add, ``run`` replays, ``clear`` forgets.

    Every function of the contract is a method (``numbanet.kernels.cpu.functions`` adds them): it chooses kernels, cuts
    the work into tasks and appends.
    """

    def __init__(self, recorder: Callable[[], set[Kernel] | None]) -> None:
        self._recorder = recorder
        self._words = np.zeros(FIRST_WORDS, np.int64)
        self._index = np.zeros((3, FIRST_NODES), np.int64)
        self._status = np.zeros(4, np.int64)
        self._violation = np.zeros(VIOLATION_BYTES, np.uint8)
        self._violation_address = self._violation.ctypes.data
        self._view()
        self._used = 0
        self.nodes = 0
        self._levels = 0
        self._segments: list[Any] = []
        self._errors: dict[int, Callable[[int, int], Exception]] = {}
        self._kernels: list[Kernel] = []
        self._keep: list[Array] = []
        self._slice = 0
        self.host_reasons: list[tuple[str, str]] = []

    def _view(self) -> None:
        """Refresh the addresses and views of the three growing arrays."""
        self._table = memoryview(self._words).cast("B")
        self._rows, self._level_starts = memoryview(self._index[0]), memoryview(self._index[1])
        base, width = self._index.ctypes.data, self._index.shape[1] * 8
        self._addresses = (self._words.ctypes.data, base, base + width, base + 2 * width, self._status.ctypes.data)

    def _grow(self, words: int, nodes: int) -> None:
        if words > self._words.size:
            self._words = np.concatenate([self._words, np.zeros(max(words, self._words.size), np.int64)])
        if nodes + 2 > self._index.shape[1]:
            self._index = np.concatenate([self._index, np.zeros_like(self._index)], axis=1)
        self._view()

    def append(
        self,
        kernel: Kernel,
        tasks: int,
        args: tuple,
        *,
        chunk: int = 1,
        scratch: int = 0,
        on_error: Callable[[int, int], Exception] | None = None,
        same_level: bool = False,
    ) -> None:
        """Append a row. ``chunk`` tasks are claimed at once; ``scratch`` float32 of memory a thread are lent;
        ``on_error(code, index)`` makes the exception for a status; ``same_level`` joins the level of the row before."""
        if tasks <= 0:
            return
        recorded = self._recorder()
        if recorded is not None:
            recorded.add(kernel)
            return
        writer, node, used = kernel.writer, self.nodes, self._used
        if used + writer.size > self._table.nbytes or node + 2 >= self._index.shape[1]:
            self._grow((used + writer.size) // 8 + 1, node + 1)
        address = kernel._address or kernel.address
        writer.pack_into(
            self._table, used, address, tasks, chunk, scratch, self._violation_address, *writer.values(args)
        )
        self._rows[node] = used >> 3
        if not (same_level and self._segments and self._segments[-1] is None):
            self._level_starts[self._levels] = node
            self._levels += 1
            self._segments.append(None)
        self._level_starts[self._levels] = node + 1
        self._used = used + writer.size
        self.nodes = node + 1
        if scratch > self._slice:
            self._slice = scratch
        if on_error is not None:
            self._errors[node] = on_error
        if CHECKED:
            self._kernels.append(kernel)

    def host(self, name: str, function: Callable, args: tuple, kwargs: dict, reason: str) -> None:
        """Append a call of a NumPy kernel; ``reason`` says why no row does it."""
        if self._recorder() is None:
            self._segments.append((function, args, kwargs))
            self.host_reasons.append((name, reason))

    def workspace(self, shape: tuple[int, ...], dtype: np.dtype = np.dtype(np.float32)) -> Array:
        """A temporary array that lives as long as the rows of this program."""
        nbytes = math.prod(shape) * dtype.itemsize
        buffer, address = memory.allocate(nbytes)
        array = Array(Storage(None, buffer, address, nbytes, pooled=True), shape, dtype)
        self._keep.append(array)
        return array

    def keep(self, array: Array) -> Array:
        """Keep a constant table alive as long as the rows that point to it."""
        self._keep.append(array)
        return array

    def run(self) -> None:
        """Do all rows and host calls in order; raises what a kernel's status or a host call says."""
        segments, level, at = self._segments, 0, 0
        while at < len(segments):
            if segments[at] is None:
                end = at
                while end < len(segments) and segments[end] is None:
                    end += 1
                self._replay(level, end - at)
                level += end - at
                at = end
            else:
                function, args, kwargs = segments[at]
                function(*map(as_ndarray, args), **{key: as_ndarray(value) for key, value in kwargs.items()})
                at += 1

    def _replay(self, first_level: int, levels: int) -> None:
        table, rows, starts, counters, status = self._addresses
        starts += first_level * 8
        count = threads.get_num_threads()
        bytes_each = (self._slice * 4 + 63) // 64 * 64
        state = _state
        if count > 1 and not _forked and self._is_parallel(first_level, levels) and _parallel_lock.acquire(False):
            try:
                run = driver.PARALLEL.run
                if state.layer_threads != count:
                    numba.set_num_threads(min(count, layer.layer_threads()))
                    state.layer_threads = count
                scratch = state.scratch_for(bytes_each * count)
                run(table, rows, starts, levels, count, scratch, bytes_each, counters, status)
            finally:
                _parallel_lock.release()
        else:
            scratch = state.scratch_for(bytes_each)
            driver.SERIAL.run(table, rows, starts, levels, 1, scratch, bytes_each, counters, status)
        if self._status[0] or CHECKED:
            self._report()

    def _is_parallel(self, first_level: int, levels: int) -> bool:
        """Whether any level has more than one chunk of tasks."""
        if levels > 4:
            return True
        starts, rows, table = self._level_starts, self._rows, self._words
        for node in range(starts[first_level], starts[first_level + levels]):
            row = rows[node]
            if table[row + 1] > table[row + 2]:
                return True
        return any(starts[i + 1] - starts[i] > 1 for i in range(first_level, first_level + levels))

    def _report(self) -> None:
        failed, node, code = (int(word) for word in self._status[:3])
        self._status[:] = 0
        if CHECKED and self._violation[0]:
            self._violation[:] = 0
            names = ", ".join(sorted({kernel.name for kernel in self._kernels}))
            raise KernelAccessError(f"a kernel touched memory outside its buffers; it is one of: {names}")
        if failed:
            handler = self._errors.get(node)
            if handler is None:
                raise RuntimeError(f"node {node} stopped with status {code}")
            raise handler(code & 0xFF, code >> 8)

    def clear(self) -> None:
        """Forget all rows and calls; their temporary memory goes back to the pool."""
        self._used = self.nodes = self._levels = self._slice = 0
        self._segments.clear()
        if self._errors:
            self._errors.clear()
        if self._keep:
            self._keep.clear()
        if self._kernels:
            self._kernels.clear()
        if self.host_reasons:
            self.host_reasons.clear()
