"""A case: one call of a contract function with its data, what it is held to, and how it is run."""

from __future__ import annotations

import contextlib
import importlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from unittest import mock

import numpy as np

from numbanet.kernels.backend import load_backend
from numbanet.kernels.numpy import KERNELS as NUMPY
from tests.kernels_cpu.helpers import EPSILON, Guarded, guarded, leaves, map_arrays


@dataclass(frozen=True)
class Case:
    """``function(*args, **options)``, of which the arguments at ``changed`` are read afterwards.

    ``tolerance(case, expected)`` gives the bounds of the errors, one array an output; None asks for the very values
    that float64 gives when it is rounded. ``patches`` (module of the kernels, name, value) force a chooser.
    ``oracle(case)`` takes the place of the NumPy kernels in float64.
    """

    name: str
    function: str
    args: tuple
    changed: tuple[int, ...] = (0,)
    tolerance: Callable | None = None
    options: dict = field(default_factory=dict)
    patches: tuple[tuple[str, str, object], ...] = ()
    oracle: Callable | None = None

    def outputs(self, args: tuple) -> list:
        """The ndarrays (or Guarded) of ``args`` that the call changes."""
        return [leaf for at in self.changed for leaf in leaves(args[at], (np.ndarray, Guarded))]


def random(name: str, *shape: int) -> np.ndarray:
    """Normal numbers that depend on the name alone."""
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)


def unset(*shape: int, dtype: type = np.float32) -> np.ndarray:
    """An output: nothing may be taken from what it holds."""
    return np.full(shape, {"f": np.nan, "u": 99}.get(np.dtype(dtype).kind, -99), dtype)


@contextlib.contextmanager
def patched(case: Case) -> Iterator[None]:
    """Inside, the choosers do as the case wants."""
    from numbanet.kernels.cpu import (
        axes,
        conv_channels,
        conv_pooled_weight,
        conv_positions,
        conv_weight,
        conv_weight_rows,
        conv_weight_winograd,
    )

    cut = conv_channels, conv_pooled_weight, conv_positions, conv_weight, conv_weight_rows, conv_weight_winograd
    plans = [module.make_plan for module in cut]
    with contextlib.ExitStack() as stack:
        for module, attribute, value in case.patches:
            target = importlib.import_module(f"numbanet.kernels.cpu.{module}")
            stack.enter_context(mock.patch.object(target, attribute, value))
        if case.patches:
            for plan in (*plans, axes.form_of):
                plan.cache_clear()
                stack.callback(plan.cache_clear)
        yield


def append(program: object, case: Case, args: tuple) -> None:
    """Append the case's call to a program; ``args`` holds Guarded arrays."""
    arrays = map_guarded(lambda one: one.array, args)
    getattr(program, case.function)(*arrays, **case.options)


def map_guarded(function, tree):
    if isinstance(tree, tuple):
        return tuple(map_guarded(function, item) for item in tree)
    return function(tree) if isinstance(tree, Guarded) else tree


def run(case: Case, filler: float = np.nan) -> tuple[tuple, list[Guarded]]:
    """Run the case on the CPU kernels between guard zones; all its arguments, and the outputs."""
    args = map_arrays(lambda array: guarded(array, filler), case.args)
    program = load_backend("cpu").program()
    with patched(case):
        append(program, case, args)
        assert not program.host_reasons, f"{case.name} is a host call: {program.host_reasons}"
        program.run()
    return args, case.outputs(args)


def kernels_of(case: Case) -> set:
    """The kernels that the case runs."""
    backend = load_backend("cpu")
    with backend.recording() as kernels, patched(case):
        append(backend.program(), case, map_arrays(guarded, case.args))
    return kernels


def in_float64(case: Case, change: Callable = lambda array: array, **options: object) -> list[np.ndarray]:
    """The outputs of the NumPy kernels in float64, on inputs that ``change`` has passed."""
    if case.oracle is not None:
        return case.oracle(case)

    def convert(array: np.ndarray) -> np.ndarray:
        return np.asarray(change(array), np.float64).copy() if array.dtype.kind == "f" else array.copy()

    args = map_arrays(convert, case.args)
    NUMPY[case.function](*args, **{**case.options, **options})
    return case.outputs(args)


def of_terms(factor: float) -> Callable:
    """A bound factor · ε · Σ|a||b|: the same function of the absolute values, for all that is linear in each input."""

    def bounds(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
        options = {"activation": None} if "activation" in case.options else {}
        return [factor * EPSILON * np.abs(total) for total in in_float64(case, np.abs, **options)]

    return bounds


def relative(factor: float, floor: float = 0.0) -> Callable:
    """A bound factor · ε · (|expected| + floor)."""

    def bounds(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
        return [factor * EPSILON * (np.abs(value) + floor) for value in expected]

    return bounds
