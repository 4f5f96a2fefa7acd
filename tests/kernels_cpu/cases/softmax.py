"""Softmax and cross-entropy."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np

from numbanet.kernels.cpu.cross_entropy import BLOCK
from tests.kernels_cpu.cases.case import Case, random, relative, unset
from tests.kernels_cpu.helpers import EPSILON

SHAPES = (
    (1, 1, 1), (5, 10, 1), (3, 16, 1), (4, 33, 1), (4, 57, 1), (200, 100, 1), (2, 5, 3), (3, 17, 16), (2, 40, 37),
    (1, 1, 5),
)  # fmt: skip


def _rows(name: str, *shape: int) -> np.ndarray:
    return 5 * random(name, *shape)


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
    for shape in SHAPES:
        x = _rows(f"logits {shape}", *shape)
        y, grad = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), random(f"grad {shape}", *shape)
        for is_log in (False, True):
            kind = f"{'log-' if is_log else ''}softmax {' x '.join(map(str, shape))}"
            args = (unset(*shape), x, is_log)
            yield Case(kind, "softmax", args, tolerance=near_logits if is_log else softmax_error)
            args = (unset(*shape), grad, np.log(y) if is_log else y, is_log)
            yield Case(f"{kind}, backward", "softmax_backward", args, tolerance=near_logits)
    far = np.array([[1e4, -1e4, 0.5], [88.9, 88.8, -200], [-3e38, -3e38, -3e38], [0, -87.5, -103.5]], np.float32)
    odd = np.array([[np.nan, 1, 2], [1, np.inf, 3], [-np.inf, 2, 1]], np.float32)
    lowest = np.full((2, 20), -np.inf, np.float32)
    kinds = {"far": far, "NaN": odd, "all -inf": lowest}
    for is_log, (name, x), inner in itertools.product((False, True), kinds.items(), (1, 3)):
        x = np.repeat(x[:, :, None], inner, axis=2)
        tolerance = near_logits if is_log else softmax_error
        kind = f"{'log-' if is_log else ''}softmax {name}, inner {inner}"
        yield Case(kind, "softmax", (unset(*x.shape), x, is_log), tolerance=tolerance)


def _losses():
    for rows, columns, reduction, smoothing in itertools.product((1, 37), (3, 21), ("none", "sum", "mean"), (0.0, 0.1)):
        name = f"{rows} x {columns}, {reduction}, smoothing {smoothing}"
        yield from _loss(name, _rows(name, rows, columns), reduction, smoothing)
        weight = 0.2 + np.abs(random("weights of classes", columns))
        if rows > 1:
            yield from _loss(f"weighted, {name}", _rows(name, rows, columns), reduction, smoothing, weight)
    yield from _loss("many rows", _rows("many rows", 2000, 10), "mean", 0.0)
    long = _rows("vocabulary", 5, 3 * BLOCK + 77)
    long[0, 2 * BLOCK + 5], long[1, 7], long[2, : BLOCK + 9] = 40, 40, -np.inf
    yield from _loss("vocabulary", long.copy(), "mean", 0.1)
    long[3, 2 * BLOCK], long[4, 3], long[4, BLOCK] = np.nan, np.inf, np.nan
    long[0, 1], long[1, 3 * BLOCK + 70], long[2] = np.inf, np.inf, -np.inf
    yield from _loss("odd vocabulary", long, "none", 0.0)
    odd = np.array([[1, np.inf, 0], [-np.inf, 1, 0], [-np.inf, -np.inf, -np.inf], [np.nan, 0, 1]], np.float32)
    yield from _loss("NaN and infinities", odd, "none", 0.0)


def _loss(name, logits, reduction, smoothing, weight=None):
    rows, columns = logits.shape
    target = np.random.default_rng(3).integers(0, columns, rows)
    target[3::7] = -100
    out = unset(rows) if reduction == "none" else unset()
    options = (target, weight, reduction, -100, smoothing)
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


SOFTMAX = [*_softmax(), *_losses()]
