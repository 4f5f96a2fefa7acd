"""Gradients of a convolution with a max pool behind it: all tiles, what is left out, and what is not finite."""

from __future__ import annotations

import numpy as np

from tests.kernels_cpu.cases.case import Case, random, unset
from tests.kernels_cpu.cases.convolutions import BOUND, WINOGRAD_BOUND, out_size

# name: (n, c, h, w), output channels, kernel, stride, padding, dilation, groups, window and stride of the pool
GEOMETRIES = {
    "lenet 1": ((3, 1, 14, 12), 6, (5, 5), (1, 1), (2, 2), (1, 1), 1, (2, 2), (2, 2)),
    "lenet 2": ((5, 6, 14, 14), 16, (5, 5), (1, 1), (0, 0), (1, 1), 1, (2, 2), (2, 2)),
    "three by three": ((3, 12, 11, 13), 10, (3, 3), (1, 1), (1, 1), (1, 1), 1, (3, 3), (2, 2)),
    "three columns": ((2, 5, 13, 12), 7, (4, 3), (1, 1), (0, 1), (1, 1), 1, (2, 2), (2, 2)),
    "two by four": ((2, 9, 12, 15), 7, (2, 4), (1, 1), (1, 0), (1, 1), 1, (2, 3), (2, 3)),
    "strided, dilated rows": ((2, 5, 19, 25), 4, (3, 5), (2, 3), (1, 2), (2, 1), 1, (2, 1), (2, 2)),
    "padding over kernel": ((2, 5, 6, 9), 3, (3, 2), (1, 1), (4, 3), (1, 1), 1, (2, 2), (2, 2)),
    "forty pictures": ((40, 4, 10, 10), 5, (3, 3), (1, 1), (1, 1), (1, 1), 1, (2, 2), (2, 2)),
    "one channel out": ((2, 4, 10, 31), 1, (3, 3), (1, 1), (1, 1), (1, 1), 1, (2, 2), (2, 2)),
    "many channels out": ((2, 7, 10, 9), 60, (3, 3), (1, 1), (1, 1), (1, 1), 1, (2, 2), (2, 2)),
    "narrow": ((2, 6, 70, 5), 3, (3, 5), (1, 1), (1, 2), (1, 1), 1, (2, 2), (2, 2)),
    "dense, groups": ((2, 6, 9, 8), 4, (3, 3), (1, 1), (1, 1), (1, 1), 2, (2, 2), (2, 2)),
    "dense, few windows": ((2, 3, 6, 7), 4, (3, 3), (1, 1), (1, 1), (1, 1), 1, (2, 2), (2, 2)),
    "dense, Winograd": ((2, 16, 12, 12), 16, (3, 3), (1, 1), (1, 1), (1, 1), 1, (2, 2), (2, 2)),
}


