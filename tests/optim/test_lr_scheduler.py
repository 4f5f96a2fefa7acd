"""Learning-rate schedules against tables worked out by hand."""

from __future__ import annotations

import copy
import json
import math
import warnings

import pytest

import numbanet as nb
from numbanet import nn, optim
from numbanet.optim import lr_scheduler as lrs


def make_optimizer(*rates):
    groups = [{"params": [nn.Parameter(nb.ones(1))], "lr": rate} for rate in rates or (1.0,)]
    return optim.SGD(groups, lr=1.0)


def rates_of(scheduler, epochs):
    """The first group's rate at epochs 0 … epochs − 1."""
    seen = []
    for _ in range(epochs):
        seen.append(scheduler.optimizer.param_groups[0]["lr"])
        assert scheduler.get_last_lr()[0] == seen[-1]
        scheduler.optimizer.step()
        scheduler.step()
    return seen


ROOT = math.sqrt(0.5)

# Base rate 1; the values of epochs 0, 1, 2, …
TABLES = {
    "step": (lambda o: lrs.StepLR(o, 3), [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]),
    "step of one": (lambda o: lrs.StepLR(o, 1, gamma=0.5), [1, 0.5, 0.25, 0.125]),
    "multi-step": (lambda o: lrs.MultiStepLR(o, [4, 2]), [1, 1, 0.1, 0.1, 0.01, 0.01]),
    "multi-step, one twice": (lambda o: lrs.MultiStepLR(o, [1, 1, 3], gamma=0.5), [1, 0.25, 0.25, 0.125]),
    "exponential": (lambda o: lrs.ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125]),
    "constant": (lambda o: lrs.ConstantLR(o), [1 / 3, 1 / 3, 1 / 3, 1 / 3, 1 / 3, 1, 1]),
    "constant, given": (lambda o: lrs.ConstantLR(o, factor=0.5, total_iters=2), [0.5, 0.5, 1, 1]),
    "linear": (lambda o: lrs.LinearLR(o, start_factor=0.5, total_iters=4), [0.5, 0.625, 0.75, 0.875, 1, 1]),
    "linear down": (
        lambda o: lrs.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=4),
        [1, 0.75, 0.5, 0.25, 0, 0, 0],
    ),
    "polynomial": (lambda o: lrs.PolynomialLR(o, total_iters=4, power=2), [1, 0.5625, 0.25, 0.0625, 0, 0]),
    "linear decay": (lambda o: lrs.PolynomialLR(o, total_iters=2), [1, 0.5, 0, 0]),
    "cosine": (
        lambda o: lrs.CosineAnnealingLR(o, T_max=4),
        [1, (1 + ROOT) / 2, 0.5, (1 - ROOT) / 2, 0, (1 - ROOT) / 2, 0.5, (1 + ROOT) / 2, 1, (1 + ROOT) / 2],
    ),
    "cosine to a minimum": (lambda o: lrs.CosineAnnealingLR(o, T_max=2, eta_min=0.2), [1, 0.6, 0.2, 0.6, 1, 0.6]),
    "inverse square root": (
        lambda o: lrs.InverseSquareRootLR(o, warmup=4),
        [0.25, 0.5, 0.75, 1, math.sqrt(4 / 5), math.sqrt(4 / 6), math.sqrt(4 / 7), ROOT],
    ),
    "inverse square root from the first step": (lambda o: lrs.InverseSquareRootLR(o), [1, ROOT, math.sqrt(1 / 3), 0.5]),
    "one cycle": (
        lambda o: lrs.OneCycleLR(o, 2.0, 10, pct_start=0.3, anneal_strategy="linear", cycle_momentum=False),
        [0.08, 1.04, 2, *[2 - k * (2 - 8e-6) / 7 for k in range(1, 7)]],
    ),
    "one cycle, cosine": (
        lambda o: lrs.OneCycleLR(o, 1.0, 7, pct_start=3 / 7, div_factor=2, final_div_factor=5, cycle_momentum=False),
        [0.5, 0.75, 1, 0.55 + 0.45 * ROOT, 0.55, 0.55 - 0.45 * ROOT],
    ),
    "lambda": (lambda o: lrs.LambdaLR(o, lambda epoch: 1 / (1 + epoch)), [1, 1 / 2, 1 / 3, 1 / 4]),
    "warm-up, then cosine": (
        lambda o: lrs.SequentialLR(
            o, [lrs.LinearLR(o, start_factor=0.25, total_iters=3), lrs.CosineAnnealingLR(o, T_max=4)], [3]
        ),
        [0.25, 0.5, 0.75, 1, (1 + ROOT) / 2, 0.5, (1 - ROOT) / 2, 0],
    ),
    "three in a row": (
        lambda o: lrs.SequentialLR(
            o,
            [lrs.ConstantLR(o, factor=0.1, total_iters=9), lrs.ExponentialLR(o, 0.5), lrs.LambdaLR(o, lambda e: 7 + e)],
            milestones=[2, 5],
        ),
        [0.1, 0.1, 1, 0.5, 0.25, 7, 8, 9],
    ),
    "one within another": (
        lambda o: lrs.SequentialLR(
            o,
            [
                lrs.ConstantLR(o, factor=0.5, total_iters=9),
                lrs.SequentialLR(o, [lrs.LinearLR(o, 0.5, total_iters=1), lrs.ExponentialLR(o, 0.1)], [2]),
            ],
            milestones=[2],
        ),
        [0.5, 0.5, 0.5, 1, 1, 0.1, 0.01],
    ),
    "begins with the second": (
        lambda o: lrs.SequentialLR(o, [lrs.ConstantLR(o, factor=0.5), lrs.ExponentialLR(o, 0.1)], milestones=[0]),
        [1, 0.1, 0.01],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_values(name):
    make, expected = TABLES[name]
    assert rates_of(make(make_optimizer()), len(expected)) == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    "make",
    [
        lambda o: lrs.StepLR(o, 7, 0.3),
        lambda o: lrs.MultiStepLR(o, [3, 9, 9, 20], 0.3),
        lambda o: lrs.ExponentialLR(o, 0.93),
        lambda o: lrs.ConstantLR(o, 0.3, 11),
        lambda o: lrs.LinearLR(o, 0.1, 0.7, 13),
        lambda o: lrs.PolynomialLR(o, 30, 0.9),
        lambda o: lrs.CosineAnnealingLR(o, 17, 1e-3),
        lambda o: lrs.InverseSquareRootLR(o, 9),
    ],
    ids=lambda make: type(make(make_optimizer())).__name__,
)
def test_steps_agree_with_the_formula_in_every_group(make):
    optimizer = make_optimizer(0.3, 2.0)
    scheduler = make(optimizer)
    for epoch in range(60):
        expected = [scheduler.lr_at(base, epoch) for base in (0.3, 2.0)]
        assert scheduler.get_last_lr() == pytest.approx(expected, rel=1e-9, abs=1e-12), epoch
        optimizer.step()
        scheduler.step()


