"""Nodes as calls of the contract: what each call reads and writes, and the piece of a program that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from numbanet.graph.trace import Node, Trace
from numbanet.kernels.array import Array, Storage
from numbanet.kernels.assembly import Assembly, HostCall, Piece
from numbanet.kernels.contract import CONTRACT


@dataclass(slots=True, eq=False)
class Call:
    """A call of a function of the contract with its arguments by name, in the contract's order.

    ``reads``: all arrays that it works with, ``writes``: those that it changes. ``level``: the first of the levels that
    its piece takes; ``place``: the random stream it draws from, and how far behind the point where that stood when the
    recorded call began."""

    name: str
    arguments: dict[str, Any]
    node: Node
    reads: list[Array] = field(default_factory=list)
    writes: list[Array] = field(default_factory=list)
    piece: Piece | None = None
    level: int = -1
    place: tuple[int, int] | None = None

    def with_arguments(self, **changes: Any) -> Call:
        """The same call with some arguments changed."""
        return make_call(self.name, {**self.arguments, **changes}, self.node, self.place)

    def with_storages(self, others: dict[Storage, Storage]) -> Call:
        """The same call with other memory in place of some."""
        made: dict[int, Array] = {}
        for array in self.reads:
            other = others.get(array.storage)
            if other is not None:
                strides = None if array.is_contiguous else array.strides
                made[id(array)] = Array(other, array.shape, array.dtype, strides, array.offset)

        def moved(value: Any) -> Any:
            return tuple(map(moved, value)) if type(value) in (tuple, list) else made.get(id(value), value)

        arguments = {name: moved(value) for name, value in self.arguments.items()}
        reads, writes = list(moved(self.reads)), list(moved(self.writes))
        return Call(self.name, arguments, self.node, reads, writes, place=self.place)

    @property
    def host_calls(self) -> list[HostCall]:
        """What Python has to do of it."""
        return [one for level in self.piece.levels for one in level if type(one) is HostCall]


class _Collector:
    """A program that notes the calls of the contract."""

    def __init__(self, node: Node, calls: list[Call]) -> None:
        self._node = node
        self._calls = calls

    def __getattr__(self, name: str) -> Callable:
        if name not in CONTRACT:
            raise AttributeError(
                f"{type(self._node.op).__name__} asks a program for {name!r}, which is no function of it"
            )

        def append(*args: Any, **kwargs: Any) -> None:
            bound = CONTRACT[name].signature.bind(*args, **kwargs)
            bound.apply_defaults()
            self._calls.append(make_call(name, bound.arguments, self._node))

        return append


def make_call(name: str, arguments: dict[str, Any], node: Node, place: tuple[int, int] | None = None) -> Call:
    """A call with the arrays that the contract says it reads and writes."""
    line, reads, writes = CONTRACT[name], [], []
    for argument, value in arguments.items():
        arrays = [array for array in arrays_in(value) if array.size]
        reads += arrays
        if arrays and line.is_written(argument):
            writes += arrays
    return Call(name, arguments, node, reads, writes, place=place)


def arrays_in(value: Any) -> Iterator[Array]:
    """The arrays in an argument: itself, or those of a tuple."""
    if type(value) is Array:
        yield value
    elif type(value) in (tuple, list):
        for one in value:
            yield from arrays_in(one)


def calls_of(node: Node) -> list[Call]:
    """The calls that the op's forward makes, each with the arrays it reads and writes."""
    calls: list[Call] = []
    outputs = node.outputs
    if node.op.mutates and not outputs:
        out: Any = None
    else:
        out = outputs[0] if len(outputs) == 1 and not _gives_tuple(node) else tuple(outputs)
    node.op.forward(_Collector(node, calls), out, *node.inputs)
    _trust_no_gap(node, calls)
    return calls


def _gives_tuple(node: Node) -> bool:
    """Whether the op has its outputs as a tuple, even if it is only one."""
    spec = node.op.infer(*node.inputs)
    return type(spec) is tuple


def _trust_no_gap(node: Node, calls: Sequence[Call]) -> None:
    """Take an op's outputs for written by all its calls if the contract does not say of one by which."""
    written = {id(array.storage) for call in calls for array in call.writes}
    changed = {id(array.storage) for array in node.written if array.size}
    if not changed <= written:
        for call in calls:
            call.writes += [array for array in call.reads if id(array.storage) in changed]


def place_of(call: Call, trace: Trace) -> tuple[int, int] | None:
    """Which random numbers of those that the recorded call drew this one takes; None if it takes none."""
    given = call.arguments
    if not {"seed", "stream", "offset"} <= given.keys() or given["seed"] != trace.seed:
        return None
    stream = given["stream"]
    offset = given["offset"] - trace.begins.get(stream, 0)
    return (stream, offset) if 0 <= offset < trace.drawn.get(stream, 0) else None


def lower(trace: Trace) -> list[Call]:
    """The calls of all nodes in order."""
    calls = [call for node in trace.nodes for call in calls_of(node)]
    for call in calls:
        call.place = place_of(call, trace)
    return calls


def make_pieces(calls: Sequence[Call], assembly: Assembly) -> None:
    """Give each call the piece of a program that it becomes."""
    for call in calls:
        call.piece = assembly.call(call.name, list(call.arguments.values()), {})
