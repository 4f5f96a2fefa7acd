"""Eager calls that are remembered: the rows of an op for given shapes, in which a repetition only changes addresses.

The first call of an op with given shapes chooses kernels, cuts the work into tasks and fills a table of rows; the next
writes the addresses of its own arrays into a copy of it and runs. That is most of the Python of an eager op.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from numbanet.kernels.array import Array, Layout, pooled_storage
from numbanet.kernels.cpu import driver
from numbanet.kernels.cpu.arguments import HEADER
from numbanet.kernels.cpu.group import address_columns
from numbanet.kernels.cpu.replay import Table, replay
from numbanet.kernels.cpu.simd.pointers import CHECKED

if TYPE_CHECKING:
    from numbanet.kernels.cpu.program import CpuProgram


Place = tuple[memoryview, int, int, int]


class RememberedCall:
    """A table of its own, and the words, of it or of groups' tables, that hold addresses.

    A place is (the words, which of them, the operand, the distance from its begin).

    Operands are the outputs and inputs in the order of the call, then the temporary arrays, which are allocated anew
    for each run: what waits to be repeated holds no memory but its table and its constants."""

    __slots__ = ("_constants", "_layouts", "_parallel", "_places", "_run", "_scratch", "_table", "_temporaries")

    def __init__(
        self,
        layouts: list[Layout],
        table: Table,
        places: list[Place],
        temporaries: list[Layout],
        constants: list[Array],
        scratch: int,
    ) -> None:
        self._layouts = layouts
        self._table = table
        self._places = places
        self._temporaries = temporaries
        self._constants = constants
        self._scratch = scratch
        self._parallel = table.is_parallel(0, table.levels)
        self._run = driver.SERIAL.run

    def run(self, arrays: Sequence[Array]) -> Sequence[Array] | None:
        """The outputs for these inputs, in new memory; None if a kernel has stopped."""
        outs, addresses = [], []
        for layout in self._layouts:
            storage = pooled_storage(layout.backend, layout.nbytes, layout.pool)
            outs.append(layout.array(storage))
            addresses.append(storage.address)
        for array in arrays:
            addresses.append(array.storage.address + array.begin)  # noqa: PERF401 - a list's own frame takes longer
        if self._temporaries:
            temporaries = [pooled_storage(None, layout.nbytes, layout.pool) for layout in self._temporaries]
            addresses += [storage.address for storage in temporaries]
        for words, word, operand, distance in self._places:
            words[word] = addresses[operand] + distance
        table = self._table
        if self._parallel or self._scratch:
            replay(table, self._scratch, self._parallel)
            failed = table.failed[0]
        else:
            failed = self._run(table.address)
        if failed:
            table.status[:] = 0
            return None
        return outs


def remember(program: CpuProgram, outs: Sequence[Array], arrays: Sequence[Array]) -> RememberedCall | None:
    """What a program that was just filled does, to be repeated for other operands of the same layouts.

    None if it cannot be: a host call, an address among the numbers, operands that share memory (which of them a row
    means is then not known)."""
    operands = [*outs, *arrays]
    storages = [id(array.storage) for array in operands]
    if CHECKED or program.has_host_calls:
        return None
    if len(set(storages)) < len(storages):
        return None
    begins = {id(array.storage): (number, array.address) for number, array in enumerate(operands)}
    temporaries, constants = [], []
    for array in program.kept:
        if array.storage.pool is not None:
            begins[id(array.storage)] = (len(operands) + len(temporaries), array.storage.address)
            temporaries.append(array.layout)
        else:
            constants.append(array)
    table, places = program.table_copy(), []

    def note(words: memoryview, word: int, array: Array) -> None:
        found = begins.get(id(array.storage))
        if found is None:
            constants.append(array)
        else:
            places.append((words, word, found[0], array.address - found[1]))

    for begin, kernel, args in program.rows:
        for field in kernel.writer.pointers:
            array = args[field]
            if type(array) is int:
                return None
            if array is not None:
                note(table.words, begin + HEADER + field, array)
    for group, kinds in program.tables:
        words = memoryview(group.storage.buffer)
        for array, columns in address_columns(kinds):
            note(words, columns[0], array)
    return RememberedCall([out.layout for out in outs], table, places, temporaries, constants, program.scratch)
