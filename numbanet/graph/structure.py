"""Arguments and results as a flat list of leaves and a structure that says how they belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from numbanet.tensor import Tensor

LEAF = "·"
_PLAIN = (bool, int, float, str, bytes, type(None))


def flatten(value: Any, tensors: list[Tensor]) -> Any:
    """The structure of nested tuples, lists and dictionaries, hashable; its tensors are appended to ``tensors``.

    Everything else stays in the structure, as itself if it is a plain value and by its identity if not."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return LEAF
    kind = type(value)
    if kind is tuple or kind is list:
        return (kind, *[flatten(one, tensors) for one in value])
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return (kind, *[flatten(one, tensors) for one in value])
    if isinstance(value, dict):
        return (kind, tuple(value), *[flatten(one, tensors) for one in value.values()])
    if isinstance(value, _PLAIN):
        return Plain(value)
    return Plain(Same(value))


class Plain:
    """A value in a structure that is no tensor; 1, 1.0 and True differ, NaN equals itself."""

    __slots__ = ("key", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.key = (type(value), repr(value) if type(value) is float else value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return repr(self.value)


class Same:
    """An object that is compared by identity, and kept alive so that its identity stays its own."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)

    def __repr__(self) -> str:
        return f"a {type(self.value).__name__}"


def rebuild(structure: Any, leaves: Iterator[Any]) -> Any:
    """What ``flatten`` took apart, with other leaves."""
    if structure is LEAF:
        return next(leaves)
    if type(structure) is Plain:
        value = structure.value
        return value.value if type(value) is Same else value
    kind = structure[0]
    if kind is tuple or kind is list:
        return kind([rebuild(one, leaves) for one in structure[1:]])
    if issubclass(kind, tuple):
        return kind(*[rebuild(one, leaves) for one in structure[1:]])
    return kind(zip(structure[1], [rebuild(one, leaves) for one in structure[2:]], strict=True))


def builder(structure: Any, count: int) -> Callable[[list[Any]], Any]:
    """A function that puts leaves into the structure; without recursion for the usual ones."""
    if structure is LEAF:
        return lambda leaves: leaves[0]
    if structure == (tuple, *[LEAF] * count):
        return tuple
    return lambda leaves: rebuild(structure, iter(leaves))
