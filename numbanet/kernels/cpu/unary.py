"""Kernels of functions of one float32 array, and of their gradients."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import unpack
from numbanet.kernels.cpu.elementwise import (
    Binary,
    Predicate,
    Unary,
    long_along,
    long_along_pair,
    over_lines,
    over_lines_by_code,
    over_pairs_of_lines,
    short_along,
    short_along_pair,
)
from numbanet.kernels.cpu.kernel import Kernel, device_function, kernel
from numbanet.kernels.cpu.lines import line_begin, piece
from numbanet.kernels.cpu.simd import activation, error_function, maths, trigonometric
from numbanet.kernels.cpu.simd.masks import ceil, floor, magnitude, store_bits
from numbanet.kernels.cpu.simd.tails import load_upto
from numbanet.kernels.cpu.simd.vector import (
    fma,
    rint,
    select,
    splat,
    sqrt,
)

ZERO, ONE = np.float32(0), np.float32(1)
INFINITY = np.float32(np.inf)
NEG, ABS, SQUARE, RECIPROCAL, SQRT, SIGN, FLOOR, CEIL, ROUND = range(9)
NOT, NAN, INF = range(3)
TANH, SIGMOID = range(2)


@device_function
def cheap(code, x):
    """One of the functions of a few instructions."""
    if code == NEG:
        return splat(np.float32(-0.0)) - x
    if code == ABS:
        return magnitude(x)
    if code == SQUARE:
        return x * x
    if code == RECIPROCAL:
        return splat(ONE) / x
    if code == SQRT:
        return sqrt(x)
    if code == SIGN:
        positive = select(x > splat(ZERO), splat(ONE), x)
        return select(x < splat(ZERO), splat(-ONE), positive)
    if code == FLOOR:
        return floor(x)
    if code == CEIL:
        return ceil(x)
    return rint(x)


_cheap_walk = over_lines_by_code(cheap)


@kernel(Unary)
def unary_cheap(start, stop, row, scratch):
    """out = −x, |x|, x², 1/x, √x, sign, ⌊x⌋, ⌈x⌉ or x rounded half to even, by the code."""
    return _cheap_walk(unpack(row, Unary), start, stop)


_relu_walk = over_lines(short_along(activation.relu))


@kernel(Unary)
def relu(start, stop, row, scratch):
    """out = x where x is not below 0, else 0: a NaN stays a NaN."""
    return _relu_walk(unpack(row, Unary), start, stop)


_exp_walk = over_lines(long_along(maths.exp))


@kernel(Unary)
def exp(start, stop, row, scratch):
    """out = eˣ."""
    return _exp_walk(unpack(row, Unary), start, stop)


_log_walk = over_lines(long_along(maths.log))


@kernel(Unary)
def log(start, stop, row, scratch):
    """out = ln x."""
    return _log_walk(unpack(row, Unary), start, stop)


_tanh_walk = over_lines(long_along(activation.tanh))


@kernel(Unary)
def tanh(start, stop, row, scratch):
    """out = tanh x."""
    return _tanh_walk(unpack(row, Unary), start, stop)


_sigmoid_walk = over_lines(long_along(activation.sigmoid))


@kernel(Unary)
def sigmoid(start, stop, row, scratch):
    """out = 1/(1 + e⁻ˣ)."""
    return _sigmoid_walk(unpack(row, Unary), start, stop)


_erf_walk = over_lines(long_along(error_function.erf))


@kernel(Unary)
def erf(start, stop, row, scratch):
    """out = erf x."""
    return _erf_walk(unpack(row, Unary), start, stop)


_gelu_walk = over_lines(long_along(activation.gelu))


@kernel(Unary)
def gelu(start, stop, row, scratch):
    """out = x·Φ(x)."""
    return _gelu_walk(unpack(row, Unary), start, stop)


_gelu_tanh_walk = over_lines(long_along(activation.gelu_tanh))


@kernel(Unary)
def gelu_tanh(start, stop, row, scratch):
    """out = ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))."""
    return _gelu_tanh_walk(unpack(row, Unary), start, stop)


_sin_or_cos_walk = over_lines_by_code(trigonometric.sin_or_cos)


@kernel(Unary)
def sin_cos(start, stop, row, scratch):
    """out = sin x or cos x, by the code."""
    return _sin_or_cos_walk(unpack(row, Unary), start, stop)


@kernel(Predicate)
def predicate(start, stop, row, scratch):
    """out (bytes) = whether x is 0, NaN or infinite, by the code."""
    a = unpack(row, Predicate)
    for task in range(start, stop):
        first, last, begin, end = piece(a.lines, a.size, task)
        for line in range(first, last):
            out, x = a.out + line_begin(a.lines, 0, line), a.x + line_begin(a.lines, 1, line)
            for i in range(begin, end, 16):
                value = load_upto(x, i, end - i)
                if a.code == NOT:
                    bits = value == splat(ZERO)
                elif a.code == NAN:
                    bits = value != value
                else:
                    bits = magnitude(value) == splat(INFINITY)
                store_bits(out, i, bits, end - i)
    return 0


# --- gradients -------------------------------------------------------------------------------------------------------
@device_function
def relu_gradient_of(grad, y):
    """The gradient where y is not at or below 0, else 0."""
    return select(y <= splat(ZERO), splat(ZERO), grad)


@device_function
def saturating_gradient(code, grad, y):
    """grad·(1 − y²) of tanh, or grad·y·(1 − y) of the logistic function."""
    if code == TANH:
        return grad * fma(splat(ZERO) - y, y, splat(ONE))
    return grad * ((splat(ONE) - y) * y)


@device_function
def gelu_gradient_of(code, grad, x):
    """grad·d/dx x·Φ(x)."""
    return grad * activation.gelu_slope(x)


@device_function
def gelu_tanh_gradient_of(code, grad, x):
    """grad times the derivative of the form with tanh."""
    return grad * activation.gelu_tanh_slope(x)


_relu_gradient_walk = over_pairs_of_lines(short_along_pair(relu_gradient_of))


@kernel(Binary)
def relu_gradient(start, stop, row, scratch):
    """out = x (the gradient) where y (the ReLU's output) is not at or below 0, else 0."""
    return _relu_gradient_walk(unpack(row, Binary), start, stop)


_saturating_gradient_walk = over_pairs_of_lines(long_along_pair(saturating_gradient))


@kernel(Binary)
def tanh_gradient(start, stop, row, scratch):
    """out = the gradient through tanh or the logistic function with output y, by the code."""
    return _saturating_gradient_walk(unpack(row, Binary), start, stop)


_gelu_gradient_walk = over_pairs_of_lines(long_along_pair(gelu_gradient_of))


@kernel(Binary)
def gelu_gradient(start, stop, row, scratch):
    """out = the gradient through GELU at y."""
    return _gelu_gradient_walk(unpack(row, Binary), start, stop)


_gelu_tanh_gradient_walk = over_pairs_of_lines(long_along_pair(gelu_tanh_gradient_of))


@kernel(Binary)
def gelu_tanh_gradient(start, stop, row, scratch):
    """out = the gradient through GELU's form with tanh at y."""
    return _gelu_tanh_gradient_walk(unpack(row, Binary), start, stop)


UNARY_KERNELS: dict[str, tuple[Kernel, int]] = {
    **{one.name: (one, 0) for one in (relu, exp, log, tanh, sigmoid, erf, gelu, gelu_tanh)},
    "sin": (sin_cos, 0),
    "cos": (sin_cos, 1),
    "neg": (unary_cheap, NEG),
    "abs": (unary_cheap, ABS),
    "square": (unary_cheap, SQUARE),
    "reciprocal": (unary_cheap, RECIPROCAL),
    "sqrt": (unary_cheap, SQRT),
    "sign": (unary_cheap, SIGN),
    "floor": (unary_cheap, FLOOR),
    "ceil": (unary_cheap, CEIL),
    "round": (unary_cheap, ROUND),
}
PREDICATES = {"logical_not": NOT, "isnan": NAN, "isinf": INF}
GRADIENT_KERNELS: dict[str, tuple[Kernel, int]] = {
    "tanh": (tanh_gradient, TANH),
    "sigmoid": (tanh_gradient, SIGMOID),
    "gelu": (gelu_gradient, 0),
    "gelu_tanh": (gelu_tanh_gradient, 0),
}
