"""The tests that are generated from a row and from a case, for ops and kernels of your own.

``numbanet/kernels/README.md`` shows how they are used; the built-in ops and kernels get the same from their tables.
"""

from __future__ import annotations

import importlib.util

import numpy as np

import numbanet
from numbanet.kernels import threads
from tests.ops import test_table
from tests.ops.row import Row


def check_op(row: Row) -> int:
    """Values, strides, NaN, gradients, second gradients and the same bits on 1 and 2 threads, on every back end.

    Raises AssertionError where one fails; returns how many checks were made."""
    test_table.TABLE.append(row)
    before, count = numbanet.get_backend(), 0
    try:
        for backend in ("numpy", "cpu") if importlib.util.find_spec("numba") else ("numpy",):
            numbanet.set_backend(backend)
            for case in range(len(row.cases)):
                for check in _checks(row, case, backend):
                    check()
                    count += 1
    finally:
        numbanet.set_backend(before)
        test_table.TABLE.remove(row)
    return count


def _checks(row: Row, case: int, backend: str):
    for dtype in (test_table.FLOAT32, test_table.FLOAT64):
        yield lambda dtype=dtype: test_table.test_forward(backend, row, case, dtype)
    yield lambda: test_table.test_strided_inputs(backend, row, case)
    if row.nan:
        yield lambda: test_table.test_nan_passes_through(backend, row, case)
    if backend == "cpu":
        yield lambda: test_table.test_same_bits_on_any_number_of_threads(backend, row, case)
    if row.differentiable and all(np.isfinite(array).all() for array in row.inputs(case)):
        yield lambda: test_table.test_gradient(backend, row, case)
        for layout in ("contiguous", "strided"):
            yield lambda layout=layout: test_table.test_float32_gradient(backend, row, case, layout)
        if row.twice:
            yield lambda: test_table.test_second_derivative(backend, row, case)


def check_kernel(case) -> None:
    """A ``tests.kernels_cpu.cases.case.Case`` against float64, between guard zones, on 1 and on 2 threads.

    Raises AssertionError if a value is wrong, if anything around an array is read or written, or if the bits differ."""
    from tests.kernels_cpu.test_kernels import check_case

    before = threads.get_num_threads()
    try:
        check_case(case, threads.set_num_threads)
    finally:
        threads.set_num_threads(before)
