"""Every row of the table of operations, compiled: outputs and gradients have the bits of eager execution."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet
from numbanet import autograd
from numbanet.graph import GraphError
from numbanet.kernels.array import Array
from numbanet.kernels.contract import CONTRACT
from numbanet.kernels.numpy import assembly
from tests.ops.row import Row, as_list, in_dtype
from tests.ops.table import TABLE

FLOAT32 = np.dtype(np.float32)


def with_gradients(row: Row, case: int):
    """The row's function, its outputs and the gradients of a weighted sum of them, as a function of its inputs."""

    def function(*inputs):
        leaves = [x.detach().requires_grad_() if x.is_floating_point() else x for x in inputs]
        results = as_list(row.function(*leaves))
        sums = [(out * out).sum() for out in results if out.requires_grad]
        if not row.differentiable or not sums:
            return results
        total = sums[0]
        for other in sums[1:]:
            total = total + other
        wanted = [leaf for leaf in leaves if leaf.requires_grad]
        return [*results, *autograd.grad(total, wanted, allow_unused=True)]

    return function


def arrays_of(row: Row, case: int, seed: int) -> list[np.ndarray]:
    return [in_dtype(array, FLOAT32) for array in row.inputs(case, seed)]


def run(function, row: Row, case: int) -> list[list[np.ndarray | None]]:
    numbanet.manual_seed(5)
    found = []
    for seed in (0, 0, 0, 1, 2):
        results = function(*[numbanet.tensor(array) for array in arrays_of(row, case, seed)])
        found.append([None if one is None else one.detach().numpy().copy() for one in results])
    return found


def smallest(row: Row) -> int:
    """The number of the row's case with the fewest elements, which is not empty."""
    sizes = {case: max(array.size for array in row.inputs(case)) for case in range(len(row.cases))}
    return min((case for case, size in sizes.items() if size > 1), key=sizes.get, default=0)


# A sample of the rows is fast enough for every day.
ROWS = [pytest.param(row, id=row.name, marks=[pytest.mark.slow] * (at % 16 > 0)) for at, row in enumerate(TABLE)]


@pytest.mark.parametrize("row", ROWS)
def test_the_bits_of_eager_execution(backend, row: Row, monkeypatch):
    monkeypatch.setattr(assembly, "run_host_call", checked_host_call)
    case = smallest(row)
    if len({tuple(a.shape for a in arrays_of(row, case, seed)) for seed in range(3)}) > 1:
        pytest.fail("the samples of a case have one shape")
    compiled = numbanet.compile(with_gradients(row, case))
    with np.errstate(all="ignore"):
        try:
            again = run(compiled, row, case)
        except GraphError:
            assert row.name in CANNOT_BE_COMPILED
            return
        assert compiled.plans or not any(array.size for array in row.inputs(case))
        for eager, replayed in zip(run(with_gradients(row, case), row, case), again, strict=True):
            for a, b in zip(eager, replayed, strict=True):
                np.testing.assert_array_equal(a, b)


CANNOT_BE_COMPILED = {
    "transfer",  # to another back end
    "mask",  # its shape depends on values
    "put",
    "batch_norm, running statistics, momentum 0.1",  # statistics that are made anew inside
    "batch_norm, running statistics, momentum None",
}


# --- the contract says what a function writes ------------------------------------------------------------------------
def checked_host_call(call) -> None:
    """Run a call of the NumPy back end; nothing but what the contract names may have changed."""
    line = CONTRACT[call.name]
    given = line.signature.bind(*call.args, **call.kwargs).arguments
    before = {name: contents(value) for name, value in given.items() if not line.is_written(name)}
    written = {id(a.storage) for name, value in given.items() if line.is_written(name) for a in arrays_in(value)}
    call.function(*map(assembly.as_ndarray, call.args), **{k: assembly.as_ndarray(v) for k, v in call.kwargs.items()})
    for name, kept in before.items():
        if not any(id(a.storage) in written for a in arrays_in(given[name])):  # in place
            assert contents(given[name]) == kept, f"{call.name} writes {name}, which the contract does not say"


def arrays_in(value) -> list[Array]:
    return [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Array)]


def contents(value) -> list[bytes]:
    return [array.numpy().tobytes() for array in arrays_in(value)]
