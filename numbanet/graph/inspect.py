"""Plans to look at: of a function that nothing is computed of, as rows of a table, and as a drawing's source."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numbanet.backends import current_backend
from numbanet.graph.capture import record
from numbanet.graph.compare import settle
from numbanet.graph.cost import bytes_of_call
from numbanet.graph.errors import GraphError
from numbanet.graph.lower import Call
from numbanet.graph.plan import Plan, make_plan, used_buffers
from numbanet.graph.structure import flatten
from numbanet.graph.trace import CONSTANT, EXTERNAL, GRADIENT_IN, INPUT, OUTLIVING
from numbanet.graph.watch import Watch
from numbanet.tensor import Tensor


def plan_of(function: Callable, *args: Any, recordings: int = 4) -> Plan:
    """The plan that the compiled function would have for these arguments.

    Where the back end can, the kernels do not run: the function is called for what it would do. Raises GraphError, as
    a compiled function does."""
    arguments: list[Tensor] = []
    flatten(args, arguments)
    backend = arguments[0]._array.storage.backend if arguments else current_backend()
    idle = backend.recording() if hasattr(backend, "recording") else contextlib.nullcontext()
    with idle:
        return recorded_plan(function, *args, recordings=recordings)


def recorded_plan(function: Callable, *args: Any, recordings: int = 4) -> Plan:
    """The plan of the function, which is called until two calls were alike. Raises GraphError."""
    arguments: list[Tensor] = []
    flatten(args, arguments)
    before = None
    for _ in range(recordings):
        _, trace = record(function, args, {}, arguments, Watch(function))
        if before is not None and settle(before, trace) is None:
            return make_plan(trace)
        before = trace
    raise GraphError("the function does something else with each call, so it has no plan")


@dataclass(frozen=True, slots=True)
class Line:
    """A call of the plan. ``last``: its last level; ``nbytes``: what it reads and writes."""

    level: int
    last: int
    call: Call
    shape: tuple[int, ...]
    nbytes: int

    @property
    def name(self) -> str:
        return self.call.name

    @property
    def kernels(self) -> list[str]:
        """The kernels that the back end has chosen for it, in their order; "host" for what it does on the host."""
        rows = [row for level in self.call.piece.levels for row in level]
        return [row.kernel.name if hasattr(row, "kernel") else "host" for row in rows]


def lines_of(plan: Plan) -> list[Line]:
    """The calls by level, in the order of the recording within one."""
    lines = []
    for call in plan.calls:
        last = call.level + max(1, len(call.piece.levels)) - 1
        shape = call.writes[0].shape if call.writes else ()
        lines.append(Line(call.level, last, call, shape, bytes_of_call(call)))
    return sorted(lines, key=lambda line: line.level)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a replay works with. ``peak`` is all of them: nothing else is allocated."""

    arena: int
    temporary: int  # what the arena's buffers would take side by side
    outside: int  # parameters, optimiser state, statistics, constants
    inputs: int
    outliving: int  # results and gradients

    @property
    def peak(self) -> int:
        return self.arena + self.outside + self.inputs + self.outliving


def memory_of(plan: Plan) -> Memory:
    """What the plan needs, known before it runs."""
    by_kind: dict[str, int] = {}
    for buffer in used_buffers(plan.calls):
        by_kind[buffer.kind] = by_kind.get(buffer.kind, 0) + buffer.nbytes
    return Memory(
        plan.arena_bytes,
        sum(lifetime.nbytes for _, _, lifetime in plan.arena),
        sum(by_kind.get(kind, 0) for kind in (EXTERNAL, CONSTANT, GRADIENT_IN)),
        by_kind.get(INPUT, 0),
        sum(by_kind.get(kind, 0) for kind in OUTLIVING),
    )


def dot_source(plan: Plan) -> str:
    """The plan in Graphviz's language: a box a call, a rank a level, an edge where one reads what another wrote."""
    text = ["digraph plan {", "  rankdir=TB; node [shape=box, fontname=Helvetica];"]
    writers: dict[int, list[int]] = {}
    ranks: dict[int, list[str]] = {}
    for number, call in enumerate(plan.calls):
        where = call.node.path or call.node.name
        shape = "x".join(map(str, call.writes[0].shape)) if call.writes else ""
        text.append(f'  n{number} [label="{call.name}\\n{where}\\n{shape}"];')
        ranks.setdefault(call.level, []).append(f"n{number}")
        sources = {writer for array in call.reads for writer in writers.get(id(array.storage), ())}
        text += [f"  n{source} -> n{number};" for source in sorted(sources - {number})]
        for array in call.writes:
            writers[id(array.storage)] = [number]
    text += [f"  {{ rank=same; {'; '.join(names)}; }}" for _, names in sorted(ranks.items())]
    return "\n".join([*text, "}", ""])
