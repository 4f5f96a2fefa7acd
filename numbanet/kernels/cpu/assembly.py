"""Programs put together on the CPU: rows are collected first, and written into a table when their memory is known.

A replay of such a table asks nobody: what lies elsewhere than last time is patched in the words that point to it, and
the driver does all levels in one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numbanet.kernels.array import Array, Storage
from numbanet.kernels.assembly import HostCall, Piece
from numbanet.kernels.cpu.arguments import HEADER
from numbanet.kernels.cpu.group import address_columns
from numbanet.kernels.cpu.kernel import Kernel
from numbanet.kernels.cpu.program import CpuProgram, write_addresses
from numbanet.kernels.cpu.replay import prepare_one_region, replay
from numbanet.kernels.numpy.assembly import run_host_call, set_random_place

FLOAT32 = np.dtype(np.float32)
Place = tuple[memoryview, int, int]
"""A word that holds a storage's address: its table, its index, and how far behind the address it points."""


class Row(NamedTuple):
    """A row to be written; see ``CpuProgram.append``."""

    kernel: Kernel
    tasks: int
    args: tuple
    chunk: int
    scratch: int
    on_error: Callable[[int, int], Exception] | None


class CpuAssembly(CpuProgram):
    """Collects what the functions of the contract append."""

    def __init__(self, recorder: Callable[[], set[Kernel] | None]) -> None:
        super().__init__(recorder)
        self._piece: Piece
        self._tables: list[tuple[Array, Sequence[Sequence[Array]]]] = []
        self._called: list[tuple[Array, dict[int, Kernel]]] = []

    def call(self, name: str, args: Sequence, kwargs: dict) -> Piece:
        """The piece that a function of the contract becomes with these arguments."""
        self._piece = piece = Piece(name)
        getattr(self, name)(*args, **kwargs)
        return piece

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
        if tasks <= 0:
            return
        recorded = self._recorder()
        if recorded is not None:
            recorded.add(kernel)
        row, levels = Row(kernel, tasks, args, chunk, scratch, on_error), self._piece.levels
        if same_level and levels and type(levels[-1][0]) is Row:
            levels[-1].append(row)
        else:
            levels.append([row])

    def host(self, name: str, function: Callable, args: tuple, kwargs: dict, reason: str) -> None:
        self._piece.levels.append([HostCall(name, function, list(args), kwargs, reason)])

    def workspace(self, shape: tuple[int, ...], dtype: np.dtype = FLOAT32) -> Array:
        array = Array(Storage(None, None, 0, max(1, math.prod(shape)) * dtype.itemsize), shape, dtype)
        self._piece.workspaces.append(array)
        return array

    def keep_table(self, table: Array, kinds: Sequence[Sequence[Array]]) -> Array:
        self._tables.append((table, kinds))
        return super().keep_table(table, kinds)

    def keep_calls(self, table: Array, kernels: dict[int, Kernel]) -> Array:
        self._called.append((table, kernels))
        return self.keep(table)

    def finish(self, levels: Sequence[Sequence[tuple[Piece, int]]], random: dict[Piece, tuple[int, int]]) -> CpuReplay:
        """The rows in a table, in levels; the host calls of a level come behind its rows.

        Rows that are too small, all together, to be worth waking threads become levels of their own, which one thread
        does in a row."""
        program, rows, runs = CpuProgram(lambda: None), {}, []
        for level in levels:
            parts = [(piece, one) for piece, at in level for one in piece.levels[at]]
            mine = [(piece, one) for piece, one in parts if type(one) is Row]
            alone = _is_small([row for _, row in mine])
            for number, (piece, (kernel, tasks, args, chunk, scratch, on_error)) in enumerate(mine):
                rows.setdefault(piece, []).append(program.nodes)
                is_first = alone or number == 0
                program.append(
                    kernel, tasks, args, chunk=chunk, scratch=scratch, on_error=on_error, same_level=not is_first
                )
                if is_first:
                    runs.append(None)
            runs += [one for _, one in parts if type(one) is not Row]
        for table, kernels in self._called:
            write_addresses(table, kernels)
        replay = CpuReplay(program, runs, self._tables, self.kept)
        replay.draws_from(rows, random)
        return replay


SMALL_BYTES = 1 << 12
"""What the rows of a level work with, below which the work takes less time than a barrier."""
SMALL_TASKS = 4


def _is_small(rows: Sequence[Row]) -> bool:
    """Whether several rows of one chunk each are done sooner by one thread: all their arrays are a few numbers."""
    if len(rows) < 2 or any(row.tasks > min(row.chunk, SMALL_TASKS) for row in rows):
        return False
    arrays = [value for row in rows for value in row.args if type(value) is Array]
    return sum(array.size * array.dtype.itemsize for array in arrays) <= SMALL_BYTES


