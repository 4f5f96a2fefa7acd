"""A workload: the same computation, once for each side, as a step that is called again and again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from workloads.libraries import Numbanet, Torch


@dataclass(frozen=True)
class Step:
    """What one side does: ``call()`` inside ``context()``.

    ``result()`` is what it computed, for the comparison of the sides (None: what ``call`` returns)."""

    call: Callable[[], object]
    context: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext
    result: Callable[[], object] | None = None
    flops: float = 0.0


@dataclass(frozen=True)
class Workload:
    """One line of the report. The first side is ours; a side's name begins with the library it needs.

    ``flops`` and ``nbytes`` are what the computation needs at least: 2 a multiply-add, each array read or written
    once a pass. ``tolerance`` is by how much the sides' results may differ. ``bars`` names what else is asked of it."""

    name: str
    sides: Mapping[str, Callable[[], Step]]
    flops: float = 0.0
    nbytes: float = 0.0
    tolerance: float = 1e-3
    bars: tuple[str, ...] = field(default=())

    @property
    def family(self) -> str:
        return self.name.split("/", 1)[0]


def sides_of(make: Callable[..., Step], pictures: bool) -> dict[str, Callable[[], Step]]:
    """``make(library)`` for numbanet and for PyTorch, for pictures in both of its memory formats."""
    sides = {"numbanet": lambda: make(Numbanet())}
    if pictures:
        sides["torch NCHW"] = lambda: make(Torch())
        sides["torch channels_last"] = lambda: make(Torch(channels_last=True))
    else:
        sides["torch"] = lambda: make(Torch())
    return sides


def forward(call: Callable, arrays: Callable[[], list], pictures: bool) -> dict[str, Callable[[], Step]]:
    """``call(library, *tensors)`` without a graph, as for inference."""

    def make(library: object) -> Step:
        tensors = [library.tensor(array) for array in arrays()]
        return Step(lambda: call(library, *tensors), library.inference)

    return sides_of(make, pictures)


def gradient(
    call: Callable, arrays: Callable[[], list], wanted: tuple[int, ...], pictures: bool
) -> dict[str, Callable[[], Step]]:
    """The gradients of ``call(library, *tensors)`` for the tensors at the places ``wanted``, by autograd.

    The graph is made once and kept; a step walks it back."""

    def make(library: object) -> Step:
        tensors = [library.tensor(array, requires_grad=i in wanted) for i, array in enumerate(arrays())]
        output = call(library, *tensors)
        incoming = library.normal_like(output)
        leaves = [tensors[i] for i in wanted]
        return Step(lambda: library.gradients(output, leaves, incoming))

    return sides_of(make, pictures)


def both_ways(
    name: str,
    call: Callable,
    arrays: Callable[[], list],
    *,
    wanted: tuple[int, ...] = (0,),
    nbytes: tuple[float, float],
    pictures: bool = False,
    tolerance: float = 1e-3,
) -> list[Workload]:
    """A function of a memory-bound family forward and backward; ``nbytes`` are what either has to move."""
    return [
        Workload(f"{name}/forward", forward(call, arrays, pictures), nbytes=nbytes[0], tolerance=tolerance),
        Workload(f"{name}/backward", gradient(call, arrays, wanted, pictures), nbytes=nbytes[1], tolerance=tolerance),
    ]
