"""Functions of our own against float64 over the whole of float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.special

from numbanet.kernels.cpu.arguments import unpack
from numbanet.kernels.cpu.kernel import Kernel, device_function
from numbanet.kernels.cpu.simd import activation, error_function, maths, trigonometric
from numbanet.kernels.cpu.simd.exponential import LEAST_TERM, exp_nonpositive, exp_term
from numbanet.kernels.cpu.simd.power import power
from numbanet.kernels.cpu.simd.vector import load_first, splat, store_first
from tests.kernels_cpu.device import Row, kernel_for_test, launch

STEP = 1019
"""Every 1019th bit pattern: a prime, so that all low bits come up; 4.2 million of 4.3 billion numbers."""


def kernel_of(function: Callable) -> Kernel:
    """The kernel out = function(x)."""

    def whole(start, stop, row, scratch):
        p = unpack(row, Row)
        for i in range(0, p.n, 16):
            store_first(p.out, i, function(load_first(p.x, i, p.n - i)), p.n - i)
        return 0

    return kernel_for_test(whole)


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


@device_function
def sin(x):
    return trigonometric.sin_or_cos(0, x)


@device_function
def cos(x):
    return trigonometric.sin_or_cos(1, x)


def gelu(x: np.ndarray) -> np.ndarray:
    """x·Φ(x) without loss where Φ(x) is small."""
    size = np.minimum(np.abs(x), 100)
    return np.where(x < 0, 0, x) - size * scipy.special.ndtr(-size)


def gelu_slope(x: np.ndarray) -> np.ndarray:
    size = np.minimum(np.abs(x), 100)
    slope = scipy.special.ndtr(-size) - size * np.exp(-(size**2) / 2) / np.sqrt(2 * np.pi)
    return np.where(x < 0, slope, 1 - slope)


def twice_u(x: np.ndarray) -> np.ndarray:
    return np.sqrt(8 / np.pi) * (x + 0.044715 * x**3)


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    x = np.maximum(x, -100)
    return x * scipy.special.expit(twice_u(x))


def gelu_tanh_slope(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, -100, 100)
    s, rest = scipy.special.expit(twice_u(x)), scipy.special.expit(-twice_u(x))
    return s + x * s * rest * np.sqrt(8 / np.pi) * (1 + 3 * 0.044715 * x**2)


# name: function, reference in float64, bound in ulp. Measured on the sample: exp 0.996 (at -5.83), log 0.76 (at 0.70),
# expm1 1.38 (at 0.3777), tanh 1.28 (at 0.6474), sigmoid 2.30 (at -3.439), erf 0.998 (at 1.079), gelu 6.15 (at -4.800),
# sin 1.54 (at 3.256e13), cos 1.55 (at -1.231e21).
FUNCTIONS = {
    "exp": (maths.exp, np.exp, 1.0),
    "expm1": (maths.expm1, np.expm1, 1.5),
    "log": (maths.log, np.log, 1.0),
    "tanh": (activation.tanh, np.tanh, 1.5),
    "sigmoid": (activation.sigmoid, scipy.special.expit, 2.5),
    "erf": (error_function.erf, scipy.special.erf, 1.0),
    "gelu": (activation.gelu, gelu, 6.5),
    "sin": (sin, np.sin, 1.6),
    "cos": (cos, np.cos, 1.6),
}
SLOPES = {
    "gelu": (activation.gelu_slope, gelu_slope, 1.5),
    "gelu with tanh": (activation.gelu_tanh_slope, gelu_tanh_slope, 2.0),
}
"""Derivatives, which cross 0: their bounds are in units of 2⁻²³, the ulp of 1. Measured: 1.1 and 1.7."""


def values(function: Callable, reference: Callable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, the kernel's values and the reference's; NaN and infinities are where they should be."""
    x = everything()
    out = np.empty_like(x)
    launch(kernel_of(function), out, x, n=x.size)
    with np.errstate(all="ignore"):
        expected = reference(x.astype(np.float64))
        rounded = expected.astype(np.float32)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(out[~finite], rounded[~finite])
    return x[finite], out[finite], expected[finite]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_whole_range(name):
    function, reference, bound = FUNCTIONS[name]
    x, out, expected = values(function, reference)
    error = ulps(out, expected)
    worst = int(np.argmax(error))
    assert error[worst] <= bound, f"{error[worst]} ulp at {x[worst]!r}"


@kernel_for_test
def powers(start, stop, row, scratch):
    p = unpack(row, Row)
    for i in range(0, p.n, 16):
        value = power(load_first(p.x, i, p.n - i), load_first(p.y, i, p.n - i))
        store_first(p.out, i, value, p.n - i)
    return 0


