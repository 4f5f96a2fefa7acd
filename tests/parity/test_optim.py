"""Optimisers and schedules against PyTorch's: the same parameters after 50 steps on the same gradients."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet
from numbanet import nn, optim
from numbanet.optim import lr_scheduler

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

STEPS = 50
SHAPES = [(7, 5), (5,), (3, 2, 4)]

OPTIMISERS = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.02}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.02}),
    ("RMSprop", {"lr": 0.005, "momentum": 0.8}),
    ("RMSprop", {"lr": 0.005, "eps": 0.01, "momentum": 0.5, "centered": True}),
]

SCHEDULES = {
    "StepLR": lambda lib, optimizer: lib.StepLR(optimizer, step_size=7, gamma=0.5),
    "CosineAnnealingLR": lambda lib, optimizer: lib.CosineAnnealingLR(optimizer, T_max=40, eta_min=1e-4),
    "OneCycleLR": lambda lib, optimizer: lib.OneCycleLR(optimizer, 0.3, STEPS + 1),
    "OneCycleLR, three phases": lambda lib, optimizer: lib.OneCycleLR(
        optimizer,
        0.3,
        epochs=3,
        steps_per_epoch=17,
        pct_start=0.4,
        three_phase=True,
        anneal_strategy="linear",
    ),
    "LambdaLR": lambda lib, optimizer: lib.LambdaLR(optimizer, lambda epoch: 0.95**epoch),
    "warm-up": lambda lib, optimizer: lib.SequentialLR(
        optimizer,
        [
            lib.LinearLR(optimizer, start_factor=0.1, total_iters=5),
            lib.CosineAnnealingLR(optimizer, T_max=45),
        ],
        milestones=[5],
    ),
}


def make_parameters(dtype: str) -> tuple[list, list]:
    """The same parameters in both libraries."""
    random = np.random.default_rng(3)
    values = [random.normal(size=shape).astype(dtype) for shape in SHAPES]
    ours = [nn.Parameter(numbanet.from_numpy(value.copy())) for value in values]
    theirs = [torch.nn.Parameter(torch.from_numpy(value.copy())) for value in values]
    return ours, theirs


def set_gradients(ours: list, theirs: list, step: int, dtype: str) -> None:
    """The same gradients: partly a pull to the origin, so that the parameters matter, partly noise."""
    random = np.random.default_rng(100 + step)
    for mine, other in zip(ours, theirs, strict=True):
        noise = random.normal(size=mine.shape).astype(dtype)
        mine.grad = numbanet.from_numpy(mine.detach().numpy() + noise)
        other.grad = other.detach() + torch.from_numpy(noise)


def assert_close(ours: list, theirs: list, dtype: str) -> None:
    rtol, atol = (1e-4, 1e-5) if dtype == "float32" else (1e-9, 1e-10)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), OPTIMISERS, ids=lambda value: str(value))
def test_optimiser(name: str, options: dict, dtype: str) -> None:
    ours, theirs = make_parameters(dtype)
    # Two groups, of which the second has a rate of its own.
    groups = [lambda p: {"params": p[:2]}, lambda p: {"params": p[2:], "lr": 0.003}]
    mine = getattr(optim, name)([group(ours) for group in groups], **options)
    other = getattr(torch.optim, name)([group(theirs) for group in groups], **options)
    for step in range(STEPS):
        set_gradients(ours, theirs, step, dtype)
        mine.step()
        other.step()
    assert_close(ours, theirs, dtype)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_parameters_without_a_gradient_stay(name: str) -> None:
    ours, theirs = make_parameters("float32")
    mine = getattr(optim, name)(ours, lr=0.01, weight_decay=0.1)
    other = getattr(torch.optim, name)(theirs, lr=0.01, weight_decay=0.1)
    for step in range(4):
        set_gradients(ours, theirs, step, "float32")
        if step % 2 == 0:
            ours[1].grad = theirs[1].grad = None
        mine.step()
        other.step()
    assert_close(ours, theirs, "float32")


@pytest.mark.parametrize("order", [2.0, 1.0, float("inf")])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clipping(order: float, limit: float) -> None:
    ours, theirs = make_parameters("float32")
    set_gradients(ours, theirs, 0, "float32")
    mine = nn.utils.clip_grad_norm_(ours, limit, order)
    other = torch.nn.utils.clip_grad_norm_(theirs, limit, order)
    assert mine.item() == pytest.approx(other.item(), rel=1e-6)
    nn.utils.clip_grad_value_(ours, 0.03)
    torch.nn.utils.clip_grad_value_(theirs, 0.03)
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.grad.numpy(), two.grad.numpy(), rtol=1e-5)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule(schedule: str) -> None:
    ours, theirs = make_parameters("float32")
    mine, other = optim.SGD(ours, lr=0.1, momentum=0.5), torch.optim.SGD(theirs, lr=0.1, momentum=0.5)
    make = SCHEDULES[schedule]
    our_schedule = make(lr_scheduler, mine)
    their_schedule = make(torch.optim.lr_scheduler, other)
    for step in range(STEPS):
        assert mine.param_groups[0]["lr"] == pytest.approx(other.param_groups[0]["lr"], rel=1e-9, abs=1e-12), step
        set_gradients(ours, theirs, step, "float32")
        mine.step()
        other.step()
        our_schedule.step()
        their_schedule.step()
    assert_close(ours, theirs, "float32")


@pytest.mark.parametrize("options", [{}, {"mode": "max", "patience": 2, "cooldown": 2}, {"threshold_mode": "abs"}])
def test_plateau(options: dict) -> None:
    ours, theirs = make_parameters("float32")
    mine, other = optim.SGD(ours, lr=0.1), torch.optim.SGD(theirs, lr=0.1)
    options = {"patience": 4, "min_lr": 1e-4, **options}
    our_schedule = lr_scheduler.ReduceLROnPlateau(mine, **options)
    their_schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(other, **options)
    for metric in 1 + 0.1 * np.random.default_rng(0).normal(size=60):
        our_schedule.step(metric)
        their_schedule.step(metric)
        assert mine.param_groups[0]["lr"] == other.param_groups[0]["lr"]
    assert mine.param_groups[0]["lr"] < 0.02
