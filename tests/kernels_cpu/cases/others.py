"""Pointwise functions, sums, softmax with its losses, and optimiser updates."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np

from numbanet.kernels.cpu.pointwise import BINARY_CODES, CHUNK
from numbanet.kernels.cpu.reduce import BLOCK, COLUMNS, ELEMENTS_A_CHUNK
from tests.kernels_cpu.cases.case import Case, of_terms, random, relative, unset
from tests.kernels_cpu.helpers import EPSILON

SIZES = (1, 15, 16, 17, 100, CHUNK, CHUNK + 5, 6 * CHUNK + 3)


def with_specials(values: np.ndarray) -> np.ndarray:
    """Some of the values replaced by NaN, infinities and zeros of both signs."""
    specials = (np.nan, np.inf, -np.inf, 0.0, -0.0)
    values = values.copy()
    for i, special in enumerate(specials[: values.size]):
        values.flat[i :: len(specials) + 9 + i] = special
    return values


# --- pointwise -------------------------------------------------------------------------------------------------------
def _pointwise():
    for size in SIZES:
        x, y = with_specials(random(f"x {size}", size)), with_specials(random(f"y {size}", size)[::-1])
        yield Case(f"relu {size}", "unary", (unset(size), x, "relu"))
        yield Case(f"relu_backward {size}", "relu_backward", (unset(size), y, x))
        yield Case(f"fill {size}", "fill", (unset(size), 0.1))
        for name in BINARY_CODES:
            yield Case(f"{name} {size}", "binary", (unset(size), x, y, name))
    yield Case("fill with NaN", "fill", (unset(3, 20), np.nan))


# --- sums ------------------------------------------------------------------------------------------------------------
SHAPES = {
    "a number": ((), ()),
    "nothing": ((5, 3), ()),
    "rows": ((70, COLUMNS + 3), (0,)),
    "rows of three axes": ((4, 9, 21), (0, 1)),
    "one column": ((333, 1), (0,)),
    "columns": ((7, 45), (1,)),
    "columns of three axes": ((3, 5, 33), (1, 2)),
    "axes in no order": ((3, 5, 33), (2, 1)),
    "all": ((6, 7, 8), (0, 1, 2)),
    "all, one vector": ((16,), (0,)),
    "all, blocks": ((3, BLOCK), (0, 1)),
    "all, no whole blocks": ((3 * BLOCK + 1,), (0,)),
    "many rows": ((ELEMENTS_A_CHUNK // 64, 150), (0,)),
    "many columns": ((150, ELEMENTS_A_CHUNK // 64), (1,)),
}


def _sums():
    for name, (shape, axes) in SHAPES.items():
        x = random(name, *shape)
        out = unset(*(1 if axis in axes else n for axis, n in enumerate(shape)))
        yield Case(f"sum {name}", "reduce", (out, x, axes, "sum"), tolerance=of_terms(4))
        if x.size > 5:
            odd = with_specials(x)
            odd.flat[-1] = np.inf
            yield Case(f"sum {name}, NaN", "reduce", (out, odd, axes, "sum"), tolerance=of_terms(4))


# --- softmax ---------------------------------------------------------------------------------------------------------
def _rows(name: str, rows: int, columns: int) -> np.ndarray:
    return 5 * random(name, rows, columns)


def near_logits(case: Case, expected: list[np.ndarray], factor: float = 2) -> list[np.ndarray]:
    """Bounds for what hangs on differences of the logits: their rounding errors count relative to their size."""
    numbers = [array for array in case.args if isinstance(array, np.ndarray) and array.dtype.kind == "f"]
    largest = max([1.0, *(float(np.nanmax(np.abs(array))) for array in numbers if np.isfinite(array).any())])
    return [factor * EPSILON * largest * (np.abs(value) + 1) for value in expected]


def softmax_error(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """eˣ⁻ᵐ: the rounding error of x − m becomes a relative error of the result."""
    x = case.args[1].astype(np.float64)
    with np.errstate(invalid="ignore"):
        distance = np.nan_to_num(x.max(axis=1, keepdims=True) - x, posinf=0)
        return [EPSILON * (4 + distance) * np.abs(expected[0]) + 1.5e-45]


def _softmax():
    for rows, columns in ((1, 1), (5, 10), (3, 16), (4, 33), (200, 100)):
        x = _rows(f"logits {columns}", rows, columns)
        y, grad = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), random(f"grad {columns}", rows, columns)
        for is_log in (False, True):
            kind = f"{'log-' if is_log else ''}softmax {rows} x {columns}"
            args = (unset(rows, columns), x, is_log)
            yield Case(kind, "softmax", args, tolerance=near_logits if is_log else softmax_error)
            args = (unset(rows, columns), grad, np.log(y) if is_log else y, is_log)
            yield Case(f"{kind}, backward", "softmax_backward", args, tolerance=near_logits)
    far = np.array([[1e4, -1e4, 0.5], [88.9, 88.8, -200], [-3e38, -3e38, -3e38]], np.float32)
    odd = np.array([[np.nan, 1, 2], [1, np.inf, 3], [-np.inf, 2, 1]], np.float32)
    lowest = np.full((2, 20), -np.inf, np.float32)
    for is_log, (name, x) in itertools.product((False, True), {"far": far, "NaN": odd, "all -inf": lowest}.items()):
        tolerance = near_logits if is_log else softmax_error
        kind = "log-softmax" if is_log else "softmax"
        yield Case(f"{kind} {name}", "softmax", (unset(*x.shape), x, is_log), tolerance=tolerance)


def _losses():
    for rows, columns, reduction, smoothing in itertools.product((1, 37), (3, 21), ("none", "sum", "mean"), (0.0, 0.1)):
        name = f"{rows} x {columns}, {reduction}, smoothing {smoothing}"
        yield from _loss(name, _rows(name, rows, columns), reduction, smoothing)
    yield from _loss("many rows", _rows("many rows", 2000, 10), "mean", 0.0)
    odd = np.array([[1, np.inf, 0], [-np.inf, 1, 0], [-np.inf, -np.inf, -np.inf], [np.nan, 0, 1]], np.float32)
    yield from _loss("NaN and infinities", odd, "none", 0.0)


def _loss(name, logits, reduction, smoothing):
    rows, columns = logits.shape
    target = np.random.default_rng(3).integers(0, columns, rows)
    target[3::7] = -100
    out = unset(rows) if reduction == "none" else unset()
    options = (target, reduction, -100, smoothing)
    tolerance = relative(1 + np.sqrt(rows) / 4, 20)
    args = (out, unset(rows), logits, *options)
    yield Case(f"cross_entropy {name}", "cross_entropy", args, (0, 1), tolerance)
    with np.errstate(all="ignore"):
        lse = np.log(np.exp(logits.astype(np.float64)).sum(axis=1)).astype(np.float32)
    grad = random(f"grad {name}", *out.shape) if out.ndim else np.array(0.7, np.float32)
    args = (unset(rows, columns), grad, logits, lse, *options)
    yield Case(
        f"cross_entropy_backward {name}", "cross_entropy_backward", args, tolerance=partial(near_logits, factor=0.5)
    )


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


def adam_error(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """An error of 8 ε of the step, whose size √v decides, and of what it is taken from."""
    count, before = len(case.args[0]), case.args[0]
    bounds = [8 * EPSILON * (np.abs(value) + np.abs(value - old)) for value, old in zip(expected, before, strict=False)]
    return bounds + [8 * EPSILON * (np.abs(value) + 1) for value in expected[count:]]


POINTWISE = list(_pointwise())
SUMS = list(_sums())
SOFTMAX = [*_softmax(), *_losses()]
OPTIMISERS = list(_optimisers())
