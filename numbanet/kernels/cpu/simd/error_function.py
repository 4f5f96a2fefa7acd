"""erf and the tail of the normal distribution, for vectors of 16 lanes.

The coefficients are weighted minimax fits (Lawson's iteration) to scipy.special in float64, rounded to float32.
"""

import numpy as np

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.masks import magnitude, with_sign
from numbanet.kernels.cpu.simd.maths import clamped, exp, exp_parts
from numbanet.kernels.cpu.simd.vector import (
    fma,
    select,
    splat,
)

ONE = np.float32(1)
TAIL_MOST = np.float32(15)
"""Where e^(−t²/2)·t is below half the smallest denormal."""
TAIL_ABOVE = tuple(np.float32(c) for c in (0.0041164747, 0.040634315, 0.18323833, 0.43829918, 0.5))
TAIL_BELOW = tuple(np.float32(c) for c in (0.010318352, 0.10186157, 0.46947905, 1.2025162, 1.6744833, 1))
"""R(t) = Φ(−t)·e^(t²/2) as a quotient of polynomials, relative error 4e-8 on 0 … 15."""
ERF_NEAR = tuple(
    np.float32(c)
    for c in (8.316909e-05, -0.000813005, 0.0051999106, -0.026858944, 0.112836875, -0.37612632, 0.12837917)
)
"""erf(x)/x − 1 in x², for |x| below ERF_CHANGE."""
ERF_FAR = tuple(np.float32(c) for c in (-0.00021459589, 0.0032199821, -0.02290605, 0.10528688, 0.63569933, 0.12851995))
"""−ln(1 − erf(t))/t − 1 in t, for t from ERF_CHANGE to ERF_MOST, where erf rounds to 1."""
ERF_CHANGE = np.float32(0.92)
ERF_MOST = np.float32(4)


@device_function
def normal_tail(x):
    """(p, n, R, t) with Φ(−t) = p·2ⁿ·R and t = |x| up to TAIL_MOST, where all that is left of it is 0.

    e^(−t²/2) takes the rounding error of t² along, so that it is right in relation to itself."""
    t = clamped(magnitude(x), np.float32(0), TAIL_MOST)
    square = t * t
    low = fma(t, t, splat(np.float32(0)) - square)
    half = splat(np.float32(-0.5))
    p, n = exp_parts(square * half, low * half)
    above = fma(splat(TAIL_ABOVE[0]), t, splat(TAIL_ABOVE[1]))
    below = fma(splat(TAIL_BELOW[0]), t, splat(TAIL_BELOW[1]))
    above = fma(above, t, splat(TAIL_ABOVE[2]))
    below = fma(below, t, splat(TAIL_BELOW[2]))
    above = fma(above, t, splat(TAIL_ABOVE[3]))
    below = fma(below, t, splat(TAIL_BELOW[3]))
    above = fma(above, t, splat(TAIL_ABOVE[4]))
    below = fma(below, t, splat(TAIL_BELOW[4]))
    below = fma(below, t, splat(TAIL_BELOW[5]))
    return p, n, above / below, t


@device_function
def erf(x):
    """erf x: near 0 an odd polynomial, else 1 − exp(−t − t·q(t)) with t = |x| and the sign of x. Within 2 ulp."""
    square = x * x
    near = fma(splat(ERF_NEAR[0]), square, splat(ERF_NEAR[1]))
    near = fma(near, square, splat(ERF_NEAR[2]))
    near = fma(near, square, splat(ERF_NEAR[3]))
    near = fma(near, square, splat(ERF_NEAR[4]))
    near = fma(near, square, splat(ERF_NEAR[5]))
    near = fma(near, square, splat(ERF_NEAR[6]))
    t = clamped(magnitude(x), np.float32(0), ERF_MOST)
    far = fma(splat(ERF_FAR[0]), t, splat(ERF_FAR[1]))
    far = fma(far, t, splat(ERF_FAR[2]))
    far = fma(far, t, splat(ERF_FAR[3]))
    far = fma(far, t, splat(ERF_FAR[4]))
    far = fma(far, t, splat(ERF_FAR[5]))
    far = splat(ONE) - exp(splat(np.float32(0)) - fma(far, t, t))
    return select(magnitude(x) < splat(ERF_CHANGE), fma(near, x, x), with_sign(far, x))
