"""A way to run a few lines of device code: a kernel of the test's own over one row."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from numbanet.kernels.array import Array
from numbanet.kernels.backend import load_backend
from numbanet.kernels.cpu.arguments import I64_FIELD
from numbanet.kernels.cpu.kernel import Kernel, kernel
from numbanet.kernels.cpu.simd.pointers import F32, I32, U8

_numbers = itertools.count()


class Row(NamedTuple):
    """Arguments enough for any of the tests' kernels."""

    out: F32
    x: F32
    y: F32
    ints: I32
    bytes_: U8
    n: I64_FIELD = 0
    m: I64_FIELD = 0


def kernel_for_test(function: Callable) -> Kernel:
    """Make ``function(start, stop, row, scratch)`` a kernel under a name of its own."""
    return kernel(Row, f"test_{function.__name__}_{next(_numbers)}")(function)


def launch(
    which: Kernel, out=None, x=None, y=None, ints=None, bytes_=None, n=0, m=0, *, tasks=1, scratch=0, **options
) -> None:
    """Run a kernel on arrays (ndarrays or Arrays) and wait for it."""
    backend = load_backend("cpu")
    program = backend.program()
    arrays = [backend.from_buffer(a) if isinstance(a, np.ndarray) else a for a in (out, x, y, ints, bytes_)]
    for array, given in zip(arrays, (out, x, y, ints, bytes_), strict=True):
        if isinstance(given, np.ndarray):
            assert array.address == given.ctypes.data, "the array was copied"
    assert all(array is None or isinstance(array, Array) for array in arrays)
    program.append(which, tasks, Row(*arrays, n, m), scratch=scratch, **options)
    program.run()
