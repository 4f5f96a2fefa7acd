"""Gradients of convolutions for weights and bias: both forms, every tile of taps, parts, blocks of taps and bands."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu import conv_weight
from numbanet.kernels.cpu.simd.tile import LANES
from tests.kernels_cpu.cases.case import Case, of_terms, random, unset
from tests.kernels_cpu.cases.convolutions import GEOMETRIES, out_size

BOUND = of_terms(4)

# Geometries of which the runs of taps fit, with enough output channels for two vectors of them.
RUN_GEOMETRIES = {
    f"rows of {run}, {channels} channels": ((2, 2, 6, 9), channels, (2, run), (1, 1), (0, run // 2), (1, 1), 1)
    for run in (1, 3, 5, 7)
    for channels in (7, 18)
}
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


def _case(name, args, *patches):
    changed = (0,) if args[1] is None else (0, 1)
    return Case(f"conv2d_weight_grad {name}", "conv2d_weight_grad", args, changed, BOUND, patches=patches)


SUMS = ("conv_weight_rows", "wins", lambda channels, width: True)
CHANNELS = ("conv_weight_rows", "wins", lambda channels, width: False)


def _forms():
    for name, geometry in (GEOMETRIES | MORE).items():
        args = _tensors(name, *geometry, bias=True)
        yield _case(name, args)
        yield _case(f"{name}, dot products", args, SUMS)
        yield _case(f"{name}, channels", args, CHANNELS)
        yield _case(f"{name}, no bias, dot products", _tensors(name, *geometry, bias=False), SUMS)
        yield _case(f"{name}, no bias, channels", _tensors(name, *geometry, bias=False), CHANNELS)
        for scratch in (1, 700):
            bands = ("conv_weight", "BAND_SCRATCH", scratch)
            yield _case(f"{name}, bands in {scratch} floats, dot products", args, SUMS, bands)
            yield _case(f"{name}, bands in {scratch} floats, channels", args, CHANNELS, bands)
        yield _case(f"{name}, two parts", args, ("conv_weight", "MOST_PARTS", 2))


def _tiles():
    """Every tile of taps by vectors of output channels that fits; its run must be a row of the filter, or 1."""
    for name, geometry in RUN_GEOMETRIES.items():
        padded, width = conv_weight.padded_to_tile(geometry[1]), geometry[2][1]
        for choice in conv_weight.RUNS:
            columns, run = choice
            if padded % (columns * LANES) == 0 and run in (1, width):
                args = _tensors(name, *geometry, bias=True)
                force = ("conv_weight", "choose_tile", lambda window, channels, choice=choice: choice)
                yield _case(f"{name}, tile {columns} x {run}", args, CHANNELS, force)


def _infinite():
    """What is infinite or NaN in a gradient stays with its output channel, whatever the padding of the channels is."""
    args = _tensors("infinite", *GEOMETRIES["plain"], bias=True)
    args[2][0, 3, 2, 2], args[2][0, 5, 1, 1] = np.inf, np.nan
    yield _case("infinite, channels", args, CHANNELS)
    yield _case("infinite, dot products", args, SUMS)


WEIGHT_GRADIENTS = [*_forms(), *_tiles(), *_infinite()]
