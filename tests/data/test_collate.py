"""How samples become a batch."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

from numbanet.data import default_collate
from numbanet.tensor import Tensor

Pair = namedtuple("Pair", "x y")


@pytest.mark.parametrize(
    ("samples", "dtype", "values"),
    [
        ([1, 2, 3], np.int64, [1, 2, 3]),
        ([1.5, 2.0], np.float32, [1.5, 2.0]),
        ([1, 2.5], np.float32, [1.0, 2.5]),
        ([True, False], np.bool_, [True, False]),
        ([np.float32(1), np.float32(2)], np.float32, [1, 2]),
        ([np.zeros(2), np.ones(2)], np.float64, [[0, 0], [1, 1]]),
    ],
)
def test_numbers_and_arrays_are_stacked(samples, dtype, values):
    batch = default_collate(samples)
    assert isinstance(batch, Tensor)
    assert batch.dtype == dtype
    assert batch.numpy().tolist() == values


def test_tensors_are_stacked():
    parts = default_collate([np.arange(3, dtype=np.float32), np.arange(3, dtype=np.float32) + 5])
    again = default_collate([parts, parts])
    assert again.shape == (2, 2, 3)
    assert again.numpy()[1, 1].tolist() == [5, 6, 7]


def test_containers_keep_their_kind():
    batch = default_collate([Pair({"a": 1, "b": "x"}, [1.0, (2, 3)]), Pair({"b": "y", "a": 4}, [5.0, (6, 7)])])
    assert isinstance(batch, Pair)
    assert batch.x["a"].numpy().tolist() == [1, 4]
    assert batch.x["b"] == ["x", "y"]
    assert isinstance(batch.y, list)
    assert batch.y[0].numpy().tolist() == [1.0, 5.0]
    assert [part.numpy().tolist() for part in batch.y[1]] == [[2, 6], [3, 7]]


@pytest.mark.parametrize(
    ("samples", "error", "words"),
    [
        ([], ValueError, "no samples"),
        ([np.zeros(2), np.zeros(3)], ValueError, r"differ in shape: \(2,\), \(3,\)"),
        ([(1, 2), (1,)], ValueError, "sample 1 of the batch does not have the parts of sample 0"),
        ([{"a": 1}, {"b": 1}], ValueError, r"\['b'\] instead of \['a'\]"),
        ([object()], TypeError, "cannot make a batch of object"),
    ],
)
def test_what_cannot_be_stacked(samples, error, words):
    with pytest.raises(error, match=words):
        default_collate(samples)
