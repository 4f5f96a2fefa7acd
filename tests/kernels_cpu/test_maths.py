"""exp and log of our own against float64 over the whole of float32."""

from __future__ import annotations

import numpy as np
import pytest

from numbanet.kernels.cpu.arguments import unpack
from numbanet.kernels.cpu.simd.exponential import exp_nonpositive
from numbanet.kernels.cpu.simd.maths import exp, log
from numbanet.kernels.cpu.simd.vector import load_first, store_first
from tests.kernels_cpu.device import Row, launch, test_kernel

STEP = 1019
"""Every 1019th bit pattern: a prime, so that all low bits come up; 4.2 million of 4.3 billion numbers."""


@test_kernel
def exponentials(start, stop, row, scratch):
    p = unpack(row, Row)
    for i in range(0, p.n, 16):
        store_first(p.out, i, exp(load_first(p.x, i, p.n - i)), p.n - i)
    return 0


@test_kernel
def logarithms(start, stop, row, scratch):
    p = unpack(row, Row)
    for i in range(0, p.n, 16):
        store_first(p.out, i, log(load_first(p.x, i, p.n - i)), p.n - i)
    return 0


def everything() -> np.ndarray:
    """A dense sample of all float32, and the neighbourhoods of the places where something changes."""
    sample = np.arange(0, 1 << 32, STEP, dtype=np.uint32).view(np.float32)
    edges = [
        0.0, 1.0, 0.5, 2.0, np.sqrt(2), np.sqrt(0.5), np.log(2), -np.log(2), np.e, 88.72284, 88.02969, -87.33655,
        -103.27893, -103.97208, 1.17549435e-38, 1.4e-45, 3.4028235e38, np.inf,
    ]  # fmt: skip
    bits = np.array(edges, np.float32).view(np.int32)[:, None] + np.arange(-300, 301, dtype=np.int32)
    near = bits.ravel().view(np.float32)
    return np.concatenate([sample, near, -near, np.linspace(-104, 89, 200_000, dtype=np.float32)])


def ulps(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """|actual − expected| in units of the last place of the float32 nearest to what is expected, denormal or not."""
    with np.errstate(over="ignore"):
        unit = np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
    return np.abs(actual.astype(np.float64) - expected) / unit


# name: kernel, NumPy's, bound in ulp. Measured on the sample: exp 0.97 (at 26.03), log 0.76 (at 0.6996).
FUNCTIONS = {"exp": (exponentials, np.exp, 1.0), "log": (logarithms, np.log, 1.0)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_whole_range(name):
    which, reference, bound = FUNCTIONS[name]
    x = everything()
    out = np.empty_like(x)
    launch(which, out, x, n=x.size)
    with np.errstate(all="ignore"):
        expected = reference(x.astype(np.float64))
        rounded = expected.astype(np.float32)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(out[~finite], rounded[~finite])
    error = ulps(out[finite], expected[finite])
    worst = int(np.argmax(error))
    assert error[worst] <= bound, f"{error[worst]} ulp at {x[finite][worst]!r}"


@test_kernel
def exponentials_of_softmax(start, stop, row, scratch):
    p = unpack(row, Row)
    for i in range(0, p.n, 16):
        store_first(p.out, i, exp_nonpositive(load_first(p.x, i, p.n - i)), p.n - i)
    return 0


def test_exponential_of_softmax():
    """All that is at most 40, with −inf and NaN; the denormal results too."""
    x = everything()
    x = x[~(x > 40)]
    out = np.empty_like(x)
    launch(exponentials_of_softmax, out, x, n=x.size)
    with np.errstate(all="ignore"):
        expected = np.exp(x.astype(np.float64))
    np.testing.assert_array_equal(np.isnan(out), np.isnan(x))
    known = ~np.isnan(x)
    error = ulps(out[known], expected[known])
    worst = int(np.argmax(error))
    assert error[worst] <= 1, f"{error[worst]} ulp at {x[known][worst]!r}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_specials(name):
    which, reference, _ = FUNCTIONS[name]
    x = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1e-45, -1.0], np.float32)
    out = np.empty_like(x)
    launch(which, out, x, n=x.size)
    with np.errstate(all="ignore"):
        expected = reference(x.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(out, expected)
