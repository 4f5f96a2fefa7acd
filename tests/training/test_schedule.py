"""Schedules: the shape of every kind, at its corners."""

from __future__ import annotations

import pytest

from numbanet.training.config import SCHEDULES, Config
from numbanet.training.schedule import Schedule, effect_of_epochs


@pytest.mark.parametrize("kind", SCHEDULES)
def test_warm_up_rises_in_equal_steps_to_one(kind: str) -> None:
    schedule = Schedule(Config(schedule=kind, epochs=10, warmup_epochs=0.5), steps_per_epoch=8)
    assert [schedule(step) for step in range(5)] == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_cosine() -> None:
    schedule = Schedule(Config(schedule="cosine", epochs=10, final_lr=0.2), steps_per_epoch=10)
    assert schedule(0) == 1.0
    assert schedule(50) == pytest.approx(0.6)
    assert schedule(25) == pytest.approx(0.2 + 0.8 * (1 + 2**-0.5) / 2)
    assert schedule(100) == schedule(1000) == 0.2


def test_linear() -> None:
    schedule = Schedule(Config(schedule="linear", epochs=10), steps_per_epoch=10)
    assert [schedule(step) for step in (0, 25, 50, 100, 200)] == [1.0, 0.75, 0.5, 0.0, 0.0]


def test_step() -> None:
    config = Config(schedule="step", epochs=30, decay_epochs=10, decay_factor=0.5)
    schedule = Schedule(config, steps_per_epoch=3)
    assert [schedule(step) for step in (0, 29, 30, 59, 60, 89)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_constant() -> None:
    assert Schedule(Config(schedule="constant"), 7)(10**6) == 1.0


def test_warm_up_as_long_as_the_run() -> None:
    schedule = Schedule(Config(epochs=2, warmup_epochs=5.0), steps_per_epoch=4)
    assert all(0 < schedule(step) < 1 for step in range(8))


def test_word_on_changed_epochs() -> None:
    for kind in SCHEDULES:
        old = Config(schedule=kind, epochs=5)
        assert effect_of_epochs(old, old) is None
        word = effect_of_epochs(old, old.replace(epochs=9))
        assert word.startswith("epochs changed from 5 to 9")
        assert ("jumps to the new curve" in word) == (kind in ("cosine", "linear"))
