"""Processes that measure: one a library and number of threads, because two OpenMP runtimes in one spoil each other.

A worker builds a workload's step when told, times slices of it when told, and forgets it. Requests and answers are
lines of JSON on its standard input and output.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LEAST_SAMPLE = 2e-5
"""Seconds that a sample lasts at least: quicker steps are grouped, or the clock would be measured too."""
METER = "meter"


class WorkerError(RuntimeError):
    """A worker died."""


class Worker:
    """A child process, seen from the parent."""

    def __init__(self, python: str, library: str, threads: int, drawn: tuple[int, int] | None) -> None:
        self.name = f"{library} on {threads} threads"
        number = str(threads)
        environment = {
            **os.environ, "OMP_NUM_THREADS": number, "OPENBLAS_NUM_THREADS": number, "MKL_NUM_THREADS": number,
            "NUMBANET_NUM_THREADS": number,
        }  # fmt: skip
        command = [python, str(HERE / "worker.py"), library, number, *map(str, drawn or ())]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, **request: Any) -> Any:
        """The answer to a request. WorkerError if the process has died."""
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"{self.name} died with status {self.process.wait()}")
        return json.loads(line)

    def cpu_seconds(self) -> float:
        """Processor time that the worker has used; 0 where /proc does not say."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the process: its input ends."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


# --- inside the process ------------------------------------------------------------------------------------------
class Bench:
    """The steps that this process holds, and what it does with them."""

    def __init__(self, library: str, threads: int, drawn: tuple[int, int] | None) -> None:
        self._library, self._threads = library, threads
        self._workloads: dict[str, Any] = {}
        self._steps: dict[str, Any] = {}
        if library == "torch":
            import torch

            torch.set_num_threads(threads)
        elif library == METER:
            from meter import Meter

            self._meter = Meter(threads)
            return
        import workloads

        self._workloads = workloads.drawn(*drawn) if drawn else workloads.standard()

    def make(self, workload: str, side: str) -> dict[str, Any]:
        """Build a step and call it once; a side that cannot do it says why."""
        begin, compiled = time.perf_counter(), compile_seconds()
        try:
            step = self._workloads[workload].sides[side]()
            with step.context():
                returned = step.call()
        except Exception as error:  # whatever a library lacks: the report shows it
            return {"unavailable": f"{type(error).__name__}: {error}".split("\n")[0][:200]}
        first = time.perf_counter() - begin
        self._steps[side] = step
        result = returned if step.result is None else step.result()
        return {
            "first_step_s": first, "compile_s": compile_seconds() - compiled, "flops": step.flops,
            "digest": digest(result),
        }  # fmt: skip

    def slice(self, side: str, seconds: float) -> dict[str, float]:
        """Median and minimum seconds of a step, over as many as fit."""
        step = self._steps[side]
        with step.context():
            return time_slice(step.call, seconds)

    def drop(self) -> None:
        """Forget all steps."""
        self._steps.clear()
        gc.collect()

    def calibrate(self, nbytes: float) -> dict[str, dict[str, float]]:
        return self._meter.measure(nbytes)


def time_slice(call: Any, seconds: float, clock: Any = time.perf_counter) -> dict[str, float]:
    """Median and minimum seconds of a call in about ``seconds``, at least one; one before them does not count."""
    begin = clock()
    call()
    group = max(1, int(LEAST_SAMPLE / max(clock() - begin, 1e-9)))
    deadline, times = clock() + seconds, []
    while not times or clock() < deadline:
        begin = clock()
        for _ in range(group):
            call()
        times.append((clock() - begin) / group)
    return {"median": statistics.median(times), "min": min(times), "calls": len(times) * group}


def compile_seconds() -> float:
    """What this process has spent on compiling kernels, or loading them from the cache."""
    module = sys.modules.get("numbanet.kernels.cpu.kernel")
    if module is None:
        return 0.0
    driver = sys.modules["numbanet.kernels.cpu.driver"]
    kernels = sum(one.seconds for one in module.KERNELS.values())
    return kernels + driver.PARALLEL.seconds + driver.SERIAL.seconds


def digest(result: object) -> list[float]:
    """The mean absolute value of each array in a result: what the sides must agree on."""
    import numpy as np

    if result is None:
        return []
    if isinstance(result, tuple | list):
        return [number for one in result for number in digest(one)]
    array = np.asarray(result.detach().numpy() if hasattr(result, "detach") else result, np.float64)
    return [float(np.abs(array).mean())] if array.size else [0.0]


def serve(library: str, threads: int, *drawn: int) -> None:
    """Answer requests until the input ends. What a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    bench = Bench(library, threads, drawn)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(bench, request.pop("do"))(**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1], *map(int, sys.argv[2:]))
