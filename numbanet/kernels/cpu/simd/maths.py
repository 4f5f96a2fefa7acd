"""Vector maths of our own: the same bits on every machine, which the system's library does not give.

Polynomials from Cephes (S. Moshier, single precision), evaluated with fused multiply-adds. Bounds over the whole range
of float32 are tested: exp and log within 1 ulp, expm1 within 2; infinities, zeros, denormals and NaN as IEEE 754 has
them.
"""

import numpy as np

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.masks import scale
from numbanet.kernels.cpu.simd.vector import (
    as_float_bits,
    as_int_bits,
    fma,
    select,
    shift_left,
    shift_right,
    splat,
    to_float,
)
from numbanet.kernels.cpu.target import has_scaling

HAS_SCALING = has_scaling()
LOG2_E = np.float32(1.44269504088896341)
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440e-4)
ROUNDING = np.float32(12582912)
ROUNDING_BITS = np.int32(0x4B400000)
EXP_LEAST = np.float32(-104)
EXP_MOST = np.float32(89)
EXPM1_LEAST = np.float32(-40)
EXPM1_MOST = np.float32(80)
EXP_TERMS = tuple(
    np.float32(c)
    for c in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)
LOG_TERMS = tuple(
    np.float32(c)
    for c in (
        7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
        -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    )
)  # fmt: skip
SMALLEST_NORMAL = np.float32(1.17549435e-38)
TWO_23 = np.float32(8388608)
SQRT_2 = np.float32(1.41421356)
INFINITY = np.float32(np.inf)
NOT_A_NUMBER = np.float32(np.nan)


@device_function
def power_of_two(n):
    """2ⁿ for int32 lanes −126 … 127."""
    return as_float_bits(shift_left(n + splat(np.int32(127)), 23))


@device_function
def scaled(p, n):
    """p·2ⁿ for int32 lanes −252 … 254 and p of the order of 1: in two factors, so that denormal results are right."""
    if HAS_SCALING:
        return scale(p, to_float(n))
    half = shift_right(n, 1)
    return p * power_of_two(half) * power_of_two(n - half)


@device_function
def clamped(x, lowest, highest):
    """x within lowest … highest; NaN stays."""
    x = select(x < splat(lowest), splat(lowest), x)
    return select(x > splat(highest), splat(highest), x)


@device_function
def nearest_integer(x):
    """The nearest integer of |x| < 2²², as float32 and as int32: it is what is left of x + 1.5·2²³."""
    shifted = x + splat(ROUNDING)
    return shifted - splat(ROUNDING), as_int_bits(shifted) - splat(ROUNDING_BITS)


@device_function
def exp_less_one_of_rest(r):
    """eʳ − 1 for |r| ≤ ½ ln 2, small in relation to itself."""
    p = splat(EXP_TERMS[0])
    p = fma(p, r, splat(EXP_TERMS[1]))
    p = fma(p, r, splat(EXP_TERMS[2]))
    p = fma(p, r, splat(EXP_TERMS[3]))
    p = fma(p, r, splat(EXP_TERMS[4]))
    p = fma(p, r, splat(EXP_TERMS[5]))
    return fma(p, r * r, r)


@device_function
def exp_parts(x, low):
    """(p, n) with eˣ⁺ˡᵒʷ = p·2ⁿ for x in EXP_LEAST … EXP_MOST, low a rounding error of x.

    x = n·ln 2 + r, and p a polynomial in r."""
    n, whole = nearest_integer(x * splat(LOG2_E))
    r = fma(n, splat(-LN2_HIGH), x)
    r = fma(n, splat(-LN2_LOW), r) + low
    return exp_less_one_of_rest(r) + splat(np.float32(1)), whole


@device_function
def exp(x):
    """eˣ. Beyond EXP_LEAST and EXP_MOST it is 0 and infinity, as it is there."""
    p, n = exp_parts(clamped(x, EXP_LEAST, EXP_MOST), splat(np.float32(0)))
    return scaled(p, n)


@device_function
def expm1_of(x):
    """eˣ − 1 for x in EXPM1_LEAST … 88: 2ⁿ·(eʳ − 1) + (2ⁿ − 1)."""
    n, whole = nearest_integer(x * splat(LOG2_E))
    r = fma(n, splat(-LN2_HIGH), x)
    r = fma(n, splat(-LN2_LOW), r)
    power = power_of_two(whole)
    return fma(power, exp_less_one_of_rest(r), power - splat(np.float32(1)))


@device_function
def expm1(x):
    """eˣ − 1."""
    low = expm1_of(clamped(x, EXPM1_LEAST, EXPM1_MOST))
    return select(x > splat(EXPM1_MOST), exp(x), low)


@device_function
def log(x):
    """ln x: x = 2ᵉ·m with m in √½ … √2, ln m by a polynomial in m − 1."""
    is_denormal = x < splat(SMALLEST_NORMAL)
    scaled = select(is_denormal, x * splat(TWO_23), x)
    bits = as_int_bits(scaled)
    e = shift_right(bits, 23) - splat(np.int32(127)) - select(is_denormal, splat(np.int32(23)), splat(np.int32(0)))
    m = as_float_bits((bits & splat(np.int32(0x007FFFFF))) | splat(np.int32(0x3F800000)))
    is_large = m > splat(SQRT_2)
    m = select(is_large, m * splat(np.float32(0.5)), m)
    exponent = to_float(select(is_large, e + splat(np.int32(1)), e))
    f = m - splat(np.float32(1))
    square = f * f
    p = splat(LOG_TERMS[0])
    p = fma(p, f, splat(LOG_TERMS[1]))
    p = fma(p, f, splat(LOG_TERMS[2]))
    p = fma(p, f, splat(LOG_TERMS[3]))
    p = fma(p, f, splat(LOG_TERMS[4]))
    p = fma(p, f, splat(LOG_TERMS[5]))
    p = fma(p, f, splat(LOG_TERMS[6]))
    p = fma(p, f, splat(LOG_TERMS[7]))
    p = fma(p, f, splat(LOG_TERMS[8]))
    p = p * f * square
    p = fma(exponent, splat(LN2_LOW), p)
    p = fma(square, splat(np.float32(-0.5)), p)
    result = fma(exponent, splat(LN2_HIGH), f + p)
    result = select(x == splat(INFINITY), x, result)
    result = select(x == splat(np.float32(0)), splat(-INFINITY), result)
    return select((x < splat(np.float32(0))) | (x != x), splat(NOT_A_NUMBER), result)
