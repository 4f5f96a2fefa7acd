"""How fast the machine is at this moment: its multiply-add peak, and the bandwidth of a copy.

Processors that are shared drift by a factor of two within minutes, so a time means little without these two, taken
right before and right after it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import numbanet
from numbanet.kernels.array import Array
from numbanet.kernels.backend import load_backend
from numbanet.kernels.cpu import target
from numbanet.kernels.cpu.arguments import I64_FIELD, unpack
from numbanet.kernels.cpu.kernel import kernel
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.tile import LANES, outer, store_tile, zeros
from numbanet.kernels.cpu.simd.vector import load, store
from numbanet.kernels.numpy import as_ndarray

ROWS = 12 if target.registers() == 32 else 6
COLUMNS = 2
DEPTH = 128
"""Depth of the panels: both together fit into half of a first-level cache of 32 KiB."""
SWEEPS = 400
COPY_TASK = 1 << 14
TASKS_A_THREAD = 8
PAUSE = 0.03
"""Seconds before a calibration: the threads of the side that ran before spin for a while after their last step."""
LEAST_COPIED, MOST_COPIED = 1 << 16, 1 << 27
"""Bytes that a copy moves at least and at most."""


class Peak(NamedTuple):
    out: F32
    a: F32
    b: F32
    sweeps: I64_FIELD


class Copy(NamedTuple):
    out: F32
    x: F32
    size: I64_FIELD


@kernel(Peak, name="benchmark_peak")
def peak_kernel(start, stop, row, scratch):
    """A tile that stays in registers, updated from panels that stay in the first-level cache."""
    p = unpack(row, Peak)
    for task in range(start, stop):
        acc = zeros(ROWS, COLUMNS)
        for _ in range(p.sweeps):
            for k in range(DEPTH):
                acc = outer(acc, p.a + k * ROWS, 1, p.b + k * COLUMNS * LANES, LANES)
        out = p.out + task * ROWS * COLUMNS * LANES
        store_tile(acc, out, COLUMNS * LANES, 0, ROWS, 0, COLUMNS * LANES, 0, 0)
    return 0


@kernel(Copy, name="benchmark_copy")
def copy_kernel(start, stop, row, scratch):
    """out = x; the size is a multiple of 16."""
    c = unpack(row, Copy)
    for i in range(start * COPY_TASK, min(stop * COPY_TASK, c.size), 16):
        store(c.out, i, load(c.x, i))
    return 0


class Meter:
    """Calibrations on 1 and on ``threads`` threads."""

    def __init__(self, threads: int) -> None:
        self._threads = sorted({1, threads})
        self._backend = load_backend("cpu")
        self._peak = self._peak_program(max(self._threads) * TASKS_A_THREAD)
        self._copies: dict[int, tuple[object, int]] = {}

    def measure(self, nbytes: float = 0) -> dict[str, dict[str, float]]:
        """GFLOP/s of the multiply-adds by number of threads, and GB/s of a copy that moves nbytes, if that is not 0."""
        result: dict[str, dict[str, float]] = {"peak": {}, "copy": {}}
        tasks = max(self._threads) * TASKS_A_THREAD
        time.sleep(PAUSE)
        for threads in self._threads:
            numbanet.set_num_threads(threads)
            flops = 2.0 * ROWS * COLUMNS * LANES * DEPTH * SWEEPS * tasks
            result["peak"][str(threads)] = flops / _median_seconds(self._peak.run) / 1e9
            if nbytes:
                program, moved = self._copy_program(nbytes)
                result["copy"][str(threads)] = moved / _median_seconds(program.run) / 1e9
        return result

    def _array(self, size: int, value: float) -> Array:
        array = Array(self._backend.allocate(4 * size), (size,), np.dtype(np.float32))
        as_ndarray(array)[:] = value
        return array

    def _peak_program(self, tasks: int) -> object:
        program = self._backend.program()
        tile = ROWS * COLUMNS * LANES
        arrays = (tasks * tile, 0), (ROWS * DEPTH, 0.5), (COLUMNS * LANES * DEPTH, 1e-6)
        program.append(peak_kernel, tasks, (*(program.keep(self._array(*one)) for one in arrays), SWEEPS))
        return program

    def _copy_program(self, nbytes: float) -> tuple[object, int]:
        size = int(min(max(nbytes, LEAST_COPIED), MOST_COPIED)) // 8 // 16 * 16
        if size not in self._copies:
            self._copies.clear()  # one volume at a time
            program = self._backend.program()
            out, x = self._array(size, 0), self._array(size, 1)
            program.append(copy_kernel, -(-size // COPY_TASK), (program.keep(out), program.keep(x), size))
            self._copies[size] = program, 8 * size
        return self._copies[size]


def _median_seconds(call: Callable[[], object], samples: int = 3, least: float = 3e-3) -> float:
    """Median seconds of a call after one that does not count; short ones are grouped."""
    begin = time.perf_counter()
    call()
    calls = max(1, int(least / (time.perf_counter() - begin)))
    times = []
    for _ in range(samples):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - begin) / calls)
    return statistics.median(times)
