"""What a row of the table says, and how results are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

Sampler = Callable[[np.random.Generator], np.ndarray]


@dataclass
class Row:
    """One function of tensors, its inputs, and what they should give.

    ``function`` takes and returns tensors (one or a tuple); ``oracle`` the same with float64 arrays. Each case is a
    list of
    samplers, one an input. ``ops`` are the op classes that the row is there for: they must run in it, forward or
    backward.
    ``size`` gives the Σ|a||b| of the forward pass, by which rounding errors are measured (default: the result itself).
    """

    name: str
    ops: Sequence[type]
    function: Callable
    oracle: Callable
    cases: Sequence[Sequence[Sampler]]
    size: Callable | None = None
    tolerance: float = 16.0  # in units of ε · size
    differentiable: bool = True
    multilinear: bool = False  # the gradient of |inputs| bounds the size of the gradient's sums
    twice: bool = False  # create_graph works
    refuses_twice: str | None = None  # or raises this
    nan: bool = True  # a NaN anywhere comes out where the oracle has it
    dtype_matters: bool = False  # the oracle takes dtype=

    def inputs(self, case: int, seed: int = 0) -> list[np.ndarray]:
        rng = np.random.default_rng(1000 * seed + case)
        return [sample(rng) for sample in self.cases[case]]


@dataclass
class Expected:
    """An oracle's results, and the size of the sums behind each."""

    values: list[np.ndarray]
    sizes: list[np.ndarray] = field(default_factory=list)


def as_list(result: object) -> list:
    return list(result) if isinstance(result, tuple | list) else [result]


def in_dtype(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A sample as an input: floats in dtype, everything else as it is."""
    return np.array(array, dtype) if array.dtype.kind == "f" else array


def expect(row: Row, arrays: Sequence[np.ndarray], dtype: np.dtype) -> Expected:
    """The oracle's answer for the inputs as they are after rounding to dtype."""
    wide = [np.array(a, np.float64) if a.dtype.kind == "f" else a for a in arrays]
    keywords = {"dtype": dtype} if row.dtype_matters else {}
    with np.errstate(all="ignore"):
        values = [np.asarray(value) for value in as_list(row.oracle(*wide, **keywords))]
        sizes = [np.abs(value) for value in values] if row.size is None else as_list(row.size(*wide))
    return Expected(values, sizes)


def assert_close(actual: np.ndarray, wanted: np.ndarray, size: np.ndarray, tolerance: float, dtype: np.dtype) -> None:
    """|actual − wanted| ≤ tolerance · ε · size, with the same NaNs and infinities; exact for what is not floating
    point."""
    assert actual.shape == wanted.shape, f"shape {actual.shape}, wanted {wanted.shape}"
    if actual.dtype.kind != "f":
        np.testing.assert_array_equal(actual, wanted)
        return
    assert actual.dtype == dtype
    limits = np.finfo(dtype)
    with np.errstate(all="ignore"):
        wanted = wanted.astype(dtype).astype(np.float64)
        actual = actual.astype(np.float64)
        np.testing.assert_array_equal(np.isnan(actual), np.isnan(wanted), "NaN in other places")
        infinite = np.isinf(wanted)
        np.testing.assert_array_equal(actual[infinite], wanted[infinite])
        finite = np.isfinite(wanted)
        error = np.abs(actual - wanted)[finite]
        bound = (tolerance * limits.eps * np.broadcast_to(size, wanted.shape)[finite]) + 4 * limits.tiny
    worst = error > bound
    if worst.any():
        at = np.argmax(np.where(worst, error / bound, 0))
        raise AssertionError(
            f"{worst.sum()} of {error.size} elements are wrong; at worst {actual[finite][at]!r} for "
            f"{wanted[finite][at]!r}, "
            f"{error[at] / bound[at]:.3g} times the bound"
        )
