"""Tables of hooks, of tensors, modules and optimisers alike, and the handle that takes a hook away again."""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable

from numbanet import changes

_next_id = itertools.count()


class RemovableHandle:
    """What ``register_…_hook`` returns: ``remove()`` takes the hook away, and so does leaving a ``with`` block.

    It holds the table of hooks weakly, so that a kept handle does not keep the module alive.
    """

    def __init__(self, hooks: OrderedDict, *options: OrderedDict) -> None:
        self.id = next(_next_id)
        self._tables = [weakref.ref(table) for table in (hooks, *options)]

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        changes.note()
        for reference in self._tables:
            table = reference()
            if table is not None:
                table.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def add_hook(
    table: OrderedDict, hook: Callable, prepend: bool = False, *flags: tuple[OrderedDict, bool]
) -> RemovableHandle:
    """Enter ``hook`` in ``table``, and its id in each table of options whose flag is set."""
    if not callable(hook):
        raise TypeError(f"a hook must be callable, but got {type(hook).__name__}")
    changes.note()
    handle = RemovableHandle(table, *(options for options, _ in flags))
    table[handle.id] = hook
    if prepend:
        table.move_to_end(handle.id, last=False)
    for options, wanted in flags:
        if wanted:
            options[handle.id] = True
    return handle
