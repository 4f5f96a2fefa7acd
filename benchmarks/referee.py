"""Whether the machine was quiet: foreign load, and the multiply-add calibration against the best seen lately."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

FOREIGN_LIMIT = 0.08
"""Share of the machine that other processes may use in a round."""
SLOW_LIMIT = 0.85
"""A round whose calibrations lie below this share of the best one seen lately is disturbed."""
LATELY = 180.0
"""Seconds for which a calibration is remembered: on shared machines the speed drifts for minutes, and what was best an
hour ago would condemn every round."""


def busy_seconds() -> float:
    """Processor time that the whole machine has spent on anything but idling; 0 where /proc does not say."""
    try:
        fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return 0.0
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


class Referee:
    """Judges rounds. ``own_seconds()`` is the processor time of the benchmark's own processes."""

    def __init__(
        self,
        own_seconds: Callable[[], float],
        busy: Callable[[], float] = busy_seconds,
        clock: Callable[[], float] = time.perf_counter,
        processors: int | None = None,
    ) -> None:
        self._own, self._busy, self._clock = own_seconds, busy, clock
        self._processors = processors or os.cpu_count() or 1
        self._seen: deque[tuple[float, float]] = deque()
        self._start = (0.0, 0.0, 0.0)

    def begin(self) -> None:
        """A round begins."""
        self._start = self._clock(), self._busy(), self._own()

    def foreign(self) -> float:
        """Share of the machine that others have used since ``begin``."""
        began, busy, own = self._start
        elapsed = (self._clock() - began) * self._processors
        foreign = (self._busy() - busy) - (self._own() - own)
        return max(foreign, 0.0) / elapsed if elapsed else 0.0

    def see(self, calibration: float) -> None:
        """Remember a calibration, GFLOP/s."""
        now = self._clock()
        self._seen.append((now, calibration))
        while self._seen[0][0] < now - LATELY:
            self._seen.popleft()

    @property
    def best(self) -> float:
        """The best calibration seen lately."""
        return max((speed for _, speed in self._seen), default=0.0)

    def is_quiet(self, foreign: float, calibration: float) -> bool:
        """Whether a round counts as undisturbed: its foreign share, and the median of its calibrations."""
        return foreign <= FOREIGN_LIMIT and calibration >= SLOW_LIMIT * self.best
