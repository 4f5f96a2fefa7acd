"""What all tests share: the back ends, and a state that no test leaves behind."""

from __future__ import annotations

import gc
import importlib.util

import pytest

import numbanet
from numbanet.kernels.backend import BACKENDS

NO_NUMBA = "numba is not installed: the cpu back end is not there"
HAS_NUMBA = importlib.util.find_spec("numba") is not None
DEFAULT = numbanet.get_backend()
needs_numba = pytest.mark.skipif(not HAS_NUMBA, reason=NO_NUMBA)


def pytest_collection_finish() -> None:
    """Tens of thousands of tests stay to the end: each collection of garbage would walk over them for half a second."""
    gc.collect()
    gc.freeze()


def backends() -> list:
    """A parameter for every back end; the cpu one is skipped only without numba."""
    return [pytest.param(name, marks=[needs_numba] if name == "cpu" else []) for name in BACKENDS]


@pytest.fixture(autouse=True)
def _state():
    """Every test begins with the same back end and random state, whatever the tests and the session's fixtures before
    it chose."""
    numbanet.set_backend(DEFAULT)
    numbanet.manual_seed(0)
    yield
    numbanet.set_backend(DEFAULT)
    numbanet.manual_seed(0)


@pytest.fixture(params=backends())
def backend(request):
    """The name of a back end, which new tensors belong to during the test."""
    before = numbanet.get_backend()
    numbanet.set_backend(request.param)
    yield request.param
    numbanet.set_backend(before)
