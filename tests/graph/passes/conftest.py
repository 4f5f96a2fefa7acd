"""Each pass is tested by itself: chains, which would swallow what is looked at, are left to their own tests."""

from __future__ import annotations

import pytest

from numbanet.graph.passes import fuse_chains
from tests.graph.passes.checks import without


@pytest.fixture(autouse=True)
def _chains_aside(request, monkeypatch):
    if not request.module.__name__.endswith("test_chains"):
        without(monkeypatch, fuse_chains)
