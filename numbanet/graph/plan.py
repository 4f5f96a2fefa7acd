"""A recorded function made ready: fewer calls, in levels, an arena for what is temporary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from numbanet.backends import current_backend
from numbanet.graph.arena import Lifetime, lay_out
from numbanet.graph.errors import GraphError
from numbanet.graph.levels import arrange, mark_lifetimes
from numbanet.graph.lower import Call, lower, make_pieces
from numbanet.graph.passes import optimise
from numbanet.graph.trace import Buffer, Trace

if TYPE_CHECKING:
    from numbanet.kernels.array import Array, Storage
    from numbanet.kernels.assembly import Assembly, Piece
    from numbanet.kernels.backend import Backend


@dataclass(slots=True, eq=False)
class Plan:
    """``levels`` lists (piece, number of its level); ``arena`` each temporary storage with its offset and lifetime."""

    trace: Trace
    backend: Backend
    assembly: Assembly
    calls: list[Call]
    levels: list[list[tuple[Piece, int]]]
    arena: list[tuple[Storage, int, Lifetime]]
    arena_bytes: int

    @property
    def host_segments(self) -> list[tuple[Call, str]]:
        """Calls that Python does, with the reason of each."""
        return [(call, host.reason) for call in self.calls for host in call.host_calls]


def make_plan(trace: Trace) -> Plan:
    """Lower, optimise, arrange in levels, and lay out the memory."""
    backend = _backend_of(trace)
    assembly = backend.assembly()
    calls = optimise(lower(trace), backend)
    make_pieces(calls, assembly)
    levels = arrange(calls)
    temporary = [
        (workspace, Lifetime(workspace.nbytes, first, last)) for workspace, first, last in mark_lifetimes(calls)
    ]
    mine = [buffer for buffer in used_buffers(calls) if buffer.is_temporary]
    temporary += [(buffer, Lifetime(buffer.nbytes, buffer.first, buffer.last)) for buffer in mine]
    layout = lay_out([lifetime for _, lifetime in temporary])
    arena = [(one, at, life) for (one, life), at in zip(temporary, layout.offsets, strict=True)]
    return Plan(trace, backend, assembly, calls, levels, arena, layout.nbytes)


def _backend_of(trace: Trace) -> Backend:
    """The one back end of all nodes; where there is none, that of new tensors."""
    backends = {id(buffer.backend): buffer.backend for buffer in trace.buffers}
    if len(backends) > 1:
        raise GraphError("a compiled function works with tensors of one back end")
    return next(iter(backends.values()), None) or current_backend()


def used_buffers(calls: list[Call], others: Sequence[Array] = ()) -> list[Buffer]:
    """The buffers that calls read or write, and those of other arrays, each once, in the order of their numbers."""
    found = {id(array.storage): array.storage for call in calls for array in (*call.reads, *call.writes)}
    found |= {id(array.storage): array.storage for array in others}
    return sorted((one for one in found.values() if isinstance(one, Buffer)), key=lambda buffer: buffer.number)
