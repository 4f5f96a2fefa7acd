"""Reductions over any axes, their places, and variances."""

from __future__ import annotations

import itertools

import numpy as np

from numbanet.kernels.cpu import argreduce, reduce_columns, reduce_integers, reduce_rows, variance
from tests.kernels_cpu.cases.case import Case, in_float64, of_terms, random, unset
from tests.kernels_cpu.cases.pointwise import with_specials
from tests.kernels_cpu.helpers import EPSILON

BLOCK, LINES, PARTS = reduce_rows.BLOCK, reduce_columns.LINES, reduce_rows.PARTS_A_TASK
SHAPES = {
    "a number": ((), ()),
    "nothing": ((5, 3), ()),
    "rows": ((70, 67), (0,)),
    "rows of three axes": ((4, 9, 21), (0, 1)),
    "rows of a block of columns": ((6, reduce_columns.COLUMNS + 19), (0,)),
    "rows in parts": ((2 * LINES + 3, 66), (0,)),
    "rows in the middle in parts": ((3, 3 * LINES + 1, 66), (1,)),
    "narrow rows": ((333, 3), (0,)),
    "narrow rows, whole": ((352, 3), (0,)),
    "narrow rows in the middle": ((3, 333, 3), (1,)),
    "few narrow rows": ((19, 5), (0,)),
    "one column": ((333, 1), (0,)),
    "short lines": ((7, 15), (1,)),
    "middle lines": ((7, 45), (1,)),
    "long lines": ((7, reduce_rows.MIDDLE + 83), (1,)),
    "columns of three axes": ((3, 5, 33), (1, 2)),
    "axes in no order": ((3, 5, 33), (2, 1)),
    "axes apart": ((5, 7, 19), (0, 2)),
    "axes apart, short lines": ((5, 7, 3), (0, 2)),
    "axes apart, kept inside": ((5, 3, 4, 19), (0, 2)),
    "axes apart, two tables": ((2, 3, 4, 3, 5, 7), (0, 2, 5)),
    "many lines in parts": ((600, 3, 49), (0, 2)),
    "all": ((6, 7, 8), (0, 1, 2)),
    "all, one vector": ((16,), (0,)),
    "all, blocks": ((3, BLOCK), (0, 1)),
    "all, no whole blocks": ((3 * BLOCK + 1,), (0,)),
    "all, two tasks": (((PARTS + 1) * BLOCK + 5,), (0,)),
    "lines of two tasks": ((2, PARTS * BLOCK + 1), (1,)),
    "many lines of two tasks": ((2 * PARTS + 1, 2, BLOCK // 2 + 3), (0, 2)),
    "many rows": ((256, 150), (0,)),
    "many columns": ((150, 256), (1,)),
}
STRIDED = {
    "transposed": (lambda x: x.T, (65, 33), (0,)),
    "transposed, by columns": (lambda x: x.T, (65, 33), (1,)),
    "gaps between lines": (lambda x: x[::2, :21], (10, 33), (1,)),
    "gaps between columns": (lambda x: x[3::5, 2:20], (40, 33), (0,)),
    "repeated": (lambda x: np.broadcast_to(x[:, None], (4, 3, 70)), (4, 70), (1,)),
    "kept axes turned round": (lambda x: x.transpose(1, 0, 2), (4, 5, 20), (2,)),
}
"""Views that are read where they lie: how each is made of an array of a shape, that shape, and the axes."""


def _out(x: np.ndarray, axes: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
    return unset(*(1 if axis in axes else n for axis, n in enumerate(x.shape)), dtype=dtype)


def _tolerance(function: str):
    """Sums by their terms, products by their factors; maxima and minima are exact."""
    if function in ("max", "min"):
        return None
    return product_error if function == "prod" else of_terms(4)


def product_error(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    count = max(1, case.args[1].size // case.args[0].size)
    return [2 * count * EPSILON * np.abs(value) + 1.5e-45 for value in expected]


def _reductions():
    for name, (shape, over) in SHAPES.items():
        for function in ("sum", "mean", "max", "min", "prod"):
            x = random(name, *shape)
            if function == "prod":
                x = np.asarray(np.float32(1) + x / np.float32(max(10, x.size)))
            yield Case(
                f"{function} {name}", "reduce", (_out(x, over), x, over, function), tolerance=_tolerance(function)
            )
            if x.size > 5:
                odd = with_specials(x)
                odd.flat[-1] = np.inf
                args = (_out(x, over), odd, over, function)
                yield Case(f"{function} {name}, NaN", "reduce", args, tolerance=_tolerance(function))
    for name, (view, shape, over) in STRIDED.items():
        x = view(random(name, *shape))
        for function in ("sum", "max"):
            args = (_out(x, over), x, over, function)
            yield Case(f"{function} {name}", "reduce", args, tolerance=_tolerance(function))
    x = random("no table", 4, 5, 6, 7)
    patches = (("axes", "MOST_OFFSETS", 8),)
    for function in ("mean", "max"):
        args = (_out(x, (1, 3)), x, (1, 3), function)
        yield Case(f"{function} by axis", "reduce", args, tolerance=_tolerance(function), patches=patches)


# --- integers and truth ----------------------------------------------------------------------------------------------
def _integers():
    for shape, over in (((1,), (0,)), ((7, 33), (1,)), ((5, 3, 11), (1, 2)), ((2 * reduce_integers.PART + 5,), (0,))):
        numbers = np.random.default_rng(5).integers(-(2**40), 2**40, shape)
        bools = numbers % 3 == 0
        yield Case(f"sum int64 {shape}", "reduce", (_out(numbers, over, np.int64), numbers, over, "sum"))
        yield Case(f"sum bool {shape}", "reduce", (_out(bools, over, np.int64), bools, over, "sum"))
        kinds = {"some": bools, "all": bools | True, "none": bools & False}
        for function, (kind, values) in itertools.product(("any", "all"), kinds.items()):
            name = f"{function} of {shape}, {kind} True"
            yield Case(name, "reduce", (np.zeros_like(_out(bools, over, np.int64), bool), values, over, function))


# --- places ----------------------------------------------------------------------------------------------------------
PLACES = [
    ((1,), 0), ((16,), 0), ((7, 10), 1), ((5, 17), 1), ((3, 300), 1), ((3, argreduce.BLOCK), 1), ((3, 64), 1),
    ((2, 2 * argreduce.PART + 7), 1), ((9, 3), 0), ((9, 50), 0), ((2, 5, argreduce.COLUMNS + 19), 1), ((4, 1, 3), 1),
]  # fmt: skip


def _places():
    for shape, axis in PLACES:
        x = random(f"places {shape}", *shape)
        ties = np.round(x * 2) / 2
        ties.flat[:] = np.where(np.abs(ties.flat[:]) > 1, np.float32(1.5), ties.flat[:])
        odd = with_specials(x)
        kinds = {"": x, ", ties": ties, ", NaN": odd, ", all -inf": np.full_like(x, -np.inf)}
        for function, (kind, values) in itertools.product(("max", "min"), kinds.items()):
            args = (_out(x, (axis,), np.int64), values, axis, function)
            yield Case(f"arg{function} {shape} along {axis}{kind}", "argreduce", args)
    x = random("strided places", 8, 6, 20)
    for axis, view in itertools.product(
        (0, 1, 2), (x.transpose(1, 2, 0), x[::2, :, 3:], x[:, 1::2].transpose(2, 0, 1))
    ):
        name = f"argmax of strides {view.strides} along {axis}"
        if view.strides[axis] == 4 or view.strides[2] == 4:
            yield Case(name, "argreduce", (_out(view, (axis,), np.int64), view, axis, "max"))


# --- variances -------------------------------------------------------------------------------------------------------
def variance_error(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """Relative to the variance, and to what the rounding of x − mean does to it; the mean relative to the terms."""
    largest = np.nanmax(np.where(np.isfinite(case.args[2]), np.abs(case.args[2]), 0))
    return [
        EPSILON * (64 * np.abs(expected[0]) + 4 * EPSILON * np.float64(largest) ** 2),
        [4 * EPSILON * total for total in in_float64(case, np.abs)][1],
    ]


def _variances():
    shapes = {name: SHAPES[name] for name in SHAPES if name not in ("a number", "nothing")}
    shapes |= {"columns, two vectors": ((40, variance.COLUMNS + 18), (0,)), "one element": ((3, 1, 2), (1,))}
    for name, (shape, over) in shapes.items():
        for mean, correction in ((0, 1.0), (1000, 0.0)):
            x = np.asarray(random(name, *shape) + np.float32(mean))
            args = (_out(x, over), _out(x, over), x, over, correction)
            yield Case(f"variance {name}, mean {mean}", "variance", args, (0, 1), variance_error)
    odd = with_specials(random("odd variances", 40, 50))
    for axis in (0, 1):
        args = (_out(odd, (axis,)), _out(odd, (axis,)), odd, (axis,), 1.0)
        yield Case(f"variance of NaN along {axis}", "variance", args, (0, 1), variance_error)


REDUCTIONS = [*_reductions(), *_integers(), *_places(), *_variances()]