def power_samples() -> tuple[np.ndarray, np.ndarray]:
    """All pairs of special numbers, any numbers with results from the smallest to the largest, and numbers near 1."""
    odd = [np.nan, np.inf, 0, 1, 2, 3, 0.5, 1.5, 1e-40, 3e38, 2**24, 16777215, 0.9999999, 1.0000001]
    special = np.array([*odd, *np.negative(odd)], np.float32)
    rng = np.random.default_rng(0)
    far = np.exp(rng.uniform(-88, 88, 200_000)).astype(np.float32)
    near = (1 + rng.uniform(-1e-3, 1e-3, 200_000)).astype(np.float32)
    x = np.concatenate([far, near])
    y = rng.uniform(-106, 91, x.size) / np.log(x.astype(np.float64))
    pairs = np.meshgrid(special, special)
    return np.concatenate([pairs[0].ravel(), x]), np.concatenate([pairs[1].ravel(), y.astype(np.float32)])


def test_power():
    """Within 0.51 ulp, and the special cases as C99 has them; measured 0.503."""
    x, y = power_samples()
    out = np.empty_like(x)
    launch(powers, out, x, y, n=x.size)
    with np.errstate(all="ignore"):
        expected = np.power(x.astype(np.float64), y.astype(np.float64))
        rounded = expected.astype(np.float32)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(out[~finite], rounded[~finite])
    defined = ~np.isnan(rounded)
    np.testing.assert_array_equal(np.signbit(out[defined]), np.signbit(rounded[defined]))
    assert ulps(out[finite], expected[finite]).max() <= 0.51


@pytest.mark.parametrize("name", SLOPES)
def test_derivatives_of_gelu(name):
    function, reference, bound = SLOPES[name]
    x, out, expected = values(function, reference)
    error = np.abs(out.astype(np.float64) - expected) * 2.0**23
    worst = int(np.argmax(error))
    assert error[worst] <= bound, f"{error[worst]} at {x[worst]!r}"


def test_gelu_with_tanh():
    """Within ulp·(3 + 5|u|) for negative x: the rounding error of u is one of the result. 3 ulp for positive."""
    x, out, expected = values(activation.gelu_tanh, gelu_tanh)
    error = ulps(out, expected)
    bound = np.where(x > 0, 3, 3 + 2.5 * np.minimum(np.abs(twice_u(np.maximum(x.astype(np.float64), -100))), 110))
    worst = int(np.argmax(error / bound))
    assert error[worst] <= bound[worst], f"{error[worst]} ulp at {x[worst]!r}"


@kernel_for_test
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


def test_exponential_as_a_term():
    """1 for 0, within 1.5 + |x|/4 ulp down to LEAST_TERM, and next to nothing below."""
    x = everything()
    x = x[~(x > 0) & ~np.isnan(x)]
    out = np.empty_like(x)
    launch(kernel_of(exp_term), out, x, n=x.size)
    near = x >= LEAST_TERM
    error = ulps(out[near], np.exp(x[near].astype(np.float64))) - np.abs(x[near]) / 4
    worst = int(np.argmax(error))
    assert error[worst] <= 1.5, f"{error[worst]} ulp and |x|/4 at {x[near][worst]!r}"
    assert (out[x == 0] == 1).all()
    assert (out[~near] >= 0).all()
    assert (out[~near] < 5e-38).all()
    with np.errstate(invalid="ignore"):
        launch(kernel_of(exp_term), out[:1], np.float32([np.inf]) - np.float32(np.inf), n=1)
    assert np.isnan(out[0])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_specials(name):
    function, reference, bound = FUNCTIONS[name]
    x = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1e-45, -1.0], np.float32)
    out = np.empty_like(x)
    launch(kernel_of(function), out, x, n=x.size)
    with np.errstate(all="ignore"):
        expected = reference(x.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(out[:6], expected[:6])
    defined = ~np.isnan(expected[6:])
    np.testing.assert_array_equal(np.isnan(out[6:]), ~defined)
    assert (ulps(out[6:], expected[6:].astype(np.float64))[defined] <= bound).all()


@kernel_for_test
def scale_by_code(start, stop, row, scratch):
    """out = x·2ⁿ with n = −252 … 254, one n for each sixteen numbers."""
    p = unpack(row, Row)
    for i in range(0, p.n, 16):
        n = splat(np.int32(i // 16 - 252))
        store_first(p.out, i, maths.scaled(load_first(p.x, i, p.n - i), n), p.n - i)
    return 0


def test_scaled_rounds_once():
    """Whatever instructions do it: denormal results, 0 and infinity as ldexp has them."""
    x = np.random.default_rng(0).uniform(0.25, 4, (507, 16)).astype(np.float32)
    x[:, 0], x[:, 1], x[:, 2] = np.nan, 1, 0
    n = np.arange(-252, 255)[:, None]
    with np.errstate(over="ignore", under="ignore"):
        expected = np.ldexp(x.astype(np.float64), n).astype(np.float32)
    out = np.empty_like(x)
    launch(scale_by_code, out, x, n=x.size)
    np.testing.assert_array_equal(out, expected)
