"""Copies and pointwise functions."""

from __future__ import annotations

import math

import numpy as np

quiet = np.errstate(all="ignore")  # NaN and infinity are values here, not warnings


def _sigmoid(x, out):
    """1 / (1 + exp(−x)) without overflow: exp only ever sees −|x|."""
    small = np.exp(-np.abs(x))
    np.divide(np.where(x >= 0, x.dtype.type(1), small), 1 + small, out=out)


def _map(function, x):
    """A function of one number on all of them, in float64."""
    return np.array([function(value) for value in x.ravel().tolist()]).reshape(x.shape)


def _normal_tail(x):
    """Φ(−|x|), the normal distribution, in float64."""
    return 0.5 * _map(math.erfc, np.abs(x).astype(np.float64) * math.sqrt(0.5))


def _erf(x, out):
    np.copyto(out, _map(math.erf, x), casting="same_kind")


def _gelu(x, out):
    """x·Φ(x) as max(x, 0) − |x|·Φ(−|x|): 0 at −∞, and nothing is lost where Φ(x) is small."""
    size = np.minimum(np.abs(x), 40)
    np.copyto(out, np.where(x < 0, 0, x) - size * _normal_tail(size), casting="same_kind")


def _gelu_slope(x):
    """Φ(x) + x·φ(x), φ the normal density."""
    size = np.minimum(np.abs(x), 40).astype(np.float64)
    slope = _normal_tail(size) - size * np.exp(-0.5 * np.square(size)) / math.sqrt(2 * math.pi)
    return np.where(x < 0, slope, 1 - slope).astype(x.dtype)


def _twice_u(x):
    """2u with u = √(2/π)·(x + 0.044715·x³)."""
    return math.sqrt(8 / math.pi) * (x + 0.044715 * x * x * x)


def _logistic(x):
    out = np.empty_like(x)
    _sigmoid(x, out)
    return out


def _gelu_tanh(x, out):
    """½·x·(1 + tanh u) = x/(1 + exp(−2u)); 0 at −∞."""
    x = np.maximum(x, -100).astype(np.float64)
    np.copyto(out, x * _logistic(_twice_u(x)), casting="same_kind")


def _gelu_tanh_slope(x):
    """s + x·s·(1 − s)·2u′ with s = 1/(1 + exp(−2u)), 1 − s = 1/(1 + exp(2u))."""
    wide = np.clip(x, -100, 100).astype(np.float64)
    u, inner = _twice_u(wide), math.sqrt(8 / math.pi) * (1 + 3 * 0.044715 * np.square(wide))
    s, rest = _logistic(u), _logistic(-u)
    return (s + wide * s * rest * inner).astype(x.dtype)


UNARY = {
    "neg": np.negative,
    "abs": np.absolute,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "square": np.square,
    "reciprocal": np.reciprocal,
    "sign": np.sign,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "relu": lambda x, out: np.maximum(x, 0, out=out),
    "sin": np.sin,
    "cos": np.cos,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "logical_not": np.logical_not,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "erf": _erf,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
}

SLOPES = {
    "tanh": lambda y: 1 - np.square(y),
    "sigmoid": lambda y: (1 - y) * y,
    "gelu": _gelu_slope,
    "gelu_tanh": _gelu_tanh_slope,
}

BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "floor_divide": np.floor_divide,
    "remainder": np.remainder,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


@quiet
def copy(out, x):
    np.copyto(out, x, casting="unsafe")


def fill(out, value):
    out[...] = value


@quiet
def unary(out, x, function):
    UNARY[function](x, out=out)


@quiet
def binary(out, x, y, function):
    BINARY[function](x, y, out=out)


def where(out, condition, x, y):
    np.copyto(out, np.where(condition, x, y))


def relu_backward(out, grad, y):
    np.copyto(out, np.where(y <= 0, grad.dtype.type(0), grad))


@quiet
def unary_backward(out, grad, saved, function):
    np.multiply(grad, SLOPES[function](saved), out=out)


def pointwise_chain(outs, inputs, steps, kept):
    values, shape = list(inputs), outs[0].shape
    for name, function, sources in steps:
        out = np.empty(shape, outs[0].dtype)
        arguments = [
            np.broadcast_to(values[i], shape) if values[i].size == 1 else values[i].reshape(shape) for i in sources
        ]
        FUNCTIONS[name](out, *arguments, *([] if function is None else [function]))
        values.append(out)
    for out, number in zip(outs, kept, strict=True):
        np.copyto(out, values[number].reshape(out.shape))


FUNCTIONS = {one.__name__: one for one in (relu_backward, unary_backward)} | {"unary": unary, "binary": binary}
"""The steps of a chain."""
