"""ReLU, tanh, the logistic function and GELU with their derivatives, for vectors of 16 lanes.

Bounds over the whole range of float32 are tested: see the table in tests/kernels_cpu/test_maths.py.
"""

import numpy as np

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.error_function import normal_tail
from numbanet.kernels.cpu.simd.masks import magnitude, with_sign
from numbanet.kernels.cpu.simd.maths import EXP_LEAST, clamped, exp_parts, power_of_two, scaled
from numbanet.kernels.cpu.simd.vector import (
    fma,
    select,
    splat,
)

ONE = np.float32(1)
TANH_MOST = np.float32(20)
"""2·|x| from which tanh rounds to 1."""
TANH_CHANGE = np.float32(0.625)
TANH_TERMS = tuple(
    np.float32(c) for c in (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
)
"""(tanh(x)/x − 1)/x² in x², from Cephes."""
FLAT = np.float32(100)
"""|x| beyond which both forms of GELU are 0 or x; x³ must not overflow."""
DENSITY = np.float32(0.3989422804)
"""1/√(2π): the normal density at 0."""
GELU_LINEAR = np.float32(1.5957691216)
"""2·√(2/π)."""
GELU_CUBIC = np.float32(0.0713548162726)
"""2·√(2/π)·0.044715."""


@device_function
def identity(x):
    """x."""
    return x


@device_function
def relu(x):
    """max(x, 0); a NaN stays a NaN."""
    return select(x < splat(np.float32(0)), splat(np.float32(0)), x)


@device_function
def tanh(x):
    """tanh x: below TANH_CHANGE an odd polynomial, else 1 − 2/(exp(2|x|) + 1) with the sign of x. Within 2 ulp."""
    square = x * x
    near = fma(splat(TANH_TERMS[0]), square, splat(TANH_TERMS[1]))
    near = fma(near, square, splat(TANH_TERMS[2]))
    near = fma(near, square, splat(TANH_TERMS[3]))
    near = fma(near, square, splat(TANH_TERMS[4]))
    size = magnitude(x)
    twice = size + size
    p, n = exp_parts(select(twice > splat(TANH_MOST), splat(TANH_MOST), twice), splat(np.float32(0)))
    far = splat(ONE) - splat(np.float32(2)) / fma(p, power_of_two(n), splat(ONE))
    return select(size < splat(TANH_CHANGE), fma(near * square, x, x), with_sign(far, x))


@device_function
def sigmoid(x):
    """1/(1 + e⁻ˣ), for x < 0 as eˣ/(1 + eˣ): exp only ever sees −|x|. Within 2.5 ulp."""
    small = exp_of_negative(x)
    return select(x < splat(np.float32(0)), small, splat(ONE)) / (small + splat(ONE))


@device_function
def exp_of_negative(x):
    """exp(−|x|)."""
    x = with_sign(x, splat(-ONE))
    p, n = exp_parts(select(x < splat(EXP_LEAST), splat(EXP_LEAST), x), splat(np.float32(0)))
    return scaled(p, n)


@device_function
def gelu(x):
    """x·Φ(x) = max(x, 0) − |x|·Φ(−|x|), Φ the normal distribution. Within 7 ulp; 0 at −∞."""
    p, n, rest, size = normal_tail(x)
    tail = scaled(p * (rest * size), n)
    return select(x < splat(np.float32(0)), splat(np.float32(0)), x) - tail


@device_function
def gelu_slope(x):
    """d/dx x·Φ(x) = Φ(x) + x·φ(x): for x < 0 it is e^(−x²/2)·(R(|x|) − |x|/√(2π)), for x ≥ 0 one less that."""
    p, n, rest, size = normal_tail(x)
    slope = scaled(p * fma(size, splat(-DENSITY), rest), n)
    return select(x < splat(np.float32(0)), slope, splat(ONE) - slope)


@device_function
def gelu_tanh(x):
    """½·x·(1 + tanh u) = x/(1 + exp(−2u)), 2u = x·(GELU_LINEAR + GELU_CUBIC·x²).

    Within ulp·(3 + 5|u|): the rounding error of u is one of the result, for negative x. 0 at −∞."""
    x = select(x < splat(-FLAT), splat(-FLAT), x)
    return x * sigmoid(x * fma(x * x, splat(GELU_CUBIC), splat(GELU_LINEAR)))


@device_function
def gelu_tanh_slope(x):
    """s + x·s·(1 − s)·2u′ with s = 1/(1 + exp(−2u)) and 2u′ = GELU_LINEAR + 3·GELU_CUBIC·x²."""
    x = clamped(x, -FLAT, FLAT)
    square = x * x
    u = x * fma(square, splat(GELU_CUBIC), splat(GELU_LINEAR))
    small = exp_of_negative(u)
    scale = splat(ONE) / (small + splat(ONE))
    s = select(u < splat(np.float32(0)), small, splat(ONE)) * scale
    inner = fma(square, splat(np.float32(3) * GELU_CUBIC), splat(GELU_LINEAR))
    return fma(x * inner, small * scale * scale, s)
