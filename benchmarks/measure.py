"""Rounds of one workload: short slices of all sides in turn, a calibration between any two of them.

The turns are short so that a machine that drifts slows both sides alike; the calibrations right before and right after
a slice say what the machine could do in it.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any

from referee import Referee
from worker import METER, Worker, WorkerError
from workloads.workload import Workload

PAUSE = 0.04
"""Seconds between slices: OpenBLAS's threads spin for 30 ms after their last product."""
MOST_TRIES = 3
"""A disturbed round is repeated until it has been tried so often; the quietest try counts and is marked."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    threads: int = 2
    single_thread: bool = False
    rounds: int = 5
    turns: int | None = None
    seconds: float | None = None
    tries: int = MOST_TRIES

    def of(self, workload: Workload) -> tuple[int, float]:
        """Turns a round, and seconds a slice: more for networks than for kernels."""
        network = workload.family in ("training", "inference", "compiled")
        return self.turns or (4 if network else 3), self.seconds or (0.25 if network else 0.1)


class Measurer:
    """Holds the workers and measures one workload after the other."""

    def __init__(self, plan: Plan, drawn: tuple[int, int] | None = None, torch_python: str | None = None) -> None:
        self._plan, self._drawn = plan, drawn
        self._torch_python = torch_python or sys.executable
        self._workers: dict[tuple[str, int], Worker] = {}
        self._referee = Referee(self._own_seconds)

    def close(self) -> None:
        """End the workers; those that are needed again are started again."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def check(self, workload: Workload) -> tuple[dict[str, str], dict[str, float]]:
        """Call each side once: why sides are not available, and by how much results differ that should not."""
        made, missing = self._make(workload, [(side, self._plan.threads) for side in workload.sides])
        self._drop()
        return {side: reason for (side, _), reason in missing.items()}, differences(made, workload.tolerance)

    def measure(self, workload: Workload) -> dict[str, Any]:
        """The record of a workload: what ``report`` works on."""
        counts = [self._plan.threads] + ([1] if self._plan.single_thread and self._plan.threads > 1 else [])
        keys = [(side, threads) for threads in counts for side in workload.sides]
        made, missing = self._make(workload, keys)
        flops = workload.flops or max((one["flops"] for one in made.values()), default=0.0)
        try:
            rounds = [self._round(workload, list(made)) for _ in range(self._plan.rounds)] if made else []
            self._drop()
        except WorkerError as error:  # this workload counts as not measured, the next ones have new workers
            rounds, missing, made = [], dict.fromkeys(keys, str(error)), {}
            self.close()
        amount = flops or workload.nbytes
        record = {
            "workload": workload.name, "family": workload.family, "bars": list(workload.bars), "flops": flops,
            "nbytes": workload.nbytes, "threads": self._plan.threads, "rounds": len(rounds),
            "disturbed_rounds": sum(not one["quiet"] for one in rounds),
            "tries": sum(one["tries"] for one in rounds), "ours": next(iter(workload.sides)),
            "unavailable": {side: reason for (side, threads), reason in missing.items() if threads == counts[0]},
            "sides": {}, "single": {}, "differences": differences(made, workload.tolerance),
        }  # fmt: skip
        for (side, threads), answer in made.items():
            place = "sides" if threads == self._plan.threads else "single"
            record[place][side] = summarise((side, threads), rounds, amount, bool(flops)) | {
                "first_step_s": answer["first_step_s"], "compile_s": answer["compile_s"]
            }  # fmt: skip
        return record

    def _drop(self) -> None:
        for (library, _), worker in self._workers.items():
            if library != METER:
                worker.ask(do="drop")

    def _make(self, workload: Workload, keys: list[tuple[str, int]]) -> tuple[dict, dict]:
        made, missing = {}, {}
        for side, threads in keys:
            try:
                answer = self._worker(library_of(side), threads).ask(do="make", workload=workload.name, side=side)
            except WorkerError as error:
                self._workers.pop((library_of(side), threads))
                answer = {"unavailable": str(error)}
            if "unavailable" in answer:
                missing[side, threads] = answer["unavailable"]
            else:
                made[side, threads] = answer
        return made, missing

    def _round(self, workload: Workload, keys: list[tuple[str, int]]) -> dict[str, Any]:
        """The quietest of several tries."""
        tried: list[dict[str, Any]] = []
        while len(tried) < self._plan.tries:
            tried.append(self._try(workload, keys))
            if tried[-1]["quiet"]:
                break
            time.sleep(0.5)
        best = max(tried, key=lambda one: (one["quiet"], one["calibration"] * (1 - one["foreign"])))
        return {**best, "tries": len(tried)}

    def _try(self, workload: Workload, keys: list[tuple[str, int]]) -> dict[str, Any]:
        turns, seconds = self._plan.of(workload)
        slices: dict[tuple[str, int], list[dict[str, Any]]] = {key: [] for key in keys}
        self._referee.begin()
        before = self._calibrate(workload)
        peaks = [before["peak"]["1"]]
        for turn in range(turns):
            for side, threads in keys[turn % len(keys) :] + keys[: turn % len(keys)]:
                answer = self._worker(library_of(side), threads).ask(do="slice", side=side, seconds=seconds)
                time.sleep(PAUSE)
                after = self._calibrate(workload)
                peaks.append(after["peak"]["1"])
                number = str(threads)
                for what in ("peak", "copy"):
                    both = [one[what][number] for one in (before, after) if number in one[what]]
                    answer[what] = statistics.mean(both) if both else 0.0
                slices[side, threads].append(answer)
                before = after
        foreign, calibration = self._referee.foreign(), statistics.median(peaks)
        quiet = self._referee.is_quiet(foreign, calibration)
        return {"slices": slices, "foreign": foreign, "calibration": calibration, "quiet": quiet}

    def _calibrate(self, workload: Workload) -> dict[str, dict[str, float]]:
        nbytes = 0 if workload.flops else workload.nbytes
        answer = self._worker(METER, self._plan.threads).ask(do="calibrate", nbytes=nbytes)
        self._referee.see(answer["peak"]["1"])
        return answer

    def _worker(self, library: str, threads: int) -> Worker:
        if (library, threads) not in self._workers:
            python = self._torch_python if library == "torch" else sys.executable
            self._workers[library, threads] = Worker(python, library, threads, self._drawn)
        return self._workers[library, threads]

    def _own_seconds(self) -> float:
        times = os.times()
        return times.user + times.system + sum(worker.cpu_seconds() for worker in self._workers.values())


