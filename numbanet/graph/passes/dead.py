"""What nobody reads is not computed: gradients of inputs, results that are thrown away."""

from __future__ import annotations

from numbanet.graph.lower import Call
from numbanet.graph.trace import Buffer
from numbanet.kernels.array import Array, Storage
from numbanet.kernels.backend import Backend
from numbanet.kernels.contract import CONTRACT


def drop_unread(calls: list[Call], backend: Backend) -> list[Call]:
    """Leave out calls all of whose results are temporary and read by none that stays, and outputs of that kind which
    the contract calls optional.

    A call that is left out raises no error either (a label out of range of a loss that nobody asks for)."""
    read: set[Storage] = set()
    kept: list[Call] = []
    for call in reversed(calls):
        if call.writes and not any(_is_wanted(array, read) for array in call.writes):
            continue
        unread = {
            name: None
            for name in CONTRACT[call.name].optional
            if type(call.arguments[name]) is Array and not _is_wanted(call.arguments[name], read)
        }
        if unread:
            call = call.with_arguments(**unread)
        read.update(array.storage for array in call.reads)
        kept.append(call)
    kept.reverse()
    return kept


def _is_wanted(array: Array, read: set[Storage]) -> bool:
    """Whether somebody will look at it: a later call, or whoever the memory belongs to."""
    storage = array.storage
    return not (type(storage) is Buffer and storage.is_temporary) or storage in read
