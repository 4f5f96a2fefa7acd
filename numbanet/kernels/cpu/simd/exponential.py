"""eˣ for x ≤ 0, as softmax needs it: without what large results take."""

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
