"""The arena and the levels, held against checkers that share no code with them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numbanet as nb
from numbanet.graph import passes
from numbanet.graph.arena import ALIGNMENT, Lifetime, lay_out
from tests.graph.networks import NETWORKS, OPTIMISERS, batches, training_step


def overlapping(buffers, offsets) -> list[tuple[int, int]]:
    """Pairs of buffers that are alive in one level and share a byte."""
    wrong = []
    for (i, a), (j, b) in itertools.combinations(enumerate(buffers), 2):
        alive = set(range(a.first, a.last + 1)) & set(range(b.first, b.last + 1))
        bytes_a = range(offsets[i], offsets[i] + a.nbytes)
        bytes_b = range(offsets[j], offsets[j] + b.nbytes)
        if alive and bytes_a.start < bytes_b.stop and bytes_b.start < bytes_a.stop:
            wrong.append((i, j))
    return wrong


lifetimes = st.builds(
    lambda nbytes, first, length: Lifetime(nbytes, first, first + length),
    st.integers(1, 1000),
    st.integers(0, 12),
    st.integers(0, 6),
)


@given(st.lists(lifetimes, max_size=40))
@settings(max_examples=200, deadline=None)
def test_no_two_live_buffers_overlap(buffers):
    layout = lay_out(buffers)
    assert overlapping(buffers, layout.offsets) == []
    assert all(offset % ALIGNMENT == 0 for offset in layout.offsets)
    assert all(offset + one.nbytes <= layout.nbytes for one, offset in zip(buffers, layout.offsets, strict=True))


@given(st.lists(lifetimes, min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_the_arena_is_not_much_larger_than_it_must_be(buffers):
    """At least what is alive at once is needed; first fit by size stays below twice that and the rounding."""
    rounded = [-(-one.nbytes // ALIGNMENT) * ALIGNMENT for one in buffers]
    levels = range(max(one.last for one in buffers) + 1)
    least = max(
        sum(size for one, size in zip(buffers, rounded, strict=True) if one.first <= level <= one.last)
        for level in levels
    )
    assert least <= lay_out(buffers).nbytes <= 2 * least


def test_the_checker_sees_an_overlap():
    buffers = [Lifetime(100, 0, 3), Lifetime(100, 3, 5), Lifetime(100, 6, 7)]
    assert overlapping(buffers, [0, 64, 0]) == [(0, 1)]


def test_memory_is_used_again():
    chain = [Lifetime(1000, level, level + 1) for level in range(50)]
    assert lay_out(chain).nbytes <= 3 * 1024


def test_nothing():
    assert lay_out([]).nbytes == 0


@pytest.mark.parametrize("network", NETWORKS)
def test_the_arena_of_a_training_step(backend, network):
    """Lifetimes are worked out again here, from the calls in their levels."""
    plan = plan_of(network)
    uses: dict[int, list[int]] = {}
    for call in plan.calls:
        last = call.level + len(call.piece.levels) - 1
        for array in (*call.reads, *call.writes, *call.piece.workspaces):
            uses.setdefault(id(array.storage), []).extend((call.level, last))
    buffers = [Lifetime(one.nbytes, min(uses[id(one)]), max(uses[id(one)])) for one, _, _ in plan.arena]
    assert overlapping(buffers, [offset for _, offset, _ in plan.arena]) == []
    assert plan.arena_bytes == max(offset + -(-one.nbytes // 64) * 64 for one, offset, _ in plan.arena)


@pytest.mark.parametrize("network", NETWORKS)
def test_levels_depend_on_earlier_levels_only(backend, network):
    """In the order in which the ops were run, what conflicts byte by byte is in levels that follow each other."""
    plan = plan_of(network)
    spans = [(call.level, call.level + max(1, len(call.piece.levels)) - 1, touched(call)) for call in plan.calls]
    for (_, last, before), (first, _, after) in itertools.combinations(spans, 2):
        if conflict(before, after):
            assert first > last


def test_a_write_waits_for_the_reads_before_it(backend, monkeypatch):
    """In place: write after read, and write after write, with nothing else between the calls."""
    monkeypatch.setattr(passes, "PASSES", ())

    def function(x):
        a = x + 0
        b = a * 2
        a.add_(1)
        a.fill_(3)
        return a, b

    compiled = nb.compile(function)
    for _ in range(2):
        compiled(nb.ones(3))
    levels = [call.level for call in compiled.plans[0].calls]
    assert levels == [0, 1, 2, 3]
    assert [one.tolist() for one in compiled(nb.ones(3))] == [[3] * 3, [2] * 3]


def touched(call) -> list[tuple[int, set[int], bool]]:
    """(storage, addresses of elements, whether they are written)."""
    found = []
    for arrays, is_write in ((call.reads, False), (call.writes, True)):
        for array in arrays:
            steps = [np.arange(n) * stride for n, stride in zip(array.shape, array.strides, strict=True)]
            places = sum(np.ix_(*steps)) if steps else np.zeros(())
            found.append((id(array.storage), set((np.ravel(places) + array.offset).tolist()), is_write))
    return found


def conflict(before, after) -> bool:
    return any(
        a[0] == b[0] and (a[2] or b[2]) and not a[1].isdisjoint(b[1]) for a, b in itertools.product(before, after)
    )


def plan_of(network):
    model = NETWORKS[network]()
    step = nb.compile(training_step(model, OPTIMISERS["adamw"](model.parameters()), 1.0))
    for inputs, targets in batches(3):
        step(inputs, targets)
    (plan,) = step.plans
    return plan
