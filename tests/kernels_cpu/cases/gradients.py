"""Gradients of convolutions for weights and bias: all forms, parts, blocks of channels and bands."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu import conv_weight_winograd
from numbanet.kernels.cpu.geometry import Window
from tests.kernels_cpu.cases.case import Case, random, unset
from tests.kernels_cpu.cases.convolutions import BOUND, GEOMETRIES, WINOGRAD_BOUND, out_size

MORE = {
    "one picture": ((1, 3, 7, 8), 6, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "forty pictures": ((40, 1, 5, 6), 7, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "many taps": ((2, 9, 6, 6), 20, (5, 5), (1, 1), (2, 2), (1, 1), 1),
    "one channel out": ((2, 3, 6, 40), 1, (3, 3), (1, 1), (1, 1), (1, 1), 1),
}


def _tensors(name, shape, channels, kernel, stride, padding, dilation, groups, bias):
    out = (shape[0], channels, *out_size(shape, kernel, stride, padding, dilation))
    bias_out = unset(channels) if bias else None
    grad, x = random(f"grad {name}", *out), random(f"x {name}", *shape)
    return unset(channels, shape[1] // groups, *kernel), bias_out, grad, x, stride, padding, dilation, groups


def _case(name, args, *patches, bound=BOUND):
    changed = (0,) if args[1] is None else (0, 1)
    return Case(f"conv2d_weight_grad {name}", "conv2d_weight_grad", args, changed, bound, patches=patches)


DIRECT = ("conv_weight_winograd", "wins", lambda window, channels, out_channels, groups: False)
SUMS = (DIRECT, ("conv_weight_rows", "wins", lambda channels, window: True))
CHANNELS = (DIRECT, ("conv_weight_rows", "wins", lambda channels, window: False))


def _is_winograd(shape, channels, kernel, stride, padding, dilation, groups):
    out = out_size(shape, kernel, stride, padding, dilation)
    window = Window(*shape[2:], *out, kernel, stride, padding, dilation)
    return conv_weight_winograd.wins(window, shape[1], channels, groups)


def _forms():
    for name, geometry in (GEOMETRIES | MORE).items():
        args, bare = (_tensors(name, *geometry, bias=bias) for bias in (True, False))
        if _is_winograd(*geometry):
            yield from _winograd(name, args, bare)
        else:
            yield _case(name, args)
        for form, force in (("dot products", SUMS), ("channels", CHANNELS)):
            if form == "channels" or geometry[3] == (1, 1) or geometry[3][1] > 1:
                yield _case(f"{name}, {form}", args, *force)
                yield _case(f"{name}, no bias, {form}", bare, *force)
                for size in (1, 700):
                    bands = (
                        ("conv_weight", "CHAIN", size),
                        ("conv_weight", "BAND", size),
                        ("conv_weight_rows", "BAND", size),
                    )
                    yield _case(f"{name}, bands of {size}, {form}", args, *force, *bands)
                for parts in (1, 2):
                    most = (("conv_weight", "MOST_PARTS", parts), ("conv_weight_rows", "MOST_PARTS", parts))
                    yield _case(f"{name}, {parts} parts, {form}", args, *force, *most)


def _winograd(name, args, bare):
    yield _case(name, args, bound=WINOGRAD_BOUND)
    yield _case(f"{name}, no bias", bare, bound=WINOGRAD_BOUND)
    for size in (1, 700):
        block = ("conv_weight_winograd", "BLOCK", size)
        yield _case(f"{name}, blocks of {size}", args, block, bound=WINOGRAD_BOUND)
    for parts in (1, 2):
        most = ("conv_weight_winograd", "MOST_PARTS", parts)
        yield _case(f"{name}, {parts} parts", args, most, bound=WINOGRAD_BOUND)


def _masked():
    """With the output of a ReLU: its gradient's mask, in each form and for depthwise layers."""
    args = _tensors("Winograd, odd", *GEOMETRIES["Winograd, odd"], bias=True)
    output = np.maximum(random("output Winograd, odd", *args[2].shape), 0)
    yield _case("Winograd, odd, masked", (*args, output), bound=WINOGRAD_BOUND)
    for name in ("plain", "lenet", "depthwise"):
        args = _tensors(name, *GEOMETRIES[name], bias=True)
        output = np.maximum(random(f"output {name}", *args[2].shape), 0)
        yield _case(f"{name}, masked", (*args, output))
        for form, force in (("dot products", SUMS), ("channels", CHANNELS)):
            if name != "depthwise":
                yield _case(f"{name}, masked, {form}", (*args, output), *force)


def _infinite():
    """What is infinite or NaN in a gradient stays with its output channel, whatever the padding of the channels is."""
    args = _tensors("infinite", *GEOMETRIES["plain"], bias=True)
    args[2][0, 3, 2, 2], args[2][0, 5, 1, 1] = np.inf, np.nan
    yield _case("infinite, channels", args, *CHANNELS)
    yield _case("infinite, dot products", args, *SUMS)


WEIGHT_GRADIENTS = [*_forms(), *_masked(), *_infinite()]
