"""Calls that a thread remembers: what an op does with inputs that lie in given ways."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from numbanet.kernels.array import Array

MOST_REMEMBERED = 4096
"""Calls that a thread remembers; after so many it begins anew."""


class Call(Protocol):
    """What an op does, ready to be repeated with other inputs."""

    def run(self, arrays: Sequence[Array]) -> Sequence[Array] | None:
        """The outputs, in new memory; None if a kernel has stopped: only the op itself can say why."""


class Remembered(threading.local):
    """What each thread has of its own. Keys are the op, the number of threads, and the layouts of the inputs."""

    def __init__(self) -> None:
        self.calls: dict[tuple, Call] = {}

    def add(self, key: tuple, call: Call) -> None:
        """Remember a call."""
        if len(self.calls) >= MOST_REMEMBERED:
            self.calls.clear()
        self.calls[key] = call


remembered = Remembered()
