"""Vector maths of our own: the same bits on every machine, which the system's library does not give.

Polynomials from Cephes (S. Moshier, single precision), evaluated with fused multiply-adds. Bounds over the whole range
of float32 are tested: exp and log within 2 ulp; infinities, zeros, denormals and NaN as IEEE 754 has them.
"""

import numpy as np

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.vector import (
    as_float_bits,
    as_int_bits,
    fma,
    rint,
    select,
    shift_left,
    shift_right,
    splat,
    to_float,
    to_int,
)

LOG2_E = np.float32(1.44269504088896341)
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440e-4)
EXP_HIGHEST = np.float32(88.72284)
EXP_LOWEST = np.float32(-103.97208)
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
def exp(x):
    """eˣ: x = n·ln 2 + r, eʳ by a polynomial, times 2ⁿ in two factors so that denormal results are right."""
    n = rint(x * splat(LOG2_E))
    r = fma(n, splat(-LN2_HIGH), x)
    r = fma(n, splat(-LN2_LOW), r)
    p = splat(EXP_TERMS[0])
    p = fma(p, r, splat(EXP_TERMS[1]))
    p = fma(p, r, splat(EXP_TERMS[2]))
    p = fma(p, r, splat(EXP_TERMS[3]))
    p = fma(p, r, splat(EXP_TERMS[4]))
    p = fma(p, r, splat(EXP_TERMS[5]))
    p = fma(p, r * r, r) + splat(np.float32(1))
    whole = to_int(n)
    half = shift_right(whole, 1)
    result = p * power_of_two(half) * power_of_two(whole - half)
    result = select(x > splat(EXP_HIGHEST), splat(INFINITY), result)
    result = select(x < splat(EXP_LOWEST), splat(np.float32(0)), result)
    return select(x != x, x, result)


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
