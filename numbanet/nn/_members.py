"""The tables of a module: what it registers, by name."""

from __future__ import annotations

import weakref
from typing import Any

from numbanet import changes


class Members(dict):
    """A dictionary of the parameters, the buffers or the submodules of a module, which has them as attributes, too.

    Recorded graphs hear of its changes (``numbanet.changes``). The module's ``__dict__`` holds the same entries, so
    that ``self.weight`` is found at once: Python asks ``__getattr__`` only after it has made an exception, in ten times
    as long. A module that shares the tables of another (``copy.copy``)
    has ``__getattr__`` look them up."""

    __slots__ = ("_owner",)

    def __new__(cls, *arguments: Any) -> Members:
        table = super().__new__(cls)
        table._owner = None
        return table

    @property
    def has_owner(self) -> bool:
        return self._owner is not None

    def belong_to(self, module: object) -> None:
        """Let the module have the entries as attributes from now on."""
        self._owner = weakref.ref(module)
        vars(module).update(self)

    def __getstate__(self) -> None:
        return None

    def _attributes(self) -> dict[str, Any]:
        """The module's, or none."""
        module = None if self._owner is None else self._owner()
        return {} if module is None else vars(module)

    def __setitem__(self, name: str, member: object) -> None:
        changes.note()
        super().__setitem__(name, member)
        self._attributes()[name] = member

    def __delitem__(self, name: str) -> None:
        changes.note()
        super().__delitem__(name)
        self._attributes().pop(name, None)

    def pop(self, name: str, *default: object) -> object:
        changes.note()
        if name in self:
            self._attributes().pop(name, None)
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, object]:
        changes.note()
        name, member = super().popitem()
        self._attributes().pop(name, None)
        return name, member

    def clear(self) -> None:
        changes.note()
        for name in self:
            self._attributes().pop(name, None)
        super().clear()

    def update(self, *others: Any, **named: object) -> None:
        for name, member in dict(*others, **named).items():
            self[name] = member

    def setdefault(self, name: str, default: object = None) -> object:
        if name not in self:
            self[name] = default
        return self[name]
