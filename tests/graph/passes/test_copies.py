"""Copies of what nobody reads afterwards are not made."""

from __future__ import annotations

import numpy as np

import numbanet as nb
from numbanet.graph.passes import drop_copies
from tests.graph.passes.checks import arrays, names, planned, without


def copies_of(function, *shapes) -> int:
    return names(planned(function, arrays(*shapes))).count("copy")


def worked_with(x):
    y = x.exp().clone()
    y[1:] = 0
    return y.sum(0)


def test_a_clone_of_what_nobody_reads_again(backend):
    """The copy that is left is that of what is assigned."""
    assert copies_of(worked_with, (4, 6)) == 1


def test_without_the_pass(backend, monkeypatch):
    without(monkeypatch, drop_copies)
    assert copies_of(worked_with, (4, 6)) == 2


def test_a_clone_of_what_is_read_later(backend):
    def function(x):
        y = x.exp()
        z = y.clone()
        z += 1
        return (y * z).sum(0)

    assert copies_of(function, (4, 6)) == 1


def test_a_clone_of_what_is_changed_later(backend):
    def function(x):
        y = x.exp()
        z = y.clone()
        y += 1
        return y.sum(0), z.sin().sum(0)

    assert copies_of(function, (4, 6)) == 1


def test_a_clone_of_an_input_or_a_weight(backend):
    weight = nb.ones(4, 6)

    def function(x):
        y, z = x.clone(), weight.clone()
        y += 1
        z += y
        return z.exp().sum(0)

    assert copies_of(function, (4, 6)) == 2


def test_a_clone_that_is_returned_is_new_with_each_call(backend):
    compiled = nb.compile(lambda x: x.exp().clone())
    kept = [(x, compiled(x)) for x in (nb.full((5,), float(number)) for number in range(5))]
    assert names(compiled.plans[0].calls).count("copy") == 0
    for x, y in kept:
        np.testing.assert_array_equal(x.exp().numpy(), y.numpy())


def test_another_dtype_is_a_copy(backend):
    assert copies_of(lambda x: (x.exp().long() * 2).sum(0), (4, 6)) == 1
