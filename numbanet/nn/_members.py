"""The tables of a module: what it registers, by name."""

from __future__ import annotations

from typing import Any

from numbanet import changes


def _noting(name: str) -> Any:
    method = getattr(dict, name)

    def change(self: Members, *arguments: Any) -> Any:
        changes.note()
        return method(self, *arguments)

    change.__name__ = name
    return change


class Members(dict):
    """A dictionary whose changes recorded graphs hear of (``numbanet.changes``)."""

    __setitem__, __delitem__ = _noting("__setitem__"), _noting("__delitem__")
    pop, popitem, clear, update = _noting("pop"), _noting("popitem"), _noting("clear"), _noting("update")
