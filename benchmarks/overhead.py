"""Microseconds a node of a thousand tiny ones, where arithmetic takes no time: replayed, eager, and PyTorch's eager.

``python benchmarks/overhead.py [--peer PYTHON]`` prints the table, PYTHON being an interpreter that has PyTorch (this
one by default). Each threading layer has a process of its own, and so has PyTorch.

- *replayed, one task*: a compiled chain of ReLUs of eight numbers, that passes leave as it is;
- *replayed, two a level*: two such chains side by side;
- *replayed, parallel*: a table of as many levels, each with two tasks that two threads share;
- *eager*: the chain itself, forward.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

NODES = 1000
LIMITS = {"replayed, one task": 0.2, "replayed, two a level": 0.2, "replayed, parallel": 1.0, "eager": 10.0}
"""What the graph executor is asked for."""
LAYERS = ("omp", "workqueue")


def microseconds(call: Callable[[], object], budget: float = 1.0) -> float:
    """Least time of a call, of as many as fit into the budget, by node."""
    best, ends = float("inf"), time.perf_counter() + budget
    while time.perf_counter() < ends:
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return best * 1e6 / NODES


def chain(x):
    """A thousand ReLUs one after the other."""
    for _ in range(NODES):
        x = x.relu()
    return x


def two_chains(x):
    """Five hundred times two ReLUs that do not depend on each other."""
    a = b = x
    for _ in range(NODES // 2):
        a, b = a.relu(), b.relu()
    return a, b


def compiled(function: Callable) -> Callable[[], object]:
    """A call of the compiled function, with a node for each op."""
    import numbanet
    from numbanet.graph import passes

    x, before = numbanet.randn(8), passes.PASSES
    replayed = numbanet.compile(function)
    passes.PASSES = ()
    try:
        for _ in range(3):
            replayed(x)
    finally:
        passes.PASSES = before
    (plan,) = replayed.plans
    if len(plan.calls) != NODES or plan.host_segments:
        raise RuntimeError(f"the plan should have {NODES} calls, all of them kernels, and has {len(plan.calls)}")
    return lambda: replayed(x)


def parallel_levels() -> Callable[[], object]:
    """A run of a thousand levels of two tasks each, in one parallel region."""
    from numbanet.kernels.array import Array
    from numbanet.kernels.backend import load_backend
    from numbanet.kernels.cpu.elementwise import Unary
    from numbanet.kernels.cpu.pointwise import FLOAT32
    from numbanet.kernels.cpu.replay import prepare_one_region, replay
    from numbanet.kernels.cpu.unary import relu

    backend = load_backend("cpu")
    program = backend.program()
    x = Array(backend.allocate(64), (8,), FLOAT32)
    for _ in range(NODES):
        program.append(relu, 2, Unary(x, x, 8, 0, None))  # the second task finds nothing to do
    prepare_one_region()
    table = program.finished_table()
    program.keep(x)
    table.choose(0, NODES)
    return lambda: (program, replay(table, 0, True, True))


def measure() -> dict[str, float]:
    """All figures of this library, in this process."""
    import numbanet

    x = numbanet.randn(8)
    with numbanet.no_grad():
        return {
            "replayed, one task": microseconds(compiled(chain)),
            "replayed, two a level": microseconds(compiled(two_chains)),
            "replayed, parallel": microseconds(parallel_levels()),
            "eager": microseconds(lambda: chain(x)),
        }


def measure_pytorch() -> dict[str, float]:
    """PyTorch's eager figure."""
    import torch

    x = torch.randn(8)
    with torch.no_grad():
        return {"eager": microseconds(lambda: chain(x))}


def table(found: dict[str, dict[str, float]]) -> str:
    """Rows by what is measured, a column a process."""
    lines = [f"{'µs a node':24}" + "".join(f"{name:>12}" for name in found) + f"{'asked':>9}"]
    for what, limit in LIMITS.items():
        cells = [f"{row[what]:12.3f}" if what in row else f"{'-':>12}" for row in found.values()]
        missed = any(row.get(what, 0) > limit for name, row in found.items() if name != "pytorch")
        lines.append(f"{what:24}" + "".join(cells) + f"{'≤ ' + format(limit, 'g'):>9}" + (" FAILS" if missed else ""))
    return "\n".join(lines)


def in_process(python: str, which: str, **environment: str) -> dict[str, float]:
    """One of the measurements in a process of its own."""
    command = [python, __file__, "--measure", which]
    result = subprocess.run(
        command, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    return json.loads(result.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", default=sys.executable, help="an interpreter that has PyTorch")
    parser.add_argument("--measure", choices=["numbanet", "pytorch"], help="measure in this process, print JSON")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure() if given.measure == "numbanet" else measure_pytorch()))
        return
    found = {
        layer: in_process(sys.executable, "numbanet", NUMBA_THREADING_LAYER=layer, NUMBANET_BACKEND="cpu")
        for layer in LAYERS
    }
    if given.peer != sys.executable or importlib.util.find_spec("torch"):
        found["pytorch"] = in_process(given.peer, "pytorch")
    print(table(found))


if __name__ == "__main__":
    main()
