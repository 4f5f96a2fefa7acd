"""Seconds until all kernels of a network's training step are ready: from an empty cache, and from a full one.

``python benchmarks/compile_time.py [NETWORK …]`` (default: resnet20). Each measurement is a fresh process that records
which kernels two steps need and makes them ready as ``numbanet train`` does, missing ones in processes side by side.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
COLD_LIMIT, WARM_LIMIT = 15.0, 1.0
"""What the engine is asked for: seconds from an empty cache, and from a full one."""
RECORDED_STEPS = 2
"""The second step updates an optimiser state that exists."""


def prepare(network: str) -> dict[str, float]:
    """Make the kernels ready in this process. Seconds of Numba's import, of recording, and of making them ready."""
    begin = time.perf_counter()
    from workloads.libraries import Numbanet
    from workloads.networks import training_step

    from numbanet.kernels.backend import load_backend

    backend, library = load_backend("cpu"), Numbanet()
    backend.program()  # imports Numba
    imported = time.perf_counter()
    with backend.recording() as kernels:
        step = training_step(library, network)
        for _ in range(RECORDED_STEPS):
            step.call()
    recorded = time.perf_counter()
    backend.compile(kernels)
    ready = time.perf_counter()
    return {
        "kernels": len(kernels), "import_s": imported - begin, "record_s": recorded - imported,
        "ready_s": ready - recorded,
    }  # fmt: skip


def measure(network: str, warm: int = 3) -> dict[str, dict[str, float]]:
    """``prepare`` in fresh processes: once with an empty cache, then with what that left (the quickest of several)."""

    def run(cache: str) -> dict[str, float]:
        environment = {**os.environ, "NUMBANET_CACHE_DIR": cache, "NUMBANET_BACKEND": "cpu"}
        command = [sys.executable, __file__, "--prepare", network]
        result = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(result.stdout.splitlines()[-1])

    with tempfile.TemporaryDirectory() as cache:
        cold = run(cache)
        return {"cold": cold, "warm": min((run(cache) for _ in range(warm)), key=lambda one: one["ready_s"])}


def text(network: str, found: dict[str, dict[str, float]]) -> str:
    """The two measurements and whether they meet what is asked."""
    lines = []
    for what, limit in (("cold", COLD_LIMIT), ("warm", WARM_LIMIT)):
        row = found[what]
        word = "holds" if row["ready_s"] <= limit else "FAILS"
        ready = f"{row['kernels']:.0f} kernels ready in {row['ready_s']:.2f} s (≤ {limit:g})"
        before = f"after {row['import_s']:.2f} s of imports and {row['record_s']:.2f} s of recording"
        lines.append(f"{word}  {network}, {what} cache: {ready}, {before}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    if sys.argv[1:2] == ["--prepare"]:
        print(json.dumps(prepare(sys.argv[2])))
    else:
        for name in sys.argv[1:] or ["resnet20"]:
            print(text(name, measure(name)))
