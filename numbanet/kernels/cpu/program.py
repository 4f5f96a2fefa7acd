"""Programs on the CPU: a table of kernel rows in levels, interrupted by host calls where a kernel is lacking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numbanet.kernels.array import Array, layout_of, pooled_storage
from numbanet.kernels.cpu.driver import RANGES, SERIAL
from numbanet.kernels.cpu.kernel import Kernel
from numbanet.kernels.cpu.replay import Table, replay
from numbanet.kernels.cpu.simd.pointers import CHECKED, VIOLATION_BYTES
from numbanet.kernels.numpy import as_ndarray

FIRST_WORDS = 1 << 13
FIRST_NODES = 1 << 8


class KernelAccessError(RuntimeError):
    """A kernel touched memory outside its buffers (found by ``NUMBANET_CHECK=1``)."""


class CpuProgram:
    """Rows in levels and host calls, in order. ``append`` and ``host`` add, ``run`` replays, ``clear`` forgets.

    Every function of the contract is a method (``numbanet.kernels.cpu.functions`` adds them): it chooses kernels, cuts
    the work into tasks and appends.
    """

    is_checked = CHECKED

    def __init__(self, recorder: Callable[[], set[Kernel] | None]) -> None:
        self._recorder = recorder
        self._words = np.zeros(FIRST_WORDS, np.int64)
        self._index = np.zeros((2 + RANGES, FIRST_NODES), np.int64)
        self._status = np.zeros(4, np.int64)
        self._violation = np.zeros(VIOLATION_BYTES, np.uint8)
        self._violation_address = self._violation.ctypes.data
        self._view()
        self._used = 0
        self.nodes = 0
        self._levels = 0
        self._segments: list[Any] = []
        self._errors: dict[int, Callable[[int, int], Exception]] = {}
        self.rows: list[tuple[int, Kernel, tuple]] = []
        self.kept: list[Array] = []
        self.tables: list[tuple[Array, Sequence[Sequence[Array]]]] = []
        self.scratch = 0
        self._is_parallel: bool | None = None  # of all rows; None until they are run
        self.host_reasons: list[tuple[str, str]] = []

    def _view(self) -> None:
        """Refresh the addresses and views of the growing arrays."""
        self._table = Table(self._words, self._index, self._status)
        self._bytes = memoryview(self._words).cast("B")

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
        if used + writer.size > self._bytes.nbytes or node + 2 >= self._index.shape[1]:
            self._grow((used + writer.size) // 8 + 1, node + 1)
        address = kernel._address or kernel.address
        writer.pack_into(
            self._bytes, used, address, tasks, chunk, scratch, self._violation_address, *writer.values(args)
        )
        table = self._table
        table.rows[node] = used >> 3
        if not (same_level and self._segments and self._segments[-1] is None):
            table.level_starts[self._levels] = node
            self._levels += 1
            self._segments.append(None)
        table.level_starts[self._levels] = node + 1
        self._is_parallel = None
        self.rows.append((used >> 3, kernel, args))
        self._used = used + writer.size
        self.nodes = node + 1
        if scratch > self.scratch:
            self.scratch = scratch
        if on_error is not None:
            self._errors[node] = on_error

    def host(self, name: str, function: Callable, args: tuple, kwargs: dict, reason: str) -> None:
        """Append a call of a NumPy kernel; ``reason`` says why no row does it."""
        if self._recorder() is None:
            self._segments.append((function, args, kwargs))
            self.host_reasons.append((name, reason))

    def workspace(self, shape: tuple[int, ...], dtype: np.dtype = np.dtype(np.float32)) -> Array:
        """A temporary array that lives as long as the rows of this program."""
        layout = layout_of(None, shape, dtype)
        array = layout.array(pooled_storage(None, layout.nbytes, layout.pool))
        self.kept.append(array)
        return array

    def keep(self, array: Array) -> Array:
        """Keep a constant table alive as long as the rows that point to it."""
        self.kept.append(array)
        return array

    def keep_table(self, table: Array, kinds: Sequence[Sequence[Array]]) -> Array:
        """Keep a group's table (``numbanet.kernels.cpu.group``), which holds the addresses of these arrays."""
        self.kept.append(table)
        self.tables.append((table, kinds))
        return table

    def keep_calls(self, table: Array, kernels: dict[int, Kernel]) -> Array:
        """Keep a table some of whose words, by number, are the addresses of kernels that a kernel calls."""
        self.kept.append(table)
        recorded = self._recorder()
        if recorded is None:
            write_addresses(table, kernels)
        else:
            recorded.update(kernels.values())
        return table

    def run(self) -> None:
        """Do all rows and host calls in order; raises what a kernel's status or a host call says."""
        segments, level, at = self._segments, 0, 0
        if len(segments) == self._levels:
            table = self._table
            if self._is_parallel is None:
                self._is_parallel = table.is_parallel(0, self._levels)
                table.choose(0, self._levels)
            if self._is_parallel or self.scratch:
                replay(table, self.scratch, self._is_parallel)
            else:
                SERIAL.run(table.address)
            if CHECKED or table.failed[0]:
                self.report()
            return
        while at < len(segments):
            if segments[at] is None:
                end = at
                while end < len(segments) and segments[end] is None:
                    end += 1
                self._replay(level, end - at, self._table.is_parallel(level, end - at))
                level += end - at
                at = end
            else:
                function, args, kwargs = segments[at]
                function(*map(as_ndarray, args), **{key: as_ndarray(value) for key, value in kwargs.items()})
                at += 1

    def _replay(self, first_level: int, levels: int, is_parallel: bool) -> None:
        self._table.choose(first_level, levels)
        replay(self._table, self.scratch, is_parallel)
        if CHECKED or self._table.failed[0]:
            self.report()

    @property
    def has_host_calls(self) -> bool:
        """Whether something was appended that is not a row."""
        return len(self._segments) > self._levels

    def finished_table(self) -> Table:
        """The table itself, to which nothing is appended any more."""
        self._table.nodes, self._table.levels = self.nodes, self._levels
        return self._table

    def table_copy(self) -> Table:
        """The rows in a table of their own."""
        return self.finished_table().copy(self._used >> 3)

    def report(self) -> None:
        """Raise what the status of a run says."""
        failed, node, code = (int(word) for word in self._status[:3])
        self._status[:] = 0
        if CHECKED and self._violation[0]:
            self._violation[:] = 0
            names = ", ".join(sorted({kernel.name for _, kernel, _ in self.rows}))
            raise KernelAccessError(f"a kernel touched memory outside its buffers; it is one of: {names}")
        if failed:
            handler = self._errors.get(node)
            if handler is None:
                raise RuntimeError(f"node {node} stopped with status {code}")
            raise handler(code & 0xFF, code >> 8)

    def clear(self) -> None:
        """Forget all rows and calls; their temporary memory goes back to the pool."""
        self._used = self.nodes = self._levels = self.scratch = 0
        self._is_parallel = None
        self.tables.clear()
        self._segments.clear()
        self.rows.clear()
        if self._errors:
            self._errors.clear()
        if self.kept:
            self.kept.clear()
        if self.host_reasons:
            self.host_reasons.clear()


def write_addresses(table: Array, kernels: dict[int, Kernel]) -> None:
    """Write where the machine code of kernels lies into a table; compiles what is not there."""
    words = table.numpy()
    for at, kernel in kernels.items():
        words[at] = kernel.address
