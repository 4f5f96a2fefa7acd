"""What the tests of the kernels share: arrays between guard zones, calls of contract functions, child processes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from numbanet.kernels.array import Array, Storage
from numbanet.kernels.backend import load_backend

EPSILON = float(np.finfo(np.float32).eps)
GUARD = 37
"""Elements of a guard zone on each side; odd, so that no array begins at a multiple of a vector."""
ROOT = Path(__file__).parents[2]


@dataclass
class Guarded:
    """An Array in the middle of a buffer whose other elements (gaps of a strided array, too) hold ``filler``."""

    array: Array
    values: np.ndarray
    buffer: np.ndarray
    before: np.ndarray
    is_mine: np.ndarray

    @property
    def is_outside_untouched(self) -> bool:
        """Whether everything but the array's own elements is as it was."""
        same = self.buffer.view(np.uint8) == self.before.view(np.uint8)
        return bool(same.reshape(self.buffer.size, -1).all(axis=1)[~self.is_mine].all())

    @property
    def is_unchanged(self) -> bool:
        """Whether the array's own elements are as they were, to the bit."""
        return self.buffer.tobytes() == self.before.tobytes()


def guarded(source: np.ndarray, filler: float = np.nan) -> Guarded:
    """A copy of ``source``, with its strides, between guard zones; the storage ends where the array does."""
    dtype, itemsize = source.dtype, source.dtype.itemsize
    strides = tuple(stride // itemsize for stride in source.strides)
    extent = 1 + sum((n - 1) * stride for n, stride in zip(source.shape, strides, strict=True)) if source.size else 0
    number = filler if dtype.kind == "f" else 77
    buffer = np.full(extent + 2 * GUARD, number, dtype)
    inner = buffer[GUARD : GUARD + extent]
    values = np.ndarray(source.shape, dtype, buffer, GUARD * itemsize, source.strides)
    values[...] = source
    is_mine = np.zeros(buffer.size, bool)
    np.ndarray(source.shape, bool, is_mine, GUARD, strides)[...] = True
    backend = load_backend("cpu")
    storage = Storage(backend, inner.view(np.uint8), inner.ctypes.data, inner.nbytes)
    array = Array(storage, source.shape, dtype, None if source.flags.c_contiguous else strides)
    return Guarded(array, values, buffer, buffer.copy(), is_mine)


def map_arrays(function, tree):
    """``tree`` (nested tuples) with every ndarray replaced by function(array)."""
    if isinstance(tree, tuple):
        return tuple(map_arrays(function, item) for item in tree)
    return function(tree) if isinstance(tree, np.ndarray) else tree


def leaves(tree, kind) -> list:
    """The instances of ``kind`` in nested tuples, in order."""
    if isinstance(tree, kind):
        return [tree]
    return [leaf for item in tree for leaf in leaves(item, kind)] if isinstance(tree, tuple) else []


def run_child(code: str, timeout: float = 300, **environment: str) -> str:
    """Run Python code in a new process in the checkout's root; its output. A failure raises with what it wrote."""
    result = child(code, timeout, **environment)
    if result.returncode:
        raise AssertionError(f"the child ended with {result.returncode}:\n{result.stdout}\n{result.stderr}")
    return result.stdout


def child(code: str, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess:
    """As run_child, but whatever way the process ends. An empty value removes a variable."""
    merged = {**os.environ, **environment}
    merged["PYTHONPATH"] = os.pathsep.join(filter(None, [environment.get("PYTHONPATH"), str(ROOT)]))
    merged = {key: value for key, value in merged.items() if value != ""}
    command = [sys.executable, "-P", "-c", code]  # -P: PYTHONPATH alone says which numbanet
    return subprocess.run(command, env=merged, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
