"""Compiled training steps: the same losses, weights, gradients and optimiser state as eager ones, bit for bit."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import numbanet as nb
from numbanet import optim
from tests.graph.networks import NETWORKS, OPTIMISERS, assert_same, batches, state_of, training_step


def train(model, make_optimizer, data, *, compiled, clip=None, steps=None):
    """(losses, logits, state) of a run over the data; the learning rate falls with every step."""
    nb.manual_seed(7)
    optimizer = make_optimizer(model.parameters())
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.98)
    step = training_step(model, optimizer, clip)
    if compiled:
        step = nb.compile(step)
    seen = []
    for inputs, targets in data:
        loss, logits = step(inputs, targets)
        seen.append((loss.item(), logits.detach().numpy().copy()))
        scheduler.step()
    if compiled:
        assert step.plans
    return seen, state_of(model, optimizer), nb.random.get_state()


def assert_same_runs(model, make_optimizer, data, **options):
    twin = copy.deepcopy(model)
    eager = train(model, make_optimizer, data, compiled=False, **options)
    compiled = train(twin, make_optimizer, data, compiled=True, **options)
    assert [loss for loss, _ in eager[0]] == [loss for loss, _ in compiled[0]]
    for (_, a), (_, b) in zip(eager[0], compiled[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert_same(eager[1], compiled[1])
    assert eager[2] == compiled[2]


FAST = {("residual", "adamw"), ("tied", "momentum"), ("deep", "sgd")}
PAIRS = [
    pytest.param(network, optimiser, marks=[pytest.mark.slow] * ((network, optimiser) not in FAST))
    for network in NETWORKS
    for optimiser in OPTIMISERS
]


@pytest.mark.parametrize(("network", "optimiser"), PAIRS)
def test_fifty_steps_have_the_same_bits(backend, network, optimiser):
    clip = 0.5 if optimiser in ("sgd", "adamw") else None
    assert_same_runs(NETWORKS[network](), OPTIMISERS[optimiser], batches(50), clip=clip)
