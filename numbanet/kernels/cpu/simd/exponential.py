"""eˣ for x ≤ 0, as softmax needs it: without what large results take; and a cheaper one for terms of a sum."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.maths import EXP_TERMS, LN2_HIGH, LN2_LOW, LOG2_E
from numbanet.kernels.cpu.simd.vector import as_float_bits, as_int_bits, fma, select, shift_left, splat

ROUNDER = np.float32(1.5 * 2**23)
"""Added to a small number, it leaves the nearest integer in the lowest bits."""
LOWEST = np.float32(-104)
"""e to this is less than half of the smallest denormal."""
BIAS = np.int32((127 + 64) << 23)
TWO_TO_MINUS_64 = np.float32(2.0**-64)
LEAST_TERM = np.float32(-86)
"""e to this is above the smallest normal number, and nothing beside 1."""
# 2ʳ = 1 + r · Σ TERMS · rⁱ for |r| ≤ 1/2, within 3e-9
TERMS = tuple(
    np.float32(c)
    for c in (6.9314718e-1, 2.4022648e-1, 5.5503599e-2, 9.6185058e-3, 1.3390806e-3, 1.5326463e-4)
)  # fmt: skip


@device_function
def exp_nonpositive(x):
    """eˣ within 1 ulp for x ≤ 40: x = n·ln 2 + r, eʳ by the polynomial of ``exp``, times 2ⁿ⁺⁶⁴, times 2⁻⁶⁴.

    The last factor rounds once, so denormal results are right. NaN passes through."""
    x = select(x < splat(LOWEST), splat(LOWEST), x)
    shifted = fma(x, splat(LOG2_E), splat(ROUNDER))
    n = shifted - splat(ROUNDER)
    r = fma(n, splat(-LN2_HIGH), x)
    r = fma(n, splat(-LN2_LOW), r)
    p = splat(EXP_TERMS[0])
    p = fma(p, r, splat(EXP_TERMS[1]))
    p = fma(p, r, splat(EXP_TERMS[2]))
    p = fma(p, r, splat(EXP_TERMS[3]))
    p = fma(p, r, splat(EXP_TERMS[4]))
    p = fma(p, r, splat(EXP_TERMS[5]))
    p = fma(p, r * r, r) + splat(np.float32(1))
    power = as_float_bits(shift_left(as_int_bits(shifted), 23) + splat(BIAS))
    return p * power * splat(TWO_TO_MINUS_64)


@device_function
def exp_term(x):
    """eˣ for x ≤ 0 within 1.5 + |x|/4 ulp, as a term of a sum that holds a term of 1: there |x| eˣ / 4 ulp are less
    than 0.1 of one of the sum. It takes two thirds of the instructions of ``exp_nonpositive``, in a shorter chain.

    x · log₂ e = n + r, 2ʳ by a polynomial, and n is added to its exponent. Below LEAST_TERM it is as for LEAST_TERM.
    The NaN of ∞ − ∞, whose low bits are 0, passes through."""
    x = select(x < splat(LEAST_TERM), splat(LEAST_TERM), x)
    shifted = fma(x, splat(LOG2_E), splat(ROUNDER))
    r = fma(x, splat(LOG2_E), splat(ROUNDER) - shifted)
    square = r * r
    low = fma(r, splat(TERMS[1]), splat(TERMS[0]))
    middle = fma(r, splat(TERMS[3]), splat(TERMS[2]))
    high = fma(r, splat(TERMS[5]), splat(TERMS[4]))
    p = fma(fma(fma(high, square, middle), square, low), r, splat(np.float32(1)))
    return as_float_bits(as_int_bits(p) + shift_left(as_int_bits(shifted), 23))
