"""Optimiser updates."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.pointwise import CHUNK
from tests.kernels_cpu.cases.case import Case, random, relative, unset
from tests.kernels_cpu.cases.pointwise import with_specials
from tests.kernels_cpu.helpers import EPSILON

# --- optimiser updates -----------------------------------------------------------------------------------------------
SHAPES_OF_PARAMETERS = ((3, 5), (0,), (CHUNK + 7,), (1,), (40, 16))
SETTINGS = {
    "plain": (0.1, 0, 0, 0, 0, 0),
    "decay": (0.1, 0, 0, 0.3, 0, 0),
    "momentum": (0.1, 0.9, 0, 0, 0, 0),
    "momentum, first step": (0.1, 0.9, 0.5, 0, 0, 1),
    "dampening": (0.1, 0.9, 0.5, 0.3, 0, 0),
    "Nesterov": (0.1, 0.9, 0, 0.3, 1, 0),
    "Nesterov, first step": (0.1, 0.9, 0, 0.3, 1, 1),
}
ADAM_SETTINGS = {
    "plain": (1e-2, 0.9, 0.999, 1e-8, 0, 0, 0.1, 0.03),
    "decay": (1e-2, 0.9, 0.999, 1e-8, 0.2, 0, 0.19, 0.05),
    "decoupled": (1e-2, 0.9, 0.99, 1e-6, 0.2, 1, 0.27, 0.06),
}

RMSPROP_SETTINGS = {  # numbers, momentum, centered
    "plain": ((1e-2, 0.99, 1e-8, 0, 0, 0), False, False),
    "decay, momentum": ((1e-2, 0.9, 1e-8, 0.2, 0.7, 0), True, False),
    "inside": ((1e-2, 0.9, 1e-3, 0, 0, 1), False, False),
    "centered": ((1e-2, 0.9, 1e-8, 0, 0, 0), False, True),
    "centered, momentum, inside": ((1e-2, 0.9, 1e-3, 0.2, 0.7, 1), True, True),
}


def _parameters(name: str, shapes=SHAPES_OF_PARAMETERS) -> tuple[np.ndarray, ...]:
    return tuple(random(f"{name} {i}", *shape) for i, shape in enumerate(shapes))


def _optimisers():
    for name, values in SETTINGS.items():
        hyper = np.array(values, np.float32)
        for kind, shapes in (("", SHAPES_OF_PARAMETERS), (", many elements", ((9 * CHUNK + 1,), (33,)))):
            buffers = _parameters("buffer", shapes) if values[1] else ()
            args = (_parameters("parameter", shapes), _parameters("gradient", shapes), buffers, hyper)
            yield Case(f"sgd_update {name}{kind}", "sgd_update", args, (0, 2), relative(4, 1))
    for name, values in ADAM_SETTINGS.items():
        for kind, shapes in (("", SHAPES_OF_PARAMETERS), (", many elements", ((9 * CHUNK + 1,), (33,)))):
            squares = tuple(np.square(array) for array in _parameters("square", shapes))
            args = (
                _parameters("parameter", shapes), _parameters("gradient", shapes), _parameters("mean", shapes), squares,
                np.array(values, np.float32),
            )  # fmt: skip
            yield Case(f"adam_update {name}{kind}", "adam_update", args, (0, 2, 3), adam_error)
    for name, (values, momentum, centered) in RMSPROP_SETTINGS.items():
        for kind, shapes in (("", SHAPES_OF_PARAMETERS), (", many elements", ((9 * CHUNK + 1,), (33,)))):
            means = _parameters("mean", shapes) if centered else ()
            squares = tuple(1 + np.square(array) for array in means or _parameters("square", shapes))
            args = (
                _parameters("parameter", shapes), _parameters("gradient", shapes), squares,
                _parameters("buffer", shapes) if momentum else (), means, np.array(values, np.float32),
            )  # fmt: skip
            yield Case(f"rmsprop_update {name}{kind}", "rmsprop_update", args, (0, 2, 3, 4), relative(16, 1))
    for kind, shapes in (("", SHAPES_OF_PARAMETERS), (", many elements", ((9 * CHUNK + 1,), (33,)))):
        values = tuple(with_specials(array) for array in _parameters("value", shapes))
        args = (_parameters("average", shapes), values, np.array((0.9,), np.float32))
        yield Case(f"average_update{kind}", "average_update", args, (0,), relative(4, 1))
    mean = np.arange(1, 20, dtype=np.float32)
    args = ((0 * mean,), (mean,), (0.5 * mean**2,), (), (mean,), np.array((1, 1, 1e-2, 0, 0, 0), np.float32))
    yield Case("rmsprop_update centered, a variance rounded below 0", "rmsprop_update", args, (0, 2, 4), relative(4))
    # More parameters than any search halves evenly, of all sizes around a task's.
    shapes = [(size,) for size in (1, 0, CHUNK, 0, 0, 3, CHUNK - 1, CHUNK + 1, 2 * CHUNK, 16, 17, 15, 0)]
    args = (
        _parameters("parameter", shapes),
        _parameters("gradient", shapes),
        (),
        np.array(SETTINGS["plain"], np.float32),
    )
    yield Case("sgd_update of many", "sgd_update", args, (0,), relative(4, 1))
    args = (
        _parameters("parameter", [(0,)]),
        _parameters("gradient", [(0,)]),
        (),
        np.array(SETTINGS["plain"], np.float32),
    )
    yield Case("sgd_update of nothing", "sgd_update", args, (0,), relative(4, 1))
    for name, shapes in (("", SHAPES_OF_PARAMETERS), (" many", ((9 * CHUNK + 1,), (33,))), (" nothing", ((0,), (0,)))):
        args = (unset(), _parameters("gradient", shapes))
        yield Case(f"sum_of_squares of{name or ' some'}", "sum_of_squares", args, (0,), relative(16))
        for factor in (0.3, 1.0, np.nan):
            args = (_parameters("gradient", shapes), np.array(factor, np.float32))
            yield Case(f"scale_all by {factor}{name}", "scale_all", args, (0,), relative(1))
        gradients = tuple(with_specials(array) for array in _parameters("gradient", shapes))
        args = (gradients, np.array(0.5, np.float32))
        yield Case(f"clamp_all{name}", "clamp_all", args, (0,))


def adam_error(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """An error of 8 ε of the step, whose size √v decides, and of what it is taken from."""
    count, before = len(case.args[0]), case.args[0]
    bounds = [8 * EPSILON * (np.abs(value) + np.abs(value - old)) for value, old in zip(expected, before, strict=False)]
    return bounds + [8 * EPSILON * (np.abs(value) + 1) for value in expected[count:]]


OPTIMISERS = list(_optimisers())
