"""Peak memory of a training step beside PyTorch's, and what the plan said before it ran.

``python benchmarks/memory.py [--peer PYTHON] [--network resnet20] [--batch-size 128]``, PYTHON being an interpreter
that has PyTorch (this one by default). Each library has a process of its own: the most memory that was resident in
steps at the batch size, less what was resident after steps of a batch of one. The first steps, which are recorded, do
not count. Needs Linux.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
STEPS = 5
SHARE, ACCURACY = 0.7, 0.05
"""What is asked for: at most this share of PyTorch's memory; the plan's figure within this of what is allocated."""


def resident() -> int:
    """Bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def most_resident(call: Callable[[], object]) -> int:
    """The most that is in memory during a few calls."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    for _ in range(STEPS):
        call()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


def growth(make_step: Callable[[int], Callable[[], object]], batch: int) -> int:
    """Bytes by which steps of a batch exceed what is resident after steps of one sample."""
    small = make_step(1)
    for _ in range(STEPS):
        small()
    before = resident()
    step = make_step(batch)
    for _ in range(STEPS):
        step()
    return most_resident(step) - before


def measure(library: str, network: str, batch: int) -> dict[str, float]:
    """The growth in this process, and of ours also what the plan says of it."""
    from workloads.libraries import Numbanet, Torch
    from workloads.networks import training_step

    if library == "pytorch":
        return {"growth": growth(lambda size: training_step(Torch(), network, size).call, batch)}
    ours, steps = Numbanet(), []

    def make_step(size: int) -> Callable[[], object]:
        steps.append(ours.module.compile(training_step(ours, network, size).call))
        return steps[-1]

    from numbanet.graph.inspect import memory_of

    grown = growth(make_step, batch)
    # The first step and its network are still there, so all that the second one has is growth.
    return {"growth": grown, "plan": memory_of(steps[-1].plans[-1]).peak}


def text(ours: dict[str, float], theirs: dict[str, float] | None) -> str:
    """The figures in MB, and whether they are what is asked for."""
    lines = [f"numbanet {ours['growth'] / 1e6:8.1f} MB; the plan says {ours['plan'] / 1e6:.1f} MB"]
    off = abs(ours["growth"] / ours["plan"] - 1)
    lines.append(f"{'holds' if off <= ACCURACY else 'FAILS'}    the plan is off by {off:.1%} (≤ {ACCURACY:.0%})")
    if theirs is not None:
        share = ours["growth"] / theirs["growth"]
        lines.append(f"pytorch  {theirs['growth'] / 1e6:8.1f} MB")
        lines.append(f"{'holds' if share <= SHARE else 'FAILS'}    {share:.2f} of PyTorch's (≤ {SHARE:g})")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", default=sys.executable, help="an interpreter that has PyTorch")
    parser.add_argument("--network", default="resnet20")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--measure", choices=["numbanet", "pytorch"], help="measure in this process, print JSON")
    given = parser.parse_args()
    if given.measure:
        sys.path.insert(0, str(HERE))
        print(json.dumps(measure(given.measure, given.network, given.batch_size)))
        return

    def in_process(python: str, library: str) -> dict[str, float]:
        options = ["--network", given.network, "--batch-size", str(given.batch_size), "--measure", library]
        result = subprocess.run([python, __file__, *options], check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(result.stdout.splitlines()[-1])

    has_peer = given.peer != sys.executable or importlib.util.find_spec("torch")
    print(text(in_process(sys.executable, "numbanet"), in_process(given.peer, "pytorch") if has_peer else None))


if __name__ == "__main__":
    main()
