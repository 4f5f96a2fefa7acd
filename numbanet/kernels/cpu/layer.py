"""Numba's threading layer: omp where it loads, else tbb found by path, else workqueue with one warning.

A parallel region costs 2–3 µs on omp and tbb and 40–400 µs on workqueue, so the choice is ours, not Numba's default
order; a choice of the user's (``NUMBA_THREADING_LAYER``) stands.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import os
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

import numba
from numba.core import config


def _loads(module: str) -> bool:
    try:
        importlib.import_module(f"numba.np.ufunc.{module}")
    except ImportError:
        return False
    return True


SPINS = "10000"
"""How long an idle OpenMP thread looks for work before it sleeps, some 0.3 ms: longer than between two ops."""


@contextlib.contextmanager
def _short_spins() -> Iterator[None]:
    """Keep GNU OpenMP from spinning for milliseconds, its default, unless the user has said how it is to wait.

    A spinning thread holds the core that a descheduled one waits for: on a machine shared with other work a step of
    LeNet-5 took 20–200 ms with the default and 10–15 ms with these. The library reads its environment when it is
    loaded, so the variable is gone again afterwards."""
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


def _preload_tbb() -> bool:
    """Load the library of ``pip install tbb`` by its path: the system's loader does not look there."""
    names = {"win32": "tbb12.dll", "darwin": "libtbb.12.dylib"}
    name = names.get(sys.platform, "libtbb.so.12")
    data = Path(sysconfig.get_path("data"))
    for folder in (data / "lib", data / "Library" / "bin", Path(sys.prefix) / "lib"):
        if (folder / name).exists():
            try:
                ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
            except OSError:
                continue
            return True
    return False


@functools.cache
def choose_layer() -> str:
    """Set and return the layer that parallel replays use; must run before the first of them."""
    if config.THREADING_LAYER != "default":
        return str(config.THREADING_LAYER)
    with _short_spins():
        has_omp = _loads("omppool")
    if has_omp:
        chosen = "omp"
    elif _loads("tbbpool") or (_preload_tbb() and _loads("tbbpool")):
        chosen = "tbb"
    else:
        chosen = "workqueue"
        remedy = "pip install tbb" if sys.platform != "darwin" else "brew install libomp"
        warnings.warn(
            "numbanet found neither OpenMP nor TBB and uses Numba's workqueue, which wakes its threads up to 100 times "
            f"more slowly; small networks will suffer. To mend it: {remedy} (or install your system's libgomp).",
            RuntimeWarning,
            stacklevel=2,
        )
    config.THREADING_LAYER = chosen
    return chosen


def layer_threads() -> int:
    """The most threads that the layer can run."""
    return int(numba.config.NUMBA_NUM_THREADS)