class CpuReplay:
    """A table of all rows, with the host calls between them."""

    def __init__(self, program: CpuProgram, order: list, tables: list, kept: list) -> None:
        self._program = program
        self._draws: list[tuple[int, int, int, int]] = []  # words for seed and block, the stream, the offset in it
        self._host_draws: list[tuple[HostCall, int, int]] = []
        self._kept = kept
        self._table = program.finished_table()
        self._order = order
        self._parts = _joined(order, self._table)
        if any(type(part) is tuple and part[1] > 1 and part[2] for part in self._parts):
            prepare_one_region()
        self._places: dict[int, list[Place]] = {}
        self._find_pointers(tables)

    def _find_pointers(self, tables: list) -> None:
        words = self._table.words
        for begin, kernel, args in self._program.rows:
            for field, at in kernel.writer.columns:
                array = args[field]
                if type(array) is Array:
                    self._note(array, words, [begin + HEADER + at + i for i in range(kernel.writer.width)])
        for table, kinds in tables:
            view = memoryview(table.storage.buffer)
            for array, columns in address_columns(kinds):
                self._note(array, view, columns)

    def _note(self, array: Array, words: memoryview, columns: Sequence[int]) -> None:
        """The words hold where the array begins and, in the check mode, where its buffer begins and ends."""
        storage = array.storage
        places = self._places.setdefault(id(storage), [])
        distances = (array.offset * array.dtype.itemsize, 0, storage.nbytes)
        for at, distance in zip(columns, distances, strict=False):
            places.append((words, at, distance))
            words[at] = storage.address + distance

    def run(self) -> None:
        """Do all levels and host calls in order."""
        table, program = self._table, self._program
        for part in self._parts:
            if type(part) is tuple:
                table.choose(part[0], part[1])
                replay(table, program.scratch, part[2], part[1] > 1)
                if table.status[0] or program.is_checked:
                    program.report()
            else:
                run_host_call(part)

    def parts(self) -> list[Callable[[], None]]:
        """The levels and host calls as functions, each of which does one."""
        found: list[Callable[[], None]] = []
        level = 0
        for one in self._order:
            if one is None:
                found.append(partial(self._run_level, level, self._table.is_parallel(level, 1)))
                level += 1
            else:
                found.append(partial(run_host_call, one))
        return found

    def _run_level(self, level: int, parallel: bool) -> None:
        table, program = self._table, self._program
        table.choose(level, 1)
        replay(table, program.scratch, parallel)
        if table.status[0] or program.is_checked:
            program.report()

    def moved(self, storage: Storage) -> None:
        """Write the storage's address into the words that point to it."""
        address = storage.address
        for words, at, distance in self._places.get(id(storage), ()):
            words[at] = address + distance

    def draws_from(self, rows: dict[Piece, list[int]], random: dict[Piece, tuple[int, int]]) -> None:
        """Note which words say where random numbers begin; ``rows`` has the nodes of each piece."""
        for piece, (stream, offset) in random.items():
            for node in rows.get(piece, ()):
                begin, kernel, _ = self._program.rows[node]
                seed_at, block_at = kernel.writer.random_columns
                self._draws.append((begin + HEADER + seed_at, begin + HEADER + block_at, stream, offset))
            calls = [one for level in piece.levels for one in level if type(one) is HostCall]
            self._host_draws += [(call, stream, offset) for call in calls]

    def draw(self, seed: int, begins: dict[int, int]) -> None:
        """The random numbers of this run are those of ``seed``, from where each stream begins."""
        words = self._table.words
        word = seed - (1 << 64) if seed >= 1 << 63 else seed
        for seed_at, block_at, stream, offset in self._draws:
            words[seed_at] = word
            words[block_at] = (begins[stream] + offset) // 4
        for call, stream, offset in self._host_draws:
            set_random_place(call, seed, begins[stream] + offset)


def _joined(order: list, table: Any) -> list:
    """(first level, how many, whether one is parallel) for levels in a row, and the host calls between them."""
    parts: list = []
    level = 0
    for one in order:
        if one is not None:
            parts.append(one)
            continue
        if parts and type(parts[-1]) is list:
            parts[-1][1] += 1
        else:
            parts.append([level, 1])
        level += 1
    return [(*part, _needs_threads(table, *part)) if type(part) is list else part for part in parts]


def _needs_threads(table: Any, first: int, count: int) -> bool:
    """Whether any of these levels is more than one chunk of tasks."""
    return any(table.is_parallel(level, 1) for level in range(first, first + count))