def test_one_cycle_turns_the_momentum():
    momentum_of = {"SGD": lambda group: group["momentum"], "Adam": lambda group: group["betas"][0]}
    for name, read in momentum_of.items():
        options = {"momentum": 0.9} if name == "SGD" else {"betas": (0.9, 0.7)}
        optimizer = getattr(optim, name)([nn.Parameter(nb.ones(1))], lr=1.0, **options)
        scheduler = lrs.OneCycleLR(optimizer, [1.0], 6, pct_start=0.5, anneal_strategy="linear")
        group, seen = optimizer.param_groups[0], []
        for _ in range(6):
            seen.append(read(group))
            optimizer.step()
            if len(seen) < 6:
                scheduler.step()
        assert seen == pytest.approx([0.95, 0.9, 0.85, 0.85 + 0.1 / 3, 0.85 + 0.2 / 3, 0.95])
        with pytest.raises(ValueError, match="Tried to step 7 times. The specified number of total steps is 6"):
            scheduler.step()


def test_plateau():
    optimizer = make_optimizer(1.0, 0.3)
    scheduler = lrs.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, threshold=0.1, cooldown=1, min_lr=0.2)
    rates = []
    # better; twice not by a tenth: it falls; one to cool down; twice worse: it falls; better while it cools; twice not
    for metric in (1.0, 0.95, 2.0, 2.0, 2.0, math.nan, 0.5, 0.5, 0.5):
        scheduler.step(metric)
        rates.append([group["lr"] for group in optimizer.param_groups])
        assert scheduler.get_last_lr() == rates[-1]
    one, half, quarter = [1.0, 0.3], [0.5, 0.2], [0.25, 0.2]
    assert rates == [one, one, half, half, half, quarter, quarter, quarter, [0.2, 0.2]]


