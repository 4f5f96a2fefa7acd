"""How a function is entered in the contract."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True)
class KernelFunction:
    """One line of the contract."""

    name: str
    signature: inspect.Signature
    inplace: tuple[str, ...]
    strided: tuple[str, ...]
    summary: str
    writes: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def is_written(self, argument: str) -> bool:
        """Whether the function writes what it is given under this name."""
        return argument == "out" or argument.endswith("_out") or argument in self.writes


CONTRACT: dict[str, KernelFunction] = {}


def declare(
    *,
    inplace: tuple[str, ...] = (),
    strided: tuple[str, ...] = (),
    writes: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
) -> Callable:
    """Enter a function of the contract; its body is its docstring. Raises ValueError for a name that is there."""

    def enter(function: Callable) -> KernelFunction:
        if function.__name__ in CONTRACT:
            raise ValueError(f"the contract has a function called {function.__name__!r} already; choose another name")
        summary = inspect.getdoc(function) or ""
        line = KernelFunction(
            function.__name__, inspect.signature(function), inplace, strided, summary, writes, optional
        )
        CONTRACT[line.name] = line
        return line

    return enter
