"""Runs every parity test on each back end that is here, with one thread on each side."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

import numbanet

BACKENDS = ["numpy", "cpu"] if importlib.util.find_spec("numba") else ["numpy"]


@pytest.fixture(params=BACKENDS, autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The back end in force. One thread: two OpenMP runtimes in one process would spoil each other's speed."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    before, threads = numbanet.get_backend(), numbanet.get_num_threads()
    numbanet.set_backend(request.param)
    numbanet.set_num_threads(1)
    yield request.param
    numbanet.set_backend(before)
    numbanet.set_num_threads(threads)
