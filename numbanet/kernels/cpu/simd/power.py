"""xʸ for vectors of 16 lanes: 2^(y·log₂|x|) in float64, so that the result is right within 0.51 ulp."""

import numpy as np

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.masks import magnitude, with_sign
from numbanet.kernels.cpu.simd.maths import (
    INFINITY,
    NOT_A_NUMBER,
    SMALLEST_NORMAL,
    SQRT_2,
    TWO_23,
)
from numbanet.kernels.cpu.simd.vector import (
    as_float_bits,
    as_int_bits,
    rint,
    select,
    shift_right,
    splat,
    to_float,
)
from numbanet.kernels.cpu.simd.wide import (
    fma_wide,
    narrow,
    nearest_integer_wide,
    power_of_two_wide,
    splat_wide,
    widen,
)

ZERO, ONE = np.float32(0), np.float32(1)
TWO_LOG2_E = np.float64(2.8853900817779268)
LN2 = np.float64(0.6931471805599453)
ATANH_TERMS = tuple(np.float64(1) / np.float64(k) for k in (15, 13, 11, 9, 7, 5, 3, 1))
"""artanh(s)/s in s², for |s| ≤ 0.1716: relative error 4e-14."""
EXP_TERMS = tuple(np.float64(c) for c in (1 / 40320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1, 1))
"""eʳ in r, for |r| ≤ ½ ln 2: relative error 3e-10."""
EXPONENT_MOST = np.float64(300)


@device_function
def log2_wide(x):
    """log₂ of positive finite x: x = 2ᵉ·m with m in √½ … √2, ln m = 2·artanh((m − 1)/(m + 1))."""
    is_denormal = x < splat(SMALLEST_NORMAL)
    bits = as_int_bits(select(is_denormal, x * splat(TWO_23), x))
    e = shift_right(bits, 23) - splat(np.int32(127)) - select(is_denormal, splat(np.int32(23)), splat(np.int32(0)))
    m = as_float_bits((bits & splat(np.int32(0x007FFFFF))) | splat(np.int32(0x3F800000)))
    is_large = m > splat(SQRT_2)
    m = widen(select(is_large, m * splat(np.float32(0.5)), m))
    exponent = widen(to_float(select(is_large, e + splat(np.int32(1)), e)))
    one = splat_wide(np.float64(1))
    s = (m - one) / (m + one)
    square = s * s
    p = fma_wide(splat_wide(ATANH_TERMS[0]), square, splat_wide(ATANH_TERMS[1]))
    p = fma_wide(p, square, splat_wide(ATANH_TERMS[2]))
    p = fma_wide(p, square, splat_wide(ATANH_TERMS[3]))
    p = fma_wide(p, square, splat_wide(ATANH_TERMS[4]))
    p = fma_wide(p, square, splat_wide(ATANH_TERMS[5]))
    p = fma_wide(p, square, splat_wide(ATANH_TERMS[6]))
    p = fma_wide(p, square, splat_wide(ATANH_TERMS[7]))
    return fma_wide(p * s, splat_wide(TWO_LOG2_E), exponent)


@device_function
def exp2_wide(t):
    """2ᵗ; NaN stays."""
    most = splat_wide(EXPONENT_MOST)
    t = select(t > most, most, t)
    t = select(t < splat_wide(-EXPONENT_MOST), splat_wide(-EXPONENT_MOST), t)
    n, whole = nearest_integer_wide(t)
    r = (t - n) * splat_wide(LN2)
    p = fma_wide(splat_wide(EXP_TERMS[0]), r, splat_wide(EXP_TERMS[1]))
    p = fma_wide(p, r, splat_wide(EXP_TERMS[2]))
    p = fma_wide(p, r, splat_wide(EXP_TERMS[3]))
    p = fma_wide(p, r, splat_wide(EXP_TERMS[4]))
    p = fma_wide(p, r, splat_wide(EXP_TERMS[5]))
    p = fma_wide(p, r, splat_wide(EXP_TERMS[6]))
    p = fma_wide(p, r, splat_wide(EXP_TERMS[7]))
    p = fma_wide(p, r, splat_wide(EXP_TERMS[8]))
    return p * power_of_two_wide(whole)


@device_function
def power(x, y):
    """xʸ with the special cases of C99: x⁰ = 1ʸ = 1, a negative x only to whole powers, …"""
    zero, one, infinity = splat(ZERO), splat(ONE), splat(INFINITY)
    size = magnitude(x)
    result = narrow(exp2_wide(widen(y) * log2_wide(size)))
    grows = select(y > zero, infinity, zero)  # an infinite x to the power of y
    shrinks = select(y > zero, zero, infinity)
    result = select(size == infinity, grows, result)
    result = select(size == zero, shrinks, result)
    result = select(size == one, one, result)
    half = y * splat(np.float32(0.5))
    is_whole = rint(y) == y
    is_odd = is_whole & (rint(half) != half)
    result = select(is_odd, with_sign(result, x), result)
    result = select((x < zero) & (size != infinity) & (rint(y) != y), splat(NOT_A_NUMBER), result)
    result = select((x != x) | (y != y), splat(NOT_A_NUMBER), result)
    return select((y == zero) | (x == one), one, result)
