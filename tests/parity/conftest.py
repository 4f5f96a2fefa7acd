"""Every parity test runs on each back end, with one thread on either side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import numbanet


@pytest.fixture(autouse=True)
def one_thread(backend: str) -> Iterator[None]:
    """One thread: two OpenMP runtimes in one process would spoil each other's speed."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    threads = numbanet.get_num_threads()
    numbanet.set_num_threads(1)
    yield
    numbanet.set_num_threads(threads)
