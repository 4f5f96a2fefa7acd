"""What depends on constants alone is computed once."""

from __future__ import annotations

import numpy as np

import numbanet as nb
from numbanet.graph.passes import fold_constants
from numbanet.graph.passes.constants import MOST_BYTES
from tests.graph.passes.checks import arrays, names, planned, without


def of_constants(x):
    """Tables made from Python data and from nothing, as a mask or a positional encoding is."""
    table = nb.tensor(np.arange(4, dtype=np.float32)).exp() * nb.full((4,), 0.5)
    return x + table.reshape(1, 4)


def test_a_table(backend):
    assert names(planned(of_constants, arrays((3, 4)))) == ["binary"]


def test_a_table_without_the_pass(backend, monkeypatch):
    without(monkeypatch, fold_constants)
    assert len(planned(of_constants, arrays((3, 4)))) == 4


def test_a_constant_that_is_changed_is_none(backend):
    def function(x):
        total = nb.zeros(4)
        for row in x:
            total.add_(row)
        return total * 1

    assert "fill" in names(planned(function, arrays((3, 4))))


def test_a_constant_that_is_written_in_part_is_none(backend):
    def function(x):
        table = nb.zeros(2, 4)
        table[0] = x
        return table + 1

    assert "fill" in names(planned(function, arrays((4,))))


def test_what_is_returned_has_memory_of_its_own(backend):
    compiled = nb.compile(lambda x: (x * 1, nb.zeros(4)))
    results = [compiled(nb.ones(2))[1] for _ in range(5)]
    results[3].add_(1)
    assert results[4].tolist() == [0] * 4
    assert compiled(nb.ones(2))[1].tolist() == [0] * 4


def test_parameters_are_not_constants(backend):
    weight = nb.ones(3, requires_grad=True)
    compiled = nb.compile(lambda x: x * weight.exp())
    for number in range(5):
        weight.data.fill_(number)
        np.testing.assert_array_equal(compiled(nb.ones(3)).detach().numpy(), weight.exp().detach().numpy())


def test_random_numbers_are_not_constants(backend):
    compiled = nb.compile(lambda x: x + nb.rand(3))
    seen = {tuple(compiled(nb.zeros(3)).tolist()) for _ in range(6)}
    assert len(seen) == 6


def test_large_results_share_the_arena(backend):
    size = MOST_BYTES // 4 + 1
    assert "fill" in names(planned(lambda x: x + nb.full((size,), 2.0), arrays((size,))))
