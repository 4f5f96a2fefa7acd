"""Philox against Random123's known answers, and what is built on it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from numbanet.kernels import philox
from tests.ops import oracles

# kat_vectors of Random123 1.14: counter, key, result of philox4x32 with 10 rounds
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "wanted"), KNOWN)
def test_known_answers(counter, key, wanted):
    assert tuple(philox.philox4x32(np.array([counter], np.uint32), key)[0].tolist()) == wanted


@pytest.mark.parametrize(("offset", "count"), [(0, 1), (3, 6), (2**34 - 2, 9), (5, 0)])
def test_words_do_not_depend_on_how_they_are_asked_for(offset, count):
    seed = 2**63 + 12345
    words = philox.random_bits(seed, 2, offset, count)
    assert words.dtype == np.uint32
    assert words.tolist() == oracles.philox_words(seed, 2, offset, count)
    assert words.tolist() == [philox.random_bits(seed, 2, offset + i, 1)[0] for i in range(count)]


def test_seeds_streams_and_substreams_differ():
    draws = {
        philox.random_bits(*key, 0, 2, substream=sub).tobytes() for key in [(0, 0), (0, 1), (1, 0)] for sub in (0, 1)
    }
    assert len(draws) == 6


@pytest.mark.parametrize("n", [0, 1, 2, 517])
def test_permutation(n):
    order = philox.permutation(7, 2, 3, n)
    assert order.dtype == np.int64
    assert sorted(order) == list(range(n))
    np.testing.assert_array_equal(order, philox.permutation(7, 2, 3, n))
    if n > 10:
        assert not np.array_equal(order, philox.permutation(7, 2, 4, n))
        assert not np.array_equal(order, philox.permutation(8, 2, 3, n))


def test_permutations_are_fair():
    """Where element 0 goes, over many epochs: every place about as often."""
    counts = np.bincount(
        [int(np.argmax(philox.permutation(0, 2, epoch, 5) == 0)) for epoch in range(2000)], minlength=5
    )
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_negative_ranges_are_refused():
    with pytest.raises(ValueError, match="cannot be negative"):
        philox.random_bits(0, 0, -1, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distributions(dtype):
    u = philox.uniform((20_000,), np.dtype(dtype), 3, 0, 0)
    assert u.dtype == dtype
    assert u.min() >= 0
    assert u.max() < 1
    assert scipy.stats.kstest(u, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("size", "dtype", "words"), [(0, "f4", 0), (1, "f4", 4), (4, "f4", 4), (5, "f4", 8), (1, "f8", 4), (3, "f8", 8)]
)
def test_words_needed(size, dtype, words):
    assert philox.words_needed(size, np.dtype(dtype)) == words