def library_of(side: str) -> str:
    """``torch`` for ``torch NCHW`` and for ``compiled torch``."""
    return side.removeprefix("compiled ").split()[0]


def summarise(key: tuple[str, int], rounds: list[dict], amount: float, flops: bool) -> dict[str, Any]:
    """One side over the rounds: milliseconds, rate in G/s, share of what the machine could do at that moment."""
    medians = [statistics.median(one["median"] for one in round_["slices"][key]) for round_ in rounds]
    slices = [one for round_ in rounds for one in round_["slices"][key]]
    median = statistics.median(medians)
    yardstick = "peak" if flops else "copy"
    shares = [amount / one["median"] / 1e9 / one[yardstick] for one in slices if one[yardstick]]
    best = max((one[yardstick] for one in slices), default=0.0)
    least = min(one["min"] for one in slices)
    return {
        "median_ms": median * 1e3, "min_ms": least * 1e3,
        "round_medians_ms": [one * 1e3 for one in medians],
        "round_peaks": [statistics.median(one["peak"] for one in round_["slices"][key]) for round_ in rounds],
        "rate": amount / median / 1e9, "unit": "GFLOP/s" if flops else "GB/s",
        "share": statistics.median(shares) if shares else 0.0, "of": yardstick,
        "share_of_minimum": amount / least / 1e9 / best if best else 0.0,
        "calls": sum(one["calls"] for one in slices),
    }  # fmt: skip


def differences(made: dict[tuple[str, int], dict], tolerance: float) -> dict[str, float]:
    """Sides whose result is another than ours by more than the tolerance, relative: they measure something else."""
    found: dict[str, float] = {}
    ours = next(iter(made.values()), {}).get("digest", [])
    for (side, _), answer in made.items():
        worst = 0.0
        for a, b in zip(ours, answer["digest"], strict=False):
            worst = max(worst, abs(a - b) / max(abs(a), abs(b), 1e-6))
        if worst > tolerance or len(ours) != len(answer["digest"]):
            found[side] = worst
    return found
