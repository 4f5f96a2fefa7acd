"""Eager calls that are remembered: the rows of an op for given shapes, in which a repetition only changes addresses.

The first call of an op with given shapes chooses kernels, cuts the work into tasks and fills a table of rows; the next
writes the addresses of its own arrays into a copy of it and runs. That is most of the Python of an eager op.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from numbanet.kernels import memory
from numbanet.kernels.array import Array, Storage
from numbanet.kernels.cpu.arguments import HEADER
from numbanet.kernels.cpu.replay import Table, replay
from numbanet.kernels.cpu.simd.pointers import CHECKED

if TYPE_CHECKING:
    from numbanet.kernels.cpu.program import CpuProgram


class RememberedCall:
    """A table of its own, and for each operand the words that hold its address (plus a distance).

    Operands are the outputs and inputs in the order of the call, then the temporary arrays, which are allocated anew
    for each run: what waits to be repeated holds no memory but its table and its constants."""

    __slots__ = ("_constants", "_parallel", "_places", "_slice", "_table", "_temporaries", "spec")

    def __init__(
        self, spec: object, table: Table, places: list, temporaries: list[int], constants: list[Array], scratch: int
    ) -> None:
        self.spec = spec
        self._table = table
        self._places: list[tuple[int, tuple[tuple[int, int], ...]]] = places
        self._temporaries: list[int] = temporaries
        self._constants = constants
        self._slice = scratch
        self._parallel = table.is_parallel(0, table.levels)

    def run(self, operands: list[Array]) -> bool:
        """Run with these outputs and inputs; False if a kernel has stopped: only the op itself can say why."""
        words = self._table.words
        addresses = [array.address for array in operands]
        temporaries = [_temporary(nbytes) for nbytes in self._temporaries]
        addresses += [storage.address for storage in temporaries]
        for operand, places in self._places:
            address = addresses[operand]
            for word, distance in places:
                words[word] = address + distance
        table = self._table
        replay(table, 0, table.levels, self._slice, self._parallel)
        if table.failed[0]:
            table.status[:] = 0
            return False
        return True


def _temporary(nbytes: int) -> Storage:
    """Memory that goes back to the pool with the storage, to which nothing else may refer."""
    return Storage(None, *memory.allocate(nbytes), nbytes, pooled=True)


def remember(program: CpuProgram, spec: object, operands: Sequence[Array]) -> RememberedCall | None:
    """What a program that was just filled does, to be repeated for other operands of the same shapes.

    None if it cannot be: a host call, a table of this call's addresses, operands that share memory (which of them a row
    means is then not known)."""
    storages = [id(array.storage) for array in operands]
    if CHECKED or program.has_host_calls or program.has_tables:
        return None
    if len(set(storages)) < len(storages):
        return None
    begins = {id(array.storage): (number, array.address) for number, array in enumerate(operands)}
    temporaries, constants = [], []
    for array in program.kept:
        if array.storage.pooled:
            begins[id(array.storage)] = (len(operands) + len(temporaries), array.storage.address)
            temporaries.append(array.storage.nbytes)
        else:
            constants.append(array)
    places: dict[int, list[tuple[int, int]]] = {}
    for begin, kernel, args in program.rows:
        for field in kernel.writer.pointers:
            array = args[field]
            if array is None:
                continue
            if type(array) is int:
                return None
            found = begins.get(id(array.storage))
            if found is None:
                constants.append(array)
            else:
                places.setdefault(found[0], []).append((begin + HEADER + field, array.address - found[1]))
    listed = [(operand, tuple(pairs)) for operand, pairs in places.items()]
    return RememberedCall(spec, program.table_copy(), listed, temporaries, constants, program.scratch)
