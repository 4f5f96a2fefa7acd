"""A recording of a new shape beside a settled one of another: where only extents differ, one recording is enough.

That a function does the same in each call was seen when two calls of the other shape were compared. Python has run once
more for the new one, for sizes are plain numbers that it computes with; what it gave to the same ops is taken for what
follows from the shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from numbanet.graph.compare import is_same, owner_of
from numbanet.graph.trace import CONSTANT, EXTERNAL, Buffer, Trace
from numbanet.kernels.array import Array
from numbanet.tensor_math import is_constant


class Settled(NamedTuple):
    """A trace, and what its buffers were found to be: the passes of its plan make constants of some."""

    trace: Trace
    kinds: list[str]

    @classmethod
    def of(cls, trace: Trace) -> Settled:
        return cls(trace, [buffer.kind for buffer in trace.buffers])


def settle_by_other_shape(model: Settled, trace: Trace) -> bool:
    """Say what the buffers of a trace are by a settled trace of another shape; False, and nothing changed, if the
    recordings differ in more than extents and numbers."""
    if not (_same_work(model.trace, trace) and _same_memory(model, trace) and _same_end(model, trace)):
        return False
    for old, kind, new in zip(model.trace.buffers, model.kinds, trace.buffers, strict=True):
        if kind != new.kind:
            new.kind = kind
            if kind == EXTERNAL:  # filled before it is read, and there before the call
                new.storage = old.storage
    trace.kept.clear()
    return True


def _same_work(model: Trace, trace: Trace) -> bool:
    """Whether the same ops are done to the same buffers."""
    return len(model.nodes) == len(trace.nodes) and all(
        type(old.op) is type(new.op)
        and list(map(_place, old.inputs)) == list(map(_place, new.inputs))
        and list(map(_place, old.outputs)) == list(map(_place, new.outputs))
        for old, new in zip(model.nodes, trace.nodes, strict=True)
    )


def _same_memory(model: Settled, trace: Trace) -> bool:
    """Whether the buffers are the same tensors, or constants, or made by the call, in both."""
    return len(model.kinds) == len(trace.buffers) and all(
        map(_same_buffer, model.trace.buffers, model.kinds, trace.buffers)
    )


def _same_buffer(old: Buffer, kind: str, new: Buffer) -> bool:
    if kind == CONSTANT:
        return new.kind == EXTERNAL
    if kind == EXTERNAL:
        if new.source() is old.storage:
            return True
        return new.kind == EXTERNAL and (new.key is old.key is not None or (_is_number(old) and _is_number(new)))
    return kind == new.kind and is_same(old.key, new.key)


def _is_number(buffer: Buffer) -> bool:
    """Whether an external buffer is a number of Python's."""
    return buffer.key is not None and is_constant(buffer.key)


def _same_end(model: Settled, trace: Trace) -> bool:
    """Whether the same is returned, left as gradients, drawn, updated and held."""
    other = model.trace
    return (
        all(model.kinds[buffer.number] == EXTERNAL for buffer in trace.kept)
        and other.result == trace.result
        and _places(other.returned) == _places(trace.returned)
        and _gradients(other) == _gradients(trace)
        and other.drawn.keys() == trace.drawn.keys()
        and other.reads == trace.reads
        and len(other.updates) == len(trace.updates)
    )


def _gradients(trace: Trace) -> list:
    return [(owner_of(one), *_places([one.array])) for one in trace.gradients]


def _place(array: Array) -> tuple:
    """A view without its extents."""
    return array.storage.number, array.dtype.num, len(array.shape)


def _places(leaves: Sequence[Any]) -> list:
    return [_place(one) if type(one) is Array else one for one in leaves]
