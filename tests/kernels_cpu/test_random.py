"""Random numbers: the bits of the NumPy kernels, normal numbers within 4 ulp, and no pattern that a test finds."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import scipy.stats

from numbanet.kernels import philox
from numbanet.kernels.backend import load_backend
from numbanet.kernels.numpy import KERNELS as NUMPY
from tests.kernels_cpu.test_maths import ulps

MANY = 1 << 20
PLACES = [(0, 0, 0), (2**64 - 1, 3, 4), (12345678901, 2**32 - 1, 2**34 - 400), (7, 1, 2**40)]


def draw(name: str, size: int, *args: object) -> np.ndarray:
    """A contract function of random numbers on the CPU kernels."""
    backend, out = load_backend("cpu"), np.full(size, np.nan, np.float32)
    program = backend.program()
    getattr(program, name)(backend.from_buffer(out), *args)
    assert not program.host_reasons
    program.run()
    return out


def in_numpy(name: str, size: int, *args: object) -> np.ndarray:
    out = np.empty(size, np.float32)
    NUMPY[name](out, *args)
    return out


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_uniform_numbers_and_masks_have_numpys_bits(place):
    for size in (1, 37, 5003):
        np.testing.assert_array_equal(
            draw("uniform", size, -1.3, 2.9, *place), in_numpy("uniform", size, -1.3, 2.9, *place)
        )
        x = np.linspace(-3, 3, size, dtype=np.float32)
        array = load_backend("cpu").from_buffer(x)
        for p, scale in ((0.3, 1 / 0.7), (0.0, 1.0), (1.0, 0.0), (2.0**-24, 1.0)):
            found = draw("dropout", size, array, p, scale, *place)
            np.testing.assert_array_equal(found, in_numpy("dropout", size, x, p, scale, *place))


@pytest.mark.parametrize("at", [3, 20, 35, 60])
def test_a_half_equal_to_p_is_kept(at):
    """A share p of the halves of words is below p · 65536; in any quarter of what is drawn at once."""
    halves = philox.random_halves(5, 1, 0, 70).astype(np.int64)
    np.testing.assert_array_equal(halves[0::2] + (halves[1::2] << 16), philox.random_bits(5, 1, 0, 35))
    ones = load_backend("cpu").from_buffer(np.ones(70, np.float32))
    mask = draw("dropout", 70, ones, float(halves[at]) / 65536, 1.0, 5, 1, 0)
    np.testing.assert_array_equal(mask, halves >= halves[at])


def test_p_is_taken_to_the_nearest_65536th():
    """None and all are dropped for 0 and 1 only."""
    shares = {0.0: 0, 1e-9: 1, 0.1: 6554, 0.3: 19661, 0.5: 32768, 1 - 1e-9: 65535, 1.0: 65536}
    assert {p: philox.half_threshold(p) for p in shares} == shares


def test_an_offset_inside_a_block_is_left_to_numpy():
    """Same numbers, another way."""
    backend, out = load_backend("cpu"), np.empty(20, np.float32)
    program = backend.program()
    program.uniform(backend.from_buffer(out), 0.0, 1.0, 3, 1, 6)
    assert program.host_reasons == [("uniform", "an offset inside a block")]
    program.run()
    np.testing.assert_array_equal(out, draw("uniform", 22, 0.0, 1.0, 3, 1, 4)[2:])


def test_normal_numbers_are_within_4_ulp():
    """Of Box–Muller in float64; measured 3.4. Where float64's cos(π/2) is 6e-17, ours is 0."""
    found = draw("normal", MANY, 0.0, 1.0, 5, 2, 0)
    u = philox.uniform((MANY // 2, 2), np.dtype(np.float32), 5, 2, 0).astype(np.float64)
    radius, angle = np.sqrt(-2 * np.log1p(-u[:, 0])), 2 * np.pi * u[:, 1]
    wanted = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
    clear = np.abs(wanted) > 1e-14
    assert ulps(found[clear], wanted[clear]).max() <= 4
    assert np.abs(found[~clear]).max(initial=0) <= 1e-14


def test_the_same_in_pieces():
    """Element i hangs on its own word alone: a draw is the draws of its parts."""
    whole = draw("uniform", 10_000, 0.0, 1.0, 9, 1, 0)
    parts = [draw("uniform", 2_500, 0.0, 1.0, 9, 1, at) for at in range(0, 10_000, 2_500)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


# --- statistics: the seed is fixed, so these cannot fail by chance ---------------------------------------------------
LEAST = 1e-3
"""A test's p-value: below this something is wrong."""


@functools.cache
def numbers(name: str, stream: int = 0, seed: int = 2024) -> np.ndarray:
    return draw(name, MANY, 0.0, 1.0, seed, stream, 0)


def test_moments():
    """Mean, variance, skewness and kurtosis within 4 standard errors."""
    u, z = (numbers(name).astype(np.float64) for name in ("uniform", "normal"))
    root = np.sqrt(MANY)
    assert abs(u.mean() - 1 / 2) < 4 * np.sqrt(1 / 12) / root
    assert abs(u.var() - 1 / 12) < 4 * np.sqrt(1 / 180) / root
    assert abs(z.mean()) < 4 / root
    assert abs(z.var() - 1) < 4 * np.sqrt(2) / root
    assert abs(scipy.stats.skew(z)) < 4 * np.sqrt(6) / root
    assert abs(scipy.stats.kurtosis(z)) < 4 * np.sqrt(24) / root


@pytest.mark.parametrize(("name", "distribution"), [("uniform", "uniform"), ("normal", "norm")])
def test_distribution(name, distribution):
    """Kolmogorov–Smirnov; the normal numbers of either place in a pair, too."""
    x = numbers(name).astype(np.float64)
    for part in (x, x[::2], x[1::2]):
        assert scipy.stats.kstest(part, distribution).pvalue > LEAST


@pytest.mark.parametrize("shift", [0, 8, 16])
def test_bytes_are_even(shift):
    """χ² of each of the three bytes of a number."""
    words = (numbers("uniform") * 2**24).astype(np.int64)
    counts = np.bincount((words >> shift) & 0xFF, minlength=256)
    assert scipy.stats.chisquare(counts).pvalue > LEAST


def test_pairs_of_neighbours_are_even():
    """χ² over a grid of 64 × 64 cells of (u[i], u[i + 1])."""
    cells = (numbers("uniform") * 64).astype(np.int64)
    counts = np.bincount(64 * cells[::2] + cells[1::2], minlength=64 * 64)
    assert scipy.stats.chisquare(counts).pvalue > LEAST


@pytest.mark.parametrize("name", ["uniform", "normal"])
def test_no_correlation_at_any_lag(name):
    """Lags about the places where blocks, vectors and tasks end; of the squares, too: pairs share a radius."""
    x = numbers(name).astype(np.float64)
    for values in (x - x.mean(), x**2 - (x**2).mean()):
        for lag in (1, 2, 3, 4, 5, 8, 15, 16, 17, 32, 64, 4096, 4097):
            correlation = (values[:-lag] * values[lag:]).mean() / values.var()
            assert abs(correlation) < 4.5 / np.sqrt(MANY), lag


@pytest.mark.parametrize("other", [{"stream": 1}, {"seed": 2025}, {"seed": 2024 + 2**32}], ids=str)
def test_streams_and_seeds_do_not_overlap(other):
    """No run of four numbers of one stands anywhere in the other, and they do not go together."""
    mine, others = numbers("uniform"), numbers("uniform", **other)
    assert not set(map(bytes, mine[: 4 * (MANY // 4)].reshape(-1, 4))) & set(map(bytes, others.reshape(-1, 4)))
    assert abs(np.corrcoef(mine, others)[0, 1]) < 4.5 / np.sqrt(MANY)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_a_share_p(p):
    x = load_backend("cpu").from_buffer(np.ones(MANY, np.float32))
    dropped = int((draw("dropout", MANY, x, p, 1.0, 3, 1, 0) == 0).sum())
    assert scipy.stats.binomtest(dropped, MANY, p).pvalue > LEAST


def test_neighbours_are_dropped_independently():
    """The halves of one word, and those at the same place of neighbouring words and blocks."""
    x = load_backend("cpu").from_buffer(np.ones(MANY, np.float32))
    mask = draw("dropout", MANY, x, 0.3, 1.0, 3, 1, 0)
    for distance in (1, 2, 7, 8, 16, 64):
        assert abs(np.corrcoef(mask[:-distance], mask[distance:])[0, 1]) < 4.5 / np.sqrt(MANY), distance
    assert abs(np.corrcoef(mask[0::2], mask[1::2])[0, 1]) < 4.5 / np.sqrt(MANY // 2)
