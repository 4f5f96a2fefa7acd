"""Back ends by name: who allocates memory and who makes programs."""

from __future__ import annotations

import importlib
from typing import Protocol

from numbanet.kernels.array import Array, Storage
from numbanet.kernels.assembly import Assembly


class Program(Protocol):
    """A list of kernel calls: append by calling a function of the contract as a method, then run.

    ``program.relu(out, x)`` appends (what may raise for wrong arguments), ``program.run()`` does what was appended.
    ``program.clear()`` forgets it, so that one program serves eager execution again and again.
    """

    def run(self) -> None: ...

    def clear(self) -> None: ...


class Backend(Protocol):
    """What the layers above see of the hardware.

    A back end that ``remembers`` has one more method: ``remember(outs, arrays)`` makes a
    :class:`~numbanet.kernels.calls.Call` of what the eager program holds, or None."""

    name: str
    remembers: bool
    compile_seconds: float
    """The seconds that this process has waited for the compiler so far."""

    def allocate(self, nbytes: int) -> Storage:
        """A storage of nbytes bytes, 64-byte aligned, contents undefined."""

    def from_buffer(self, array) -> Array:
        """An Array that shares memory with an ndarray (copies where the back end cannot)."""

    def program(self) -> Program:
        """A new, empty program."""

    def assembly(self) -> Assembly:
        """A program to be put together from calls whose arrays get their memory later."""

    def eager(self) -> Program:
        """This thread's program for eager execution."""


BACKENDS = ("cpu", "numpy")
_loaded: dict[str, Backend] = {}


def load_backend(name: str) -> Backend:
    """The back end called ``name``, imported at first use. Raises ValueError for an unknown name."""
    if name not in _loaded:
        if name not in BACKENDS:
            raise ValueError(f"unknown back end {name!r}; there are: {', '.join(BACKENDS)}")
        _loaded[name] = importlib.import_module(f"numbanet.kernels.{name}").BACKEND
    return _loaded[name]
