"""Three networks that are registered nowhere: Python has nothing to do between the nodes of a replay."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn, optim
from numbanet.nn import functional as F
from tests.conftest import needs_numba
from tests.graph.networks import training_step


class Pictures(nn.Module):
    """Residual blocks with a gate, pooled in two ways, joined and dropped."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1)
        self.blocks = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(depth)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(8) for _ in range(depth)])
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        x = F.gelu(self.stem(x))
        for block, norm in zip(self.blocks, self.norms, strict=True):
            y = norm(block(x))
            x = F.relu(x + y * y.sigmoid())
        pooled = [F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)]
        return self.head(F.dropout(nb.cat(pooled, 1).flatten(1), 0.2, self.training))


class Words(nn.Module):
    """Attention over tokens of which some are padding, by masks of comparisons."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.layers = nn.ModuleList(
            [nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True) for _ in range(depth)]
        )
        self.head = nn.Linear(8, 3)

    def forward(self, tokens):
        padding = (tokens == 0) | (tokens > 9)
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=padding)
        weight = (~padding).float().unsqueeze(-1)
        return self.head((x * weight).sum(1) / (weight.sum(1) + 1))


class Signals(nn.Module):
    """A recurrent layer, then a chain of small layers with tied weights."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.recurrent = nn.GRU(4, 8, batch_first=True)
        self.tied = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.recurrent(x)[0]
        for _ in range(self.depth):
            x = self.norm(x + self.tied(x).tanh() * 0.5)
        return self.head(x[:, -1])


def pictures() -> nb.Tensor:
    return nb.randn(6, 2, 7, 7)


def words() -> nb.Tensor:
    return nb.tensor(np.random.default_rng(0).integers(0, 11, (6, 9)))


def signals() -> nb.Tensor:
    return nb.randn(6, 5, 4)


NETWORKS = {"pictures": (Pictures, pictures), "words": (Words, words), "signals": (Signals, signals)}
EACH = pytest.mark.parametrize(("make", "data"), NETWORKS.values(), ids=NETWORKS)
TARGETS = (0, 1, 2, 0, 1, 2)


def compiled_step(make: Callable, data: Callable, depth: int) -> tuple[Callable, tuple]:
    """A training step that is replayed from now on, and its arguments."""
    model = make(depth)
    step = nb.compile(training_step(model, optim.SGD(model.parameters(), 0.05, momentum=0.9)))
    given = data(), nb.tensor(TARGETS)
    for _ in range(5):
        step(*given)
    return step, given


def python_calls(function: Callable, *arguments: object) -> int:
    """Calls of functions in Python and in C while the function runs."""
    events = []
    sys.setprofile(lambda frame, event, argument: events.append(event) if event in ("call", "c_call") else None)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return len(events)


@needs_numba
@EACH
def test_python_calls_do_not_grow_with_the_nodes(make, data):
    nb.set_backend("cpu")
    found, nodes = [], []
    for depth in (1, 6):
        step, given = compiled_step(make, data, depth)
        found.append(python_calls(step, *given))
        nodes.append(len(step.plans[-1].calls))
    assert nodes[1] > nodes[0]
    assert found[0] == found[1]


@needs_numba
@EACH
def test_the_plan_has_no_python_segments(make, data):
    nb.set_backend("cpu")
    step, _ = compiled_step(make, data, 2)
    assert [(call.name, reason) for call, reason in step.plans[-1].host_segments] == []


@EACH
def test_kept_outputs_never_change(backend, make, data):
    step, given = compiled_step(make, data, 2)
    kept = []
    for _ in range(5):
        loss, logits = step(*given)
        kept.append((loss, logits, logits.numpy().copy(), loss.item()))
    for loss, logits, copy, value in kept:
        np.testing.assert_array_equal(logits.numpy(), copy)
        assert loss.item() == value
    assert len({value for *_, value in kept}) == len(kept)
