"""Rounds are judged by what others used of the machine, and by its speed against the best seen lately."""

from __future__ import annotations

import pytest
from referee import FOREIGN_LIMIT, LATELY, SLOW_LIMIT, Referee


class Machine:
    """A clock and counters of processor time that a test turns."""

    def __init__(self) -> None:
        self.now = self.busy = self.own = 0.0

    def referee(self) -> Referee:
        return Referee(lambda: self.own, lambda: self.busy, lambda: self.now, processors=2)

    def run(self, seconds: float, own: float, foreign: float) -> None:
        """Let time pass in which we use ``own`` seconds of processors and others ``foreign``."""
        self.now += seconds
        self.own += own
        self.busy += own + foreign


def test_foreign_share() -> None:
    machine = Machine()
    referee = machine.referee()
    machine.run(5, 5, 5)
    referee.begin()
    machine.run(10, own=15, foreign=4)
    assert referee.foreign() == pytest.approx(0.2)
    referee.begin()
    machine.run(10, own=15, foreign=-0.5)  # counters are coarse
    assert referee.foreign() == 0


def test_no_time_no_foreign_share() -> None:
    referee = Machine().referee()
    referee.begin()
    assert referee.foreign() == 0


def test_quiet_rounds() -> None:
    referee = Machine().referee()
    referee.see(100.0)
    assert referee.is_quiet(0.0, 100 * SLOW_LIMIT)
    assert not referee.is_quiet(0.0, 100 * SLOW_LIMIT - 1)
    assert referee.is_quiet(FOREIGN_LIMIT, 100.0)
    assert not referee.is_quiet(FOREIGN_LIMIT + 0.01, 100.0)


def test_only_what_was_seen_lately_counts() -> None:
    """A machine that got slower for good is not disturbed for ever."""
    machine = Machine()
    referee = machine.referee()
    referee.see(100.0)
    machine.run(LATELY / 2, 0, 0)
    referee.see(60.0)
    assert not referee.is_quiet(0.0, 60.0)
    machine.run(LATELY / 2 + 1, 0, 0)
    referee.see(59.0)
    assert referee.best == 60.0
    assert referee.is_quiet(0.0, 60.0)
