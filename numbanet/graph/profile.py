"""Where the time of a compiled function goes: its calls one by one, level by level, as a table and as a trace."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from numbanet.graph.cost import bytes_of_call, flops_of_call
from numbanet.graph.executable import Executable
from numbanet.graph.inspect import recorded_plan
from numbanet.graph.lower import Call
from numbanet.graph.memory import Arena
from numbanet.graph.plan import Plan
from numbanet.graph.structure import flatten
from numbanet.kernels.assembly import Replay
from numbanet.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Timing:
    """A call with its median seconds, and when it began in the last replay, from that one's beginning."""

    call: Call
    seconds: float
    begin: float
    flops: int
    nbytes: int

    @property
    def gflops(self) -> float:
        """GFLOP/s."""
        return self.flops / max(self.seconds, 1e-12) / 1e9

    @property
    def gbytes(self) -> float:
        """GB/s."""
        return self.nbytes / max(self.seconds, 1e-12) / 1e9


@dataclass(frozen=True, slots=True)
class Profile:
    """The calls in the order of their levels; ``seconds``: the median of a whole replay as it usually is."""

    plan: Plan
    timings: list[Timing]
    seconds: float


class _Stopwatch:
    """A program that takes the time of each of its parts as it runs; all else is the program's."""

    def __init__(self, program: Replay) -> None:
        self._program = program
        self.runs: list[list[tuple[float, float]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._program, name)

    def run(self) -> None:
        """Do all parts, one after the other, and note (begin, seconds) of each."""
        times = []
        for part in self._program.parts():
            begin = time.perf_counter()
            part()
            times.append((begin, time.perf_counter() - begin))
        self.runs.append(times)


class _OneByOne(Executable):
    """A plan whose levels hold one call each."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(replace(plan, levels=[[one] for level in plan.levels for one in level]), Arena(), {})
        self.watch = self._program = _Stopwatch(self._program)


def profile(function: Callable, *args: Any, repeats: int = 20) -> Profile:
    """Call the function until it is recorded, then replay it so many times whole and so many times call by call.

    Raises GraphError where it cannot be replayed."""
    arguments: list[Tensor] = []
    flatten(args, arguments)
    plan = recorded_plan(function, *args)
    whole = Executable(plan, Arena(), {})
    seconds = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        whole.replay(arguments)
        seconds.append(time.perf_counter() - begin)
    single = _OneByOne(plan)
    for _ in range(repeats + 1):
        single.replay(arguments)
    return Profile(plan, _timings(plan, single.watch.runs[1:]), statistics.median(seconds[1:]))


def _timings(plan: Plan, runs: list[list[tuple[float, float]]]) -> list[Timing]:
    """The times of the parts, those of a call together."""
    owners = {id(call.piece): call for call in plan.calls}
    parts: dict[int, list[int]] = {}
    for number, (piece, _) in enumerate(one for level in plan.levels for one in level):
        parts.setdefault(id(piece), []).append(number)
    start, found = runs[-1][0][0], []
    for piece, numbers in parts.items():
        call = owners[piece]
        seconds = statistics.median([sum([run[number][1] for number in numbers]) for run in runs])
        begin = runs[-1][numbers[0]][0] - start
        found.append(Timing(call, seconds, begin, flops_of_call(call), bytes_of_call(call)))
    return found


def chrome_trace(found: Profile, name: str) -> dict[str, Any]:
    """The last replay in the form that Chrome's about:tracing and Perfetto read (times in microseconds)."""
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": f"numbanet: {name}"}}
    ]
    for one in sorted(found.timings, key=lambda timing: timing.begin):
        node = one.call.node
        shape = one.call.writes[0].shape if one.call.writes else ()
        args = {
            "module": node.module,
            "line": node.where,
            "level": one.call.level,
            "writes": list(shape),
            "flops": one.flops,
            "bytes": one.nbytes,
        }
        kind = "backward" if node.is_backward else "forward"
        event = {"name": one.call.name, "cat": kind, "ph": "X", "pid": 1, "tid": 1}
        events.append({**event, "ts": one.begin * 1e6, "dur": one.seconds * 1e6, "args": args})
    return {"traceEvents": events, "displayTimeUnit": "ms"}
