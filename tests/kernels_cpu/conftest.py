"""The tests of the Numba kernels; without numba only those of the parts that do without it are collected."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

if importlib.util.find_spec("numba") is None:
    NEED_NO_NUMBA = {"test_memory.py", "test_threads.py"}
    collect_ignore = [file.name for file in Path(__file__).parent.glob("test_*.py") if file.name not in NEED_NO_NUMBA]


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def thread_counts(request):
    """Kernels run on one thread, then on two."""
    yield from _threads(request.param)


@pytest.fixture
def two_threads():
    """Kernels run on two threads."""
    yield from _threads(2)


def _threads(count: int):
    from numbanet.kernels import threads

    before = threads.get_num_threads()
    threads.set_num_threads(count)
    yield count
    threads.set_num_threads(before)
