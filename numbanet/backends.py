"""Which back end new tensors belong to."""

from __future__ import annotations

import importlib.util
import os

from numbanet.kernels.backend import BACKENDS, Backend, load_backend

_current: Backend | None = None


def current_backend() -> Backend:
    """The back end of new tensors, chosen at first use: NUMBANET_BACKEND, else "cpu" if numba is there, else
    "numpy"."""
    return _current if _current is not None else _choose()


def _choose() -> Backend:
    global _current
    name = os.environ.get("NUMBANET_BACKEND")
    if not name:
        name = "cpu" if importlib.util.find_spec("numba") else "numpy"
    elif name not in BACKENDS:
        raise ValueError(f"NUMBANET_BACKEND={name}: there is no such back end; choose one of: {', '.join(BACKENDS)}")
    _current = load_backend(name)
    return _current


def get_backend() -> str:
    """The name of the back end that new tensors belong to: "cpu" or "numpy"."""
    return current_backend().name


def set_backend(name: str) -> None:
    """Have new tensors belong to the back end called ``name``: "cpu" or "numpy". Tensors that exist stay where they
    are."""
    global _current
    _current = load_backend(name)
