"""sin and cos for vectors of 16 lanes: right within 1.5 ulp over the whole range of float32.

x = n·π/2 + r with |r| ≤ π/4: below 2⁴⁸ in float64 with π/2 in two parts, above in integers, lane by lane.
"""

import math

import numpy as np

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.masks import magnitude
from numbanet.kernels.cpu.simd.vector import (
    any_lane,
    as_float_bits,
    as_int_bits,
    fma,
    lane,
    select,
    shift_left,
    splat,
)
from numbanet.kernels.cpu.simd.wide import (
    fma_wide,
    narrow,
    nearest_integer_wide,
    splat_wide,
    widen,
    with_lane,
)

TWO_OVER_PI = np.float64(2 / np.pi)
HALF_PI_HIGH = np.float64(np.pi / 2)
HALF_PI_LOW = np.float64(6.123233995736766e-17)
HUGE = np.float32(2**48)
SIN_TERMS = tuple(np.float32(c) for c in (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1))
COS_TERMS = tuple(np.float32(c) for c in (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2))
"""Cephes, for |r| ≤ π/4."""
REVOLUTION = 0x28BE60DB9391054A7F09D5F47D4D377036D8A5664F10E4107F9458EAF7AEF158
"""The first 256 bits behind the point of 1/(2π)."""
FIRST_POWER = 25
"""Numbers from 2⁴⁸ on are m·2ᵏ with k ≥ 25 and 24 bits of m."""
TURNS_HIGH = np.array([(REVOLUTION >> (256 - 64 - k)) & (2**64 - 1) for k in range(FIRST_POWER, 105)], np.uint64)
TURNS_LOW = np.array([(REVOLUTION >> (256 - 104 - k)) & (2**40 - 1) for k in range(FIRST_POWER, 105)], np.uint64)
"""2ᵏ/(2π) without its whole part: 64 bits, and the 40 that follow."""
QUARTER = np.float64(np.pi / 2 / 2**62)


@device_function
def huge_rest(x):
    """(quadrant, r) of a finite |x| ≥ 2⁴⁸. Whole turns vanish by themselves in 64-bit integers."""
    significand, power = math.frexp(np.float64(abs(x)))
    m = np.uint64(significand * np.float64(16777216))
    k = power - 24 - FIRST_POWER
    turns = m * TURNS_HIGH[k] + ((m * TURNS_LOW[k]) >> np.uint64(40))
    quadrant = np.int64((turns + np.uint64(1 << 61)) >> np.uint64(62))
    rest = np.float64(np.int64(turns - (np.uint64(quadrant) << np.uint64(62)))) * QUARTER
    return quadrant, np.float32(-rest if x < 0 else rest)


@device_function
def sin_or_cos(code, x):
    """sin x (code 0) or cos x (code 1); NaN for an infinite x."""
    wide = widen(x)
    n, quadrant = nearest_integer_wide(wide * splat_wide(TWO_OVER_PI))
    r = fma_wide(n, splat_wide(-HALF_PI_HIGH), wide)
    rest = narrow(fma_wide(n, splat_wide(-HALF_PI_LOW), r))
    size = magnitude(x)
    if any_lane(size >= splat(HUGE)):
        for number in range(16):
            value = lane(x, number)
            if abs(value) == np.float32(np.inf):
                rest = with_lane(rest, number, np.float32(np.nan))
            elif abs(value) >= HUGE:
                turned, small = huge_rest(value)
                quadrant = with_lane(quadrant, number, np.int32(-turned if value < 0 else turned))
                rest = with_lane(rest, number, small)
    if code == 1:
        quadrant = quadrant + splat(np.int32(1))
    square = rest * rest
    odd = fma(splat(SIN_TERMS[0]), square, splat(SIN_TERMS[1]))
    odd = fma(odd, square, splat(SIN_TERMS[2]))
    odd = fma(odd * square, rest, rest)
    even = fma(splat(COS_TERMS[0]), square, splat(COS_TERMS[1]))
    even = fma(even, square, splat(COS_TERMS[2]))
    even = fma(even * square, square, fma(square, splat(np.float32(-0.5)), splat(np.float32(1))))
    one = splat(np.int32(1))
    value = select((quadrant & one) == one, even, odd)
    sign = shift_left(quadrant & splat(np.int32(2)), 30)
    return as_float_bits(as_int_bits(value) ^ sign)
