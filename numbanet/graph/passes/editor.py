"""A list of calls that passes edit: which calls use a buffer, and whether one may be done earlier or later."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence

from numbanet.graph.lower import Call
from numbanet.graph.trace import OUTLIVING
from numbanet.kernels.array import Array, Storage


def is_whole(array: object) -> bool:
    """Whether this is an array that is all of its storage, row by row, and not empty."""
    return (
        type(array) is Array
        and array.size > 0
        and array.is_contiguous
        and array.offset == 0
        and array.size * array.dtype.itemsize == array.storage.nbytes
    )


class Editor:
    """Calls in numbered slots. A call that takes the place of several has the slot of one of them, so that slots keep
    their order; the others become empty."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.slots: list[Call | None] = []
        self._users: dict[Storage, list[int]] = {}
        for slot, call in enumerate(calls):
            self.slots.append(None)
            self.put(slot, call)

    def __iter__(self) -> Iterator[tuple[int, Call]]:
        """(slot, call) in order, as they are when their turn comes."""
        for slot in range(len(self.slots)):
            call = self.slots[slot]
            if call is not None:
                yield slot, call

    @property
    def calls(self) -> list[Call]:
        return [call for call in self.slots if call is not None]

    def users(self, storage: Storage) -> Sequence[int]:
        """The slots of all calls that read or write this memory, in order."""
        return self._users.get(storage, ())

    def writers(self, storage: Storage) -> list[int]:
        """The slots of the calls that write it."""
        return [at for at in self.users(storage) if any(one.storage is storage for one in self.slots[at].writes)]

    def put(self, slot: int, call: Call | None) -> None:
        """Let a slot hold this call, or nothing."""
        before = self.slots[slot]
        if before is not None:
            for storage in _storages(before):
                self._users[storage].remove(slot)
        self.slots[slot] = call
        if call is not None:
            for storage in _storages(call):
                insort(self._users.setdefault(storage, []), slot)

    def is_untouched(self, storage: Storage, first: int, last: int) -> bool:
        """Whether no call in the slots between (both excluded) uses this memory."""
        users = self.users(storage)
        return bisect_right(users, first) >= bisect_left(users, last)

    def can_move(self, call: Call, first: int, last: int) -> bool:
        """Whether the call may be done in the one slot as in the other: no call between (both excluded) writes what it
        uses, or uses what it writes."""
        written = {array.storage for array in call.writes}
        for storage in _storages(call):
            users = self.users(storage)
            for at in users[bisect_right(users, first) : bisect_left(users, last)]:
                if storage in written or any(one.storage is storage for one in self.slots[at].writes):
                    return False
        return True

    def may_take_over(self, slot: int, out: Array, x: Array) -> bool:
        """Whether this call's output comes to life when its input is used for the last time, both whole and of one
        size: then one buffer can be both."""
        if not (is_whole(out) and is_whole(x)) or out.storage is x.storage or not x.storage.is_temporary:
            return False
        if out.size != x.size or out.dtype.itemsize != x.dtype.itemsize:
            return False
        if not (out.storage.is_temporary or out.storage.kind in OUTLIVING):
            return False
        return self.users(out.storage)[0] == slot and self.users(x.storage)[-1] == slot

    def take_over(self, out: Storage, x: Storage) -> None:
        """Let all calls use one of two buffers for both: that which outlives the call, if one does."""
        kept, gone = (x, out) if out.is_temporary else (out, x)
        for slot in list(self.users(gone)):
            self.put(slot, self.slots[slot].with_storages({gone: kept}))


def _storages(call: Call) -> dict[Storage, None]:
    """The memory that a call uses, each once, in order."""
    return dict.fromkeys(array.storage for array in (*call.reads, *call.writes))