def _tensors(name: str) -> tuple:
    """grad, output, positions, x, weight, and the settings."""
    shape, channels, kernel, stride, padding, dilation, groups, pool_kernel, pool_stride = GEOMETRIES[name]
    size = out_size(shape, kernel, stride, padding, dilation)
    pooled = (shape[0], channels, *((n - k) // s + 1 for n, k, s in zip(size, pool_kernel, pool_stride, strict=True)))
    cells = np.random.default_rng(len(name)).integers(0, pool_kernel[0] * pool_kernel[1], pooled).astype(np.uint8)
    return (
        random(f"grad {name}", *pooled),
        np.maximum(random(f"output {name}", *pooled), 0),
        cells,
        random(f"x {name}", *shape),
        random(f"weight {name}", channels, shape[1] // groups, *kernel),
        (stride, padding, dilation, groups, pool_kernel, pool_stride),
    )


def _case(name, tensors, *patches, x=True, weight=True, bias=True, masked=True):
    grad, output, positions, picture, filters, settings = tensors
    outputs = (
        unset(*picture.shape) if x else None,
        unset(*filters.shape) if weight else None,
        unset(grad.shape[1]) if bias else None,
    )
    changed = tuple(at for at, out in enumerate(outputs) if out is not None)
    args = (
        *outputs, grad, output if masked else None, positions, picture if weight else None, filters if x else None,
        *settings,
    )  # fmt: skip
    bound = WINOGRAD_BOUND if "Winograd" in name else BOUND
    return Case(f"conv2d_max_pool_backward {name}", "conv2d_max_pool_backward", args, changed, bound, patches=patches)


ALWAYS = ("conv_pool", "choose_for_pooled", lambda *shape: (True, True))
NEVER = ("conv_pool", "choose_for_pooled", lambda *shape: (False, False))
WEIGHTS = ("conv_pool", "choose_for_pooled", lambda *shape: (True, False))


def _gradients():
    for name in GEOMETRIES:
        tensors = _tensors(name)
        yield _case(name, tensors)
        yield _case(f"{name}, not masked", tensors, masked=False)
        yield _case(f"{name}, by way of the convolution's output", tensors, NEVER)
        if not name.startswith("dense"):
            if name != "narrow":
                yield _case(f"{name}, forced", tensors, ALWAYS)
            yield _case(f"{name}, weights forced", tensors, WEIGHTS)
    for wanted in ((1, 0, 0), (0, 1, 0), (0, 1, 1), (1, 1, 0), (0, 0, 1), (1, 0, 1)):
        outputs = dict(zip(("x", "weight", "bias"), map(bool, wanted), strict=True))
        yield _case(f"lenet 2, wanted {wanted}", _tensors("lenet 2"), **outputs)
        yield _case(f"dense, groups, wanted {wanted}", _tensors("dense, groups"), **outputs)


def _cuts():
    for name in ("lenet 1", "lenet 2", "forty pictures"):
        tensors = _tensors(name)
        for rows, columns in ((5, 2), (5, 1), (3, 3), (1, 10)):
            tile = ("conv_pooled_weight", "tile_of", lambda *patch, tile=(rows, columns): tile)
            yield _case(f"{name}, {rows} x {columns}", tensors, ALWAYS, tile)
        for size in (1, 50):
            chain = ("conv_pooled_weight", "CHAIN", size)
            yield _case(f"{name}, chains of {size}", tensors, ALWAYS, chain)
        for parts in (1, 2):
            yield _case(f"{name}, {parts} parts", tensors, ALWAYS, ("conv_pooled_weight", "MOST_PARTS", parts))


def _infinite():
    """0 · ∞ is NaN, also where the pool passed nothing on; and what is infinite in a gradient stays in its place."""
    for name, value in (("infinite", np.inf), ("NaN", np.nan)):
        for at in (0, 3, 4):  # grad, x, weight
            tensors = _tensors("lenet 2")
            tensors[at][1, 2, 1, 3] = value
            yield _case(f"{name} {at}", tensors, ALWAYS)
    tensors = _tensors("lenet 1")
    tensors[3][0, 0, 5, 5] = np.inf
    yield _case("infinite, one channel", tensors, ALWAYS, x=False)


def _forward():
    for name in ("lenet 1", "three by three", "strided, dilated rows", "dense, groups"):
        grad, _, positions, x, weight, settings = _tensors(name)
        for bias in (None, random(f"bias {name}", weight.shape[0])):
            for activation in (None, "relu"):
                outputs = unset(*grad.shape), unset(*positions.shape, dtype=np.uint8)
                args = (*outputs, x, weight, bias, *settings)
                of_sums = lambda case, expected: [BOUND_OF_MAXIMA * np.ones_like(one) for one in expected]  # noqa: E731
                options = {"activation": activation}
                title = f"conv2d_max_pool {name}, {'no bias' if bias is None else 'bias'}, {activation}"
                yield Case(title, "conv2d_max_pool", args, (0, 1), of_sums, options)


BOUND_OF_MAXIMA = 1e-4
"""Of numbers around 10."""
POOLED = [*_gradients(), *_cuts(), *_infinite(), *_forward()]
