"""Convolutions and their gradients for the input: every tile of all forms on every geometry, bands, bias, ReLU."""

from __future__ import annotations

from numbanet.kernels.cpu import conv_channels, conv_choice, conv_pictures, conv_positions, conv_winograd
from numbanet.kernels.cpu.geometry import Window, forward_walk, gradient_walk
from tests.kernels_cpu.cases.case import Case, of_terms, random, unset

BOUND = of_terms(4)
"""|error| ≤ 4·ε·Σ|x||w|: chains of a few hundred taps."""
WINOGRAD_BOUND = of_terms(16)
"""What the transforms add and take away again makes the error larger."""

# name: (n, c, h, w), output channels, kernel, stride, padding, dilation, groups
GEOMETRIES = {
    "plain": ((2, 3, 9, 11), 10, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "lenet": ((3, 1, 12, 12), 6, (5, 5), (1, 1), (2, 2), (1, 1), 1),
    "strided": ((2, 2, 11, 13), 9, (3, 5), (2, 3), (1, 2), (1, 1), 1),
    "dilated": ((1, 2, 13, 14), 8, (3, 3), (1, 1), (2, 3), (2, 3), 1),
    "groups": ((2, 6, 7, 6), 9, (3, 3), (1, 1), (1, 1), (1, 1), 3),
    "depthwise": ((2, 5, 8, 9), 5, (3, 3), (2, 2), (1, 1), (1, 1), 5),
    "depthwise, 3 x 3, narrow": ((3, 5, 7, 5), 5, (3, 3), (1, 1), (1, 1), (1, 1), 5),
    "depthwise, 3 x 3, whole vectors": ((2, 3, 6, 32), 3, (3, 3), (1, 1), (1, 1), (1, 1), 3),
    "depthwise, 3 x 3, an odd vector": ((1, 2, 3, 79), 2, (3, 3), (1, 1), (1, 1), (1, 1), 2),
    "depthwise, of one position": ((2, 3, 1, 1), 3, (5, 5), (2, 2), (2, 2), (1, 1), 3),
    "depthwise, of one row": ((2, 3, 1, 9), 3, (5, 3), (2, 1), (2, 1), (1, 1), 3),
    "depthwise, 3 x 3, no padding": ((2, 4, 7, 6), 4, (3, 3), (1, 1), (0, 0), (1, 1), 4),
    "depthwise, 3 x 3, wide": ((1, 3, 10, 37), 3, (3, 3), (1, 1), (1, 1), (1, 1), 3),
    "depthwise, 3 x 3, one row": ((2, 3, 1, 20), 3, (3, 3), (1, 1), (1, 1), (1, 1), 3),
    "depthwise, 3 x 3, bands": ((1, 2, 203, 180), 2, (3, 3), (1, 1), (1, 1), (1, 1), 2),
    "depthwise, 5 x 5": ((3, 3, 9, 19), 3, (5, 5), (1, 1), (2, 2), (1, 1), 3),
    "padding over kernel": ((1, 2, 3, 4), 4, (2, 2), (1, 1), (3, 4), (1, 1), 1),
    "one by one": ((3, 20, 5, 5), 17, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    "one by one, products": ((2, 270, 11, 13), 23, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    "one by one, gathered": ((3, 260, 5, 7), 270, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    "one by one, gathered by strides": ((2, 270, 13, 12), 260, (1, 1), (2, 3), (0, 0), (1, 1), 1),
    "one by one, strided": ((2, 4, 7, 8), 8, (1, 1), (2, 3), (0, 0), (1, 1), 1),
    "filters of a few weights": ((2, 2, 9, 11), 16, (1, 3), (1, 1), (0, 1), (1, 1), 1),
    "wide": ((1, 1, 5, 70), 16, (1, 7), (1, 1), (0, 3), (1, 1), 1),
    "all of it": ((3, 4, 5, 5), 20, (5, 5), (1, 1), (0, 0), (1, 1), 1),
    "everything": ((2, 4, 15, 17), 14, (3, 3), (2, 3), (3, 2), (2, 2), 2),
    "more channels than a tile": ((1, 3, 6, 20), 35, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "strided, few taps": ((1, 1, 9, 61), 3, (2, 2), (1, 2), (0, 0), (1, 1), 1),
    "strided, one position": ((2, 1, 3, 3), 2, (1, 1), (5, 5), (0, 0), (1, 1), 1),
    "strided, many tasks": ((9, 4, 17, 16), 12, (5, 5), (2, 2), (1, 2), (1, 1), 1),
    "blocks of channels": ((3, 70, 7, 9), 20, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "blocks of channels, strided": ((3, 300, 5, 6), 17, (1, 1), (2, 2), (0, 0), (1, 1), 1),
    "bands": ((2, 3, 30, 31), 17, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "bands, strided": ((1, 2, 41, 43), 9, (3, 2), (2, 3), (1, 1), (1, 1), 1),
    "one picture of many channels": ((1, 3, 5, 5), 70, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "Winograd, odd": ((2, 17, 13, 7), 33, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "Winograd, no padding": ((2, 20, 9, 40), 19, (3, 3), (1, 1), (0, 0), (1, 1), 1),
    "Winograd, bands": ((1, 64, 33, 37), 40, (3, 3), (1, 1), (2, 2), (1, 1), 1),
    "Winograd, bunches": ((37, 32, 8, 8), 32, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "samples of every fourth": ((2, 6, 37, 45), 5, (2, 3), (3, 4), (1, 2), (1, 1), 1),
    "samples of narrow rows": ((2, 7, 19, 17), 3, (2, 2), (3, 3), (1, 1), (1, 1), 1),
    "samples, every second": ((1, 3, 40, 70), 7, (1, 2), (2, 2), (0, 0), (1, 1), 1),
    "samples far from each other": ((1, 300, 11, 33), 2, (1, 1), (5, 6), (0, 0), (1, 1), 1),
    "groups of pictures": ((35, 7, 6, 5), 8, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "groups of pictures, strided": ((19, 40, 9, 7), 4, (3, 4), (2, 3), (1, 2), (1, 1), 2),
    "padding of small pictures": ((70, 17, 3, 4), 20, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "padding of small pictures, all of it": ((3, 32, 3, 2), 10, (5, 3), (2, 1), (2, 2), (1, 2), 2),
    "many tasks": ((9, 4, 16, 16), 12, (5, 5), (1, 1), (0, 0), (1, 1), 1),
}


def out_size(shape, kernel, stride, padding, dilation) -> tuple[int, int]:
    return tuple((shape[2 + a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1 for a in (0, 1))


def _is_winograd(name: str, is_gradient: bool = False) -> bool:
    """Whether the chooser takes Winograd's form for a geometry, or for its gradient."""
    shape, channels, kernel, stride, padding, dilation, groups = GEOMETRIES[name]
    window = Window(*shape[2:], *out_size(shape, kernel, stride, padding, dilation), kernel, stride, padding, dilation)
    walk, sides = (gradient_walk, (channels, shape[1])) if is_gradient else (forward_walk, (shape[1], channels))
    return conv_winograd.wins(walk(window), *sides, groups)


DIRECT = ("conv_winograd", "wins", lambda walk, channels, out_channels, groups: False)


def _choices(out_channels: int, has_phases: bool = False, winograd: bool = False):
    """What the chooser takes by itself, and all that it could take: a name, patches and the bound of the error."""
    yield (", by points", (), WINOGRAD_BOUND) if winograd else ("", (), BOUND)
    forced = [("channels", conv_channels.ROWS)]
    if not has_phases:
        forced += [("positions", rows) for rows in conv_positions.TILES if rows <= out_channels]
    forced += [("pictures", rows) for rows in conv_pictures.ROWS if rows <= out_channels]
    for choice in forced:
        yield f", {choice[0]} x {choice[1]}", (DIRECT, _force(choice)), BOUND


def _force(choice: tuple[str, int]) -> tuple:
    return "conv_choice", "choose_direct", lambda walk, size, pictures, channels, out_channels: choice


def tensors(name: str) -> tuple:
    """out, x, weight, bias and the remaining arguments of a geometry."""
    shape, channels, kernel, stride, padding, dilation, groups = GEOMETRIES[name]
    out = (shape[0], channels, *out_size(shape, kernel, stride, padding, dilation))
    weight = random(f"weight {name}", channels, shape[1] // groups, *kernel)
    return (
        out,
        random(f"x {name}", *shape),
        weight,
        random(f"bias {name}", channels),
        (stride, padding, dilation, groups),
    )


def _forward():
    for name in GEOMETRIES:
        out, x, weight, bias, window = tensors(name)
        is_winograd = _is_winograd(name)
        for choice, patches, bound in _choices(out[1] // window[3], winograd=is_winograd):
            with_bias = (unset(*out), x, weight, bias, *window)
            yield Case(f"conv2d {name}{choice}", "conv2d", with_bias, tolerance=bound, patches=patches)
        without = (unset(*out), x, weight, None, *window)
        choice, bound = (", by points", WINOGRAD_BOUND) if is_winograd else ("", BOUND)
        yield Case(f"conv2d {name}, no bias{choice}", "conv2d", without, tolerance=bound)
        relu = {"activation": "relu"}
        yield Case(f"conv2d {name}, ReLU{choice}", "conv2d", with_bias, tolerance=bound, options=relu)


def _activated_and_banded():
    for name in ("plain", "groups", "blocks of channels", "everything"):
        out, x, weight, bias, window = tensors(name)
        args = (unset(*out), x, weight, bias, *window)
        # A tile over positions never has more rows than a group has output channels.
        rows = max(rows for rows in conv_positions.TILES if rows <= min(out[1] // window[3], 4))
        forms = [("channels", conv_channels.ROWS), ("pictures", 3), ("positions", rows)]
        for form in forms:
            yield Case(
                f"conv2d {name}, ReLU, {form[0]}", "conv2d", args, tolerance=BOUND, options={"activation": "relu"},
                patches=(DIRECT, _force(form)),
            )  # fmt: skip
            for size in (1, 20):
                names = {"conv_positions": "SCRATCH", "conv_channels": "POSITIONS", "conv_pictures": "SCRATCH"}
                small = tuple((module, name, size) for module, name in names.items())
                yield Case(
                    f"conv2d {name}, bands of {size}, {form[0]}", "conv2d", args, tolerance=BOUND,
                    patches=(DIRECT, _force(form), *small),
                )  # fmt: skip


def _input_gradients():
    for name in GEOMETRIES:
        out, x, weight, _, window = tensors(name)
        grad = random(f"grad {name}", *out)
        args = (unset(*x.shape), grad, weight, *window)
        is_winograd = _is_winograd(name, is_gradient=True)
        for choice, patches, bound in _choices(x.shape[1] // window[3], window[0] != (1, 1), is_winograd):
            yield Case(f"conv2d_input_grad {name}{choice}", "conv2d_input_grad", args, tolerance=bound, patches=patches)
        bands = (DIRECT, ("conv_positions", "SCRATCH", 1), ("conv_channels", "POSITIONS", 1))
        yield Case(f"conv2d_input_grad {name}, bands of 1", "conv2d_input_grad", args, tolerance=BOUND, patches=bands)


CONVOLUTIONS = [*_forward(), *_activated_and_banded(), *_input_gradients()]


def same_bits(case: Case) -> str:
    """What the cases that only differ in a forced form or in their bands have in common: one result, to the bit."""
    forced = (*conv_choice.DIRECT, *(f"{form} x " for form in conv_choice.DIRECT), "bands of ")
    return ", ".join(part for part in case.name.split(", ") if not part.startswith(forced))
