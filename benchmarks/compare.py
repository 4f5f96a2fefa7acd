"""Compare training steps with PyTorch's: ``python benchmarks/compare.py lenet5 [mlp …]``.

Each side runs in a process of its own (two OpenMP runtimes in one process spoil each other), the two take turns, and
a round is done again if the machine was disturbed: foreign load in /proc/stat, or a matrix product that ran clearly
slower than the best seen. Reported are medians and minima over the rounds and their ratios; a bar holds only if both
ratios hold it. ``--torch-python`` names an interpreter that has PyTorch if this one has not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOREIGN_LIMIT = 0.08
"""Share of the machine that other processes may use in a round."""
SLOW_LIMIT = 0.85
"""A calibration below this share of the best one seen disturbs a round."""
MOST_TRIES = 8
"""A round is repeated at most so often; the last try counts and is marked."""


# --- the worker: one side of one workload -----------------------------------------------------------------------------
def _calibrate() -> float:
    """GFLOP/s of a product of 384 × 384 matrices by NumPy: how fast the machine is now."""
    import numpy as np

    a = np.ones((384, 384), np.float32)
    begin = time.perf_counter()
    for _ in range(8):
        a @ a
    return 8 * 2 * 384**3 / (time.perf_counter() - begin) / 1e9


def work(side: str, workload: str, variant: str, threads: int) -> None:
    """Answer each line on standard input with the times of steps, as JSON."""
    sys.path.insert(0, str(HERE))
    from workloads import WORKLOADS

    if side == "torch":
        import torch

        torch.set_num_threads(threads)
        calibrate = None
    else:
        import numbanet

        numbanet.set_num_threads(threads)
        calibrate = _calibrate
    begin = time.perf_counter()
    step = WORKLOADS[workload][side][variant]()
    step()
    first = time.perf_counter() - begin
    print(json.dumps({"first_step_s": first}), flush=True)
    for line in sys.stdin:
        if line.strip() == "calibrate":
            print(json.dumps(calibrate() if calibrate else None), flush=True)
            continue
        deadline, times = time.perf_counter() + float(line), []
        while time.perf_counter() < deadline or len(times) < 10:
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), flush=True)


class Worker:
    """A child process that steps when asked."""

    def __init__(self, python: str, side: str, workload: str, variant: str, threads: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "NUMBANET_NUM_THREADS": str(threads)}
        command = [python, __file__, "--work", side, workload, variant, str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.first_step_s = self._answer()["first_step_s"]

    def ask(self, line: str) -> object:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> object:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker died: {' '.join(self.process.args[2:])}")
        return json.loads(line)

    def cpu_seconds(self) -> float:
        """Processor time that the worker has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


# --- the referee ---
def _busy_seconds() -> float:
    """Processor time that the whole machine has spent on anything but idling."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


class Referee:
    """Decides whether the machine was quiet."""

    def __init__(self, workers: list[Worker]) -> None:
        self._workers = workers
        self._best = 0.0
        self.foreign = self.calibration = 0.0

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Measure the foreign share of the machine over the body."""
        before, own, begin = _busy_seconds(), self._own_seconds(), time.perf_counter()
        yield
        elapsed = (time.perf_counter() - begin) * (os.cpu_count() or 1)
        foreign = (_busy_seconds() - before) - (self._own_seconds() - own)
        self.foreign = max(foreign, 0.0) / elapsed

    def _own_seconds(self) -> float:
        times = os.times()
        return times.user + times.system + sum(worker.cpu_seconds() for worker in self._workers)

    def quiet(self, calibration: float) -> bool:
        self.calibration, self._best = calibration, max(self._best, calibration)
        return self.foreign <= FOREIGN_LIMIT and calibration >= SLOW_LIMIT * self._best


def compare(workload: str, options: argparse.Namespace) -> dict:
    """Run the rounds of one workload; the record that is printed."""
    from workloads import WORKLOADS

    sides = [(side, variant) for side, variants in WORKLOADS[workload].items() for variant in variants]
    pythons = {"numbanet": sys.executable, "torch": options.torch_python or sys.executable}
    workers = {key: Worker(pythons[key[0]], key[0], workload, key[1], options.threads) for key in sides}
    referee = Referee(list(workers.values()))
    ours = next(worker for (side, _), worker in workers.items() if side == "numbanet")
    rounds: list[dict] = []
    for worker in workers.values():
        worker.ask("0.5")
    for number in range(options.rounds):
        for _ in range(MOST_TRIES):
            with referee.watch():
                times = {key: worker.ask(str(options.seconds)) for key, worker in workers.items()}
            quiet = referee.quiet(ours.ask("calibrate"))
            if quiet:
                break
            print(f"  round {number + 1}: disturbed (foreign {referee.foreign:.0%})", file=sys.stderr)
            time.sleep(2)
        rounds.append({"quiet": quiet, "foreign": referee.foreign, "calibration": referee.calibration, "times": times})
    for worker in workers.values():
        worker.close()
    return _summary(workload, options.threads, workers, rounds)


def _summary(workload: str, threads: int, workers: dict, rounds: list[dict]) -> dict:
    table = {}
    for key in workers:
        medians = [statistics.median(one["times"][key]) * 1e3 for one in rounds]
        minimum = min(min(one["times"][key]) for one in rounds) * 1e3
        table[" ".join(key)] = {
            "median_ms": statistics.median(medians), "min_ms": minimum, "round_medians_ms": medians,
            "first_step_s": workers[key].first_step_s,
        }  # fmt: skip
    ours = next(row for name, row in table.items() if name.startswith("numbanet"))
    others = [row for name, row in table.items() if name.startswith("torch")]
    return {
        "workload": workload, "threads": threads, "rounds": len(rounds),
        "disturbed_rounds": sum(not one["quiet"] for one in rounds), "rows": table,
        "ratio_of_medians": min(row["median_ms"] for row in others) / ours["median_ms"],
        "ratio_of_minima": min(row["min_ms"] for row in others) / ours["min_ms"],
    }  # fmt: skip


def _print(record: dict) -> None:
    print(
        f"{record['workload']}: {record['threads']} threads, {record['rounds']} rounds, "
        f"{record['disturbed_rounds']} of them disturbed"
    )
    for name, row in record["rows"].items():
        spread = f"{min(row['round_medians_ms']):.2f}–{max(row['round_medians_ms']):.2f}"
        print(f"  {name:24} median {row['median_ms']:7.3f} ms ({spread})  minimum {row['min_ms']:7.3f} ms")
    print(
        f"  numbanet is {record['ratio_of_medians']:.2f}× the faster other side by medians, "
        f"{record['ratio_of_minima']:.2f}× by minima"
    )


def main() -> None:
    """Parse the command line and compare."""
    if sys.argv[1:2] == ["--work"]:
        side, workload, variant, threads = sys.argv[2:6]
        work(side, workload, variant, int(threads))
        return
    sys.path.insert(0, str(HERE))
    from workloads import WORKLOADS

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("workloads", nargs="+", choices=sorted(WORKLOADS), metavar="WORKLOAD")
    parser.add_argument("--threads", type=int, default=2, help="threads on both sides (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=1.5, help="seconds a side a round (default 1.5)")
    parser.add_argument("--torch-python", help="an interpreter with PyTorch (default: this one)")
    parser.add_argument("--json", metavar="FILE", help="write the records to FILE")
    options = parser.parse_args()
    records = [compare(workload, options) for workload in options.workloads]
    for record in records:
        _print(record)
    if options.json:
        Path(options.json).write_text(json.dumps(records, indent=2))


if __name__ == "__main__":
    main()
