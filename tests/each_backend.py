"""The fixture ``backend``: runs a test on every back end that is here."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

import numbanet

BACKENDS = ["numpy", "cpu"] if importlib.util.find_spec("numba") else ["numpy"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the back end in force."""
    before = numbanet.get_backend()
    numbanet.set_backend(request.param)
    yield request.param
    numbanet.set_backend(before)
