"""Memory that outlives replays: the arena, which all plans of a function share, and the gradients in one block."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from numbanet.graph.arena import ALIGNMENT
from numbanet.kernels.array import Array, Storage
from numbanet.tensor import Tensor

if TYPE_CHECKING:
    from numbanet.kernels.backend import Backend


class Arena:
    """A block that grows to what the largest plan needs; ``storage`` is another one afterwards."""

    def __init__(self) -> None:
        self.storage: Storage | None = None

    def reserve(self, backend: Backend, nbytes: int) -> Storage:
        """The block, of at least so many bytes."""
        if self.storage is None or self.storage.nbytes < nbytes or self.storage.backend is not backend:
            self.storage = None  # before the new one is made
            self.storage = backend.allocate(max(nbytes, ALIGNMENT))
        return self.storage


def part_of(block: Storage, offset: int, nbytes: int) -> Storage:
    """A part of a block as a storage of its own, which keeps the block's memory alive."""
    return Storage(block.backend, block.buffer[offset : offset + nbytes], block.address + offset, nbytes)


class GradientBlock:
    """Gradients side by side in one block; a new block takes its place as soon as anybody holds one of them.

    A replay overwrites the gradients of the one before. Whoever still has one of those (the tensor, a view, an
    ndarray) keeps it, because then ``renew`` makes others."""

    def __init__(self, backend: Backend, arrays: Sequence[Array]) -> None:
        self._backend = backend
        self._specs = [(a.shape, a.dtype, None if a.is_contiguous else a.strides, a.offset) for a in arrays]
        self._sizes = [array.storage.nbytes for array in arrays]
        self.tensors: list[Tensor] = []
        self.renew()

    @property
    def storages(self) -> list[Storage]:
        return [tensor._array.storage for tensor in self.tensors]

    def renew(self) -> None:
        """Make new gradients; the old ones are their holders'."""
        offsets, total = [], 0
        for size in self._sizes:
            offsets.append(total)
            total += -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
        block = self._backend.allocate(total)
        block.pool = None  # its parts keep the memory
        storages = [part_of(block, at, size) for at, size in zip(offsets, self._sizes, strict=True)]
        self.tensors = [Tensor(Array(storage, *spec)) for storage, spec in zip(storages, self._specs, strict=True)]
        self._held = [self.tensors, [tensor._array for tensor in self.tensors], storages]
        self._held += [[storage.buffer for storage in storages], [block.buffer.base]]
        del block, storages
        self.recount()

    def recount(self) -> None:
        """Take those who refer to the gradients now for the block's own."""
        self._counts = self._count()

    def _count(self) -> list[list[int]]:
        return [list(map(sys.getrefcount, held)) for held in self._held]

    def is_free(self) -> bool:
        """Whether nobody but the tensors' owners' ``grad``, which must be unset, refers to the gradients."""
        return self._count() == self._counts
