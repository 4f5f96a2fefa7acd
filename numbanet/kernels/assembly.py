"""Programs that are put together: calls of the contract whose arrays get their memory only when all are known.

A back end's ``assembly()`` turns each call into a Piece: levels of rows, or a host call. The caller arranges the levels
of all pieces, gives every storage its address, and has the assembly make a Replay of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from numbanet.kernels.array import Array, Storage


@dataclass(slots=True, eq=False)
class HostCall:
    """A call of a NumPy kernel; ``reason`` says why no row does it."""

    name: str
    function: Callable
    args: list
    kwargs: dict
    reason: str


@dataclass(slots=True, eq=False)
class Piece:
    """What one call of the contract became.

    ``levels`` follow each other: lists of rows, or of one HostCall. ``workspaces`` are temporary arrays without memory
    so far."""

    name: str
    levels: list[list[Any]] = field(default_factory=list)
    workspaces: list[Array] = field(default_factory=list)


class Replay(Protocol):
    """A finished program, to be run again and again."""

    def run(self) -> None:
        """Do everything, in order; raises what a kernel's status says."""

    def parts(self) -> list[Callable[[], None]]:
        """The levels and host calls as functions, each of which does one."""

    def moved(self, storage: Storage) -> None:
        """The storage has another address than when the program was finished, or than at the last move."""

    def draw(self, seed: int, begins: dict[int, int]) -> None:
        """The random numbers of this run are those of ``seed``, from where each stream begins."""


class Assembly(Protocol):
    """Makes pieces of calls, and a Replay of pieces."""

    def call(self, name: str, args: Sequence, kwargs: dict) -> Piece:
        """The piece that a function of the contract becomes with these arguments."""

    def finish(self, levels: Sequence[Sequence[tuple[Piece, int]]], random: dict[Piece, tuple[int, int]]) -> Replay:
        """The program that does, level by level, the levels of pieces that are listed as (piece, number).

        ``random`` lists those that draw random numbers with the stream and how far behind its beginning. All storages
        have their addresses by now."""