@pytest.mark.parametrize("options", [{}, {"mode": "max", "patience": 0, "threshold_mode": "abs", "threshold": 0.5}])
def test_plateau_goes_on_from_saved_state(options):
    metrics = [1.0, 1.0, 2.0, 3.0, 1.0, 1.0, 0.3, 0.3, 0.3, 0.3] * 3
    one, other = make_optimizer(), make_optimizer()
    alone = lrs.ReduceLROnPlateau(one, **{"patience": 2, **options})
    again = lrs.ReduceLROnPlateau(other, **{"patience": 2, **options})
    for metric in metrics[:13]:
        alone.step(metric)
    again.load_state_dict(json.loads(json.dumps(alone.state_dict())))
    other.load_state_dict(one.state_dict())
    for metric in metrics[13:]:
        alone.step(metric)
        again.step(nb.tensor(metric))
        assert one.param_groups[0]["lr"] == other.param_groups[0]["lr"]
    assert one.param_groups[0]["lr"] < 0.1


def test_functions_of_their_own_for_groups():
    optimizer = make_optimizer(1.0, 10.0)
    scheduler = lrs.LambdaLR(optimizer, [lambda epoch: epoch, lambda epoch: epoch * 0.5])
    optimizer.step()
    scheduler.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [2.0, 10.0]
    with pytest.raises(ValueError, match="Expected 2 lr_lambdas, but got 1"):
        lrs.LambdaLR(optimizer, [lambda epoch: 1])


def test_two_schedules_on_one_optimizer_multiply():
    optimizer = make_optimizer()
    first, second = lrs.ExponentialLR(optimizer, 0.5), lrs.StepLR(optimizer, 2, 0.1)
    seen = []
    for _ in range(5):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        first.step()
        second.step()
    assert seen == pytest.approx([1, 0.5, 0.025, 0.0125, 0.000625], rel=1e-12)


def test_a_rate_set_by_hand_is_scaled_from_there():
    optimizer = make_optimizer()
    scheduler = lrs.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 8.0
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 4.0


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("stop", [1, 3])
def test_going_on_from_saved_state(name, stop):
    make, expected = TABLES[name]
    optimizer = make_optimizer()
    scheduler = make(optimizer)
    rates_of(scheduler, stop)
    state, optimizer_state = json.loads(json.dumps(scheduler.state_dict())), optimizer.state_dict()
    other = make_optimizer()
    again = make(other)
    other.load_state_dict(optimizer_state)
    kept = copy.deepcopy(state)
    again.load_state_dict(state)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rest = rates_of(again, len(expected) - stop)
    assert rest == rates_of(scheduler, len(expected) - stop), "the very same bits"
    assert rest == pytest.approx(expected[stop:], rel=1e-12, abs=1e-15)
    assert state == kept, "loading does not change what is loaded"


def test_state_of_callable_objects():
    class Decay:
        def __init__(self, rate):
            self.rate = rate

        def __call__(self, epoch):
            return self.rate**epoch

    scheduler = lrs.LambdaLR(make_optimizer(), Decay(0.5))
    state = scheduler.state_dict()
    assert state["lr_lambdas"] == [{"rate": 0.5}]
    other = lrs.LambdaLR(make_optimizer(), Decay(0.9))
    other.load_state_dict(state)
    assert other.lr_lambdas[0].rate == 0.5


