"""Programs put together on the NumPy back end: a list of calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from numbanet.kernels.array import Storage
from numbanet.kernels.assembly import HostCall, Piece
from numbanet.kernels.contract import CONTRACT
from numbanet.kernels.numpy import KERNELS, as_ndarray

REASON = "the numpy back end is a list of calls"


class NumpyAssembly:
    """Every call is a piece of one host call."""

    def call(self, name: str, args: Sequence, kwargs: dict) -> Piece:
        """The piece that a function of the contract becomes with these arguments."""
        return Piece(name, [[HostCall(name, KERNELS[name], list(args), kwargs, REASON)]])

    def finish(
        self, levels: Sequence[Sequence[tuple[Piece, int]]], random: dict[Piece, tuple[int, int]]
    ) -> NumpyReplay:
        """The calls in the order of their levels."""
        return NumpyReplay([call for level in levels for piece, at in level for call in piece.levels[at]], random)


class NumpyReplay:
    """A list of calls, whose arrays are looked at anew with each run: memory may have moved."""

    def __init__(self, calls: list[HostCall], random: dict[Piece, tuple[int, int]]) -> None:
        self.calls = calls
        self._random = [(call, *place) for piece, place in random.items() for (call,) in piece.levels]

    def run(self) -> None:
        """Do all calls in order."""
        for call in self.calls:
            run_host_call(call)

    def parts(self) -> list[Callable[[], None]]:
        """The calls as functions."""
        return [partial(run_host_call, call) for call in self.calls]

    def moved(self, storage: Storage) -> None:
        """Nothing to do: calls hold the storages themselves."""

    def draw(self, seed: int, begins: dict[int, int]) -> None:
        """The random numbers of this run are those of ``seed``, from where each stream begins."""
        for call, stream, offset in self._random:
            set_random_place(call, seed, begins[stream] + offset)


def run_host_call(call: HostCall) -> None:
    """Do a host call with its arrays as they lie now."""
    call.function(*map(as_ndarray, call.args), **{key: as_ndarray(value) for key, value in call.kwargs.items()})


def set_random_place(call: HostCall, seed: int, offset: int) -> None:
    """Write seed and offset into the arguments of a call of a random function."""
    names = list(CONTRACT[call.name].signature.parameters)
    for name, value in (("seed", seed), ("offset", offset)):
        if name in call.kwargs:
            call.kwargs[name] = value
        else:
            call.args[names.index(name)] = value
