"""What the tests of all passes do: compile a function, hold it to eager execution, and look at the plan."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import numbanet as nb
from numbanet.graph import passes
from numbanet.graph.lower import Call
from tests.ops.row import as_list


def copies(results) -> list[np.ndarray]:
    return [one.detach().numpy().copy() for one in as_list(results)]


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def planned(function: Callable, make: Callable[[int], tuple], calls: int = 4) -> list[Call]:
    """The calls of the compiled function's plan; its results have the bits of eager execution.

    ``make(seed)`` gives the arguments: new ones each time, for a function may change them."""
    compiled = nb.compile(function)
    for seed in range(calls):
        expected, given = make(seed), make(seed)
        eager, again = copies(function(*expected)), copies(compiled(*given))
        assert len(eager) == len(again)
        for number, (a, b) in enumerate(zip(eager, again, strict=True)):
            assert same_bits(a, b), f"output {number} differs in call {seed}: {a} and {b}"
        for a, b in zip(expected, given, strict=True):
            assert same_bits(a.numpy(), b.numpy()), "an argument was left otherwise"
    (plan,) = compiled.plans
    return plan.calls


def names(calls: list[Call]) -> list[str]:
    return [call.name for call in calls]


def without(monkeypatch, *left_out: Callable) -> None:
    """Leave some passes out."""
    monkeypatch.setattr(passes, "PASSES", tuple([one for one in passes.PASSES if one not in left_out]))


def arrays(*shapes: tuple[int, ...]) -> Callable[[int], tuple]:
    """Arguments: random float32 tensors of these shapes."""

    def make(seed: int) -> tuple:
        rng = np.random.default_rng(seed)
        return tuple(nb.tensor(rng.standard_normal(shape, np.float32)) for shape in shapes)

    return make