def test_last_epoch_goes_on():
    optimizer = make_optimizer()
    with pytest.raises(KeyError, match=r"param 'initial_lr' is not specified in param_groups\[0\]"):
        lrs.StepLR(optimizer, 2, last_epoch=3)
    first = lrs.CosineAnnealingLR(optimizer, T_max=10)
    rates_of(first, 4)
    again = lrs.CosineAnnealingLR(optimizer, T_max=10, last_epoch=3)
    assert again.last_epoch == 4
    assert again.get_last_lr() == first.get_last_lr()
    optimizer.step()
    again.step()
    assert again.get_last_lr()[0] == pytest.approx((1 + math.cos(math.pi * 0.5)) / 2, rel=1e-12)


def test_stepping_before_the_optimizer_warns():
    scheduler = lrs.StepLR(make_optimizer(), 2)
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: lrs.StepLR(None, 2), TypeError, "NoneType is not an Optimizer"),
        (lambda o: lrs.LambdaLR(3, abs), TypeError, "int is not an Optimizer"),
        (lambda o: lrs.StepLR(o, 0), ValueError, "step_size must be positive, but got 0"),
        (lambda o: lrs.CosineAnnealingLR(o, 0), ValueError, "T_max must be positive, but got 0"),
        (lambda o: lrs.PolynomialLR(o, 0), ValueError, "total_iters must be positive, but got 0"),
        (lambda o: lrs.ConstantLR(o, factor=1.5), ValueError, "factor expected to be between 0 and 1"),
        (lambda o: lrs.LinearLR(o, start_factor=0), ValueError, "Starting multiplicative factor expected"),
        (lambda o: lrs.LinearLR(o, end_factor=-1), ValueError, "Ending multiplicative factor expected to be between"),
        (lambda o: lrs.InverseSquareRootLR(o, 0), ValueError, "warmup must be positive, but got 0"),
        (lambda o: lrs.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1.0"),
        (lambda o: lrs.ReduceLROnPlateau(o, "least"), ValueError, "mode least is unknown"),
        (lambda o: lrs.ReduceLROnPlateau(o, threshold_mode="no"), ValueError, "threshold mode no is unknown"),
        (lambda o: lrs.ReduceLROnPlateau(o, min_lr=[1, 2]), ValueError, "expected 1 min_lrs, got 2"),
        (lambda o: lrs.OneCycleLR(o, 1.0), ValueError, "You must define either total_steps OR"),
        (lambda o: lrs.OneCycleLR(o, 1.0, 0), ValueError, "Expected positive integer total_steps, but got 0"),
        (lambda o: lrs.OneCycleLR(o, 1.0, None, 3, -1), ValueError, "Expected positive integer steps_per_epoch"),
        (lambda o: lrs.OneCycleLR(o, 1.0, 9, pct_start=2.0), ValueError, "between 0 and 1 pct_start, but got 2.0"),
        (lambda o: lrs.OneCycleLR(o, 1.0, 9, anneal_strategy="no"), ValueError, "instead got no"),
        (lambda o: lrs.OneCycleLR(o, [1.0, 2.0], 9), ValueError, "expected 1 values for max_lr, got 2"),
        (lambda o: lrs.SequentialLR(o, [], []), ValueError, "expects at least one scheduler"),
        (lambda o: lrs.SequentialLR(o, [3], []), TypeError, "at index 0 should have `optimizer`"),
        (lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 1)], [1]), ValueError, "one more than the number of milestone"),
        (
            lambda o: lrs.SequentialLR(o, [lrs.StepLR(make_optimizer(), 1)], []),
            ValueError,
            "expects all schedulers to belong to the same optimizer, but got scheduler StepLR at index 0",
        ),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make(make_optimizer())
