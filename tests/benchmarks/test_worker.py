"""Slices by a clock that a test turns, digests of results, and a process that answers."""

from __future__ import annotations

import dataclasses
import itertools
import sys

import numpy as np
import pytest
from measure import Measurer, Plan, differences, summarise
from worker import Worker, WorkerError, digest, time_slice

import numbanet


class Clock:
    """A clock that calls move on."""

    def __init__(self, *durations: float) -> None:
        self.now = 0.0
        self.durations = itertools.cycle(durations)

    def __call__(self) -> float:
        return self.now

    def call(self) -> None:
        self.now += next(self.durations)


def test_the_first_call_of_a_slice_does_not_count() -> None:
    clock = Clock(9.0, 1.0, 2.0, 3.0)
    assert time_slice(clock.call, 5.5, clock) == {"median": 2.0, "min": 1.0, "calls": 3}


def test_a_slice_has_at_least_one_call() -> None:
    clock = Clock(2.0)
    assert time_slice(clock.call, 0.1, clock) == {"median": 2.0, "min": 2.0, "calls": 1}


def test_quick_calls_are_grouped() -> None:
    clock = Clock(1e-6)
    found = time_slice(clock.call, 1e-3, clock)
    assert found["median"] == pytest.approx(1e-6)
    assert found["calls"] >= 900
    assert found["calls"] % 19 == 0 or found["calls"] % 20 == 0


def test_digest() -> None:
    assert digest(None) == []
    assert digest(np.array([-1.0, 3.0])) == [2.0]
    assert digest((numbanet.tensor([2.0, -2.0], requires_grad=True), [np.zeros(0)])) == [2.0, 0.0]


def test_differences() -> None:
    made = {("numbanet", 2): {"digest": [1.0, 2.0]}, ("torch", 2): {"digest": [1.0005, 2.0]}}
    assert differences(made, 1e-3) == {}
    assert differences(made, 1e-4) == {"torch": pytest.approx(5e-4, rel=1e-2)}
    assert "torch" in differences({**made, ("torch", 2): {"digest": [1.0]}}, 1e-3)
    assert differences({}, 1e-3) == {}


def test_summarise() -> None:
    """Two rounds of two slices: 1 GFLOP in 10, 20 | 40, 20 ms, at a peak of 200 | 100 GFLOP/s."""

    def one(seconds: float, peak: float) -> dict:
        return {"median": seconds, "min": seconds, "calls": 1, "peak": peak, "copy": 0.0}

    key = ("numbanet", 2)
    rounds = [{"slices": {key: [one(0.01, 200), one(0.02, 200)]}}, {"slices": {key: [one(0.04, 100), one(0.02, 100)]}}]
    found = summarise(key, rounds, 1e9, flops=True)
    assert found["round_medians_ms"] == pytest.approx([15.0, 30.0])
    assert found["median_ms"] == pytest.approx(22.5)
    assert found["min_ms"] == pytest.approx(10.0)
    assert (found["unit"], found["of"]) == ("GFLOP/s", "peak")
    assert found["share"] == pytest.approx((0.25 + 0.5) / 2)
    assert found["share_of_minimum"] == pytest.approx(0.5)
    assert found["round_peaks"] == [200, 100]


def test_a_process_measures() -> None:
    worker = Worker(sys.executable, "numpy", 1, None)
    made = worker.ask(do="make", workload="gemm/square/32", side="numpy")
    assert made["digest"][0] > 0
    assert worker.ask(do="slice", side="numpy", seconds=0.01)["min"] > 0
    assert "unavailable" in worker.ask(do="make", workload="gemm/square/33", side="numpy")
    assert worker.ask(do="drop") is None
    assert worker.cpu_seconds() >= 0
    worker.close()
    assert worker.process.returncode == 0


def test_a_process_knows_drawn_shapes() -> None:
    import workloads

    name = next(name for name in workloads.drawn(3, 20) if name.startswith("gemm"))
    worker = Worker(sys.executable, "numpy", 1, (3, 20))
    assert "digest" in worker.ask(do="make", workload=name, side="numpy")
    worker.close()


def test_a_process_that_died_is_an_error() -> None:
    worker = Worker(sys.executable, "numpy", 1, None)
    worker.process.kill()
    with pytest.raises(WorkerError, match="numpy on 1 threads died"):
        worker.ask(do="drop")


def test_a_workload_whose_worker_dies_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    import workloads

    measurer = Measurer(Plan(threads=1, rounds=1))
    calibration = {"peak": {"1": 90.0}, "copy": {"1": 10.0}}
    monkeypatch.setattr(measurer, "_calibrate", lambda workload: calibration)
    workload = workloads.standard()["gemm/square/32"]
    numpy_only = dataclasses.replace(workload, sides={"numpy": workload.sides["numpy"]})
    ask = Worker.ask

    def die(worker: Worker, **request: object) -> object:
        if request["do"] == "slice":
            worker.process.kill()
        return ask(worker, **request)

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "ask", die)
        record = measurer.measure(numpy_only)
    assert "died" in record["unavailable"]["numpy"]
    assert record["sides"] == {}
    assert measurer.measure(numpy_only)["sides"]["numpy"]["min_ms"] > 0
    measurer.close()
