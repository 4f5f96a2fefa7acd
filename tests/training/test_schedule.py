"""Schedules: the shape of every kind, at its corners."""

from __future__ import annotations

import math

import pytest

from numbanet.training.config import SCHEDULES, Config
from numbanet.training.monitor import best_epoch, epochs_since_best, monitored
from numbanet.training.schedule import INDEPENDENT, Schedule, effect_of_epochs


@pytest.mark.parametrize("kind", [kind for kind in SCHEDULES if kind != "one_cycle"])
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


def test_multistep() -> None:
    config = Config(schedule="multistep", epochs=8, decay_factor=0.5)
    schedule = Schedule(config, steps_per_epoch=10)
    assert [schedule(step) for step in (0, 39, 40, 59, 60, 79)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    schedule = Schedule(config.replace(milestones=[2.5, 1]), steps_per_epoch=10)
    assert [schedule(step) for step in (9, 10, 24, 25)] == [1, 0.5, 0.5, 0.25]


def test_exponential() -> None:
    schedule = Schedule(Config(schedule="exponential", decay_epochs=2, decay_factor=0.25), steps_per_epoch=5)
    assert [schedule(step) for step in (0, 5, 10, 20)] == pytest.approx([1, 0.5, 0.25, 0.0625])


def test_polynomial() -> None:
    schedule = Schedule(Config(schedule="polynomial", epochs=2, final_lr=0.1), steps_per_epoch=10)
    assert [schedule(step) for step in (0, 10, 20, 30)] == pytest.approx([1, 0.1 + 0.9 * 0.25, 0.1, 0.1])
    schedule = Schedule(Config(schedule="polynomial", epochs=2, power=3.0), steps_per_epoch=10)
    assert schedule(5) == 0.75**3


def test_inverse_sqrt() -> None:
    schedule = Schedule(Config(schedule="inverse_sqrt", warmup_epochs=0.3), steps_per_epoch=10)
    assert [schedule(step) for step in (0, 3, 15)] == pytest.approx([0.25, 1, 0.5])


def test_one_cycle() -> None:
    schedule = Schedule(Config(schedule="one_cycle", epochs=10), steps_per_epoch=4)
    assert [schedule(step) for step in (0, 6, 12, 26, 40)] == pytest.approx([0.04, 0.52, 1, 0.5, 0])
    longer = Schedule(Config(schedule="one_cycle", epochs=10, warmup_epochs=5.0), steps_per_epoch=4)
    assert [longer(step) for step in (0, 10, 20, 30)] == pytest.approx([0.04, 0.52, 1, 0.5])


def test_plateau() -> None:
    schedule = Schedule(Config(schedule="plateau", patience=1, decay_factor=0.1, warmup_epochs=0.2), steps_per_epoch=5)
    rows, factors = [], []
    # lower; two that are not: it drops; two that are not: it drops; lower; one that is not
    for loss in (3.0, 2.0, 2.0, 2.5, 2.0, None, 1.0, 1.5):
        rows.append({"train_loss": 1.0, "validation_loss": loss})
        schedule.see(rows)
        factors.append(schedule(len(rows) * 5))
    assert factors == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01])
    assert schedule(0) == 0.5, "the warm-up is in front of it"


def test_what_is_monitored() -> None:
    assert monitored({"train_loss": 1.0}) == ("train_loss", 1.0)
    assert monitored({"train_loss": 1.0, "validation_loss": None}) == ("validation_loss", math.inf)
    rows = [{"train_loss": loss} for loss in (3.0, 1.0, 1.0, 2.0)]
    assert (best_epoch(rows), epochs_since_best(rows)) == (2, 2)
    assert (best_epoch([]), epochs_since_best([])) == (0, 0)


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
        assert ("jumps to the new curve" in word) == (kind not in INDEPENDENT)
    old = Config(schedule="multistep", milestones=[2, 3])
    assert "does not depend on it" in effect_of_epochs(old, old.replace(epochs=9))
