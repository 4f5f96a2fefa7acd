"""A trained run to copy, and commands run in this process in an empty folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import numbanet
from numbanet.cli import main

SMALL = ["--limit", "80", "--batch-size", "16", "--epochs", "1", "--backend", "numpy"]


class Result(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def leave_as_found(tmp_path, monkeypatch) -> Iterator[None]:
    """Commands choose the back end and the threads of the process; nothing is downloaded and no user folder is used."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMBANET_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / "no-cache"))
    monkeypatch.delenv("NUMBANET_DATA", raising=False)
    backend, threads = numbanet.get_backend(), numbanet.get_num_threads()
    yield
    numbanet.set_backend(backend)
    numbanet.set_num_threads(threads)


@pytest.fixture
def command(capsys) -> Callable[..., Result]:
    """``command("train", "lenet5", ...)`` as on the command line."""

    def run(*arguments: str) -> Result:
        code = main(arguments)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "lenet5", *SMALL, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def trained(trained_once, tmp_path) -> Path:
    """A run of lenet5 on digits in the folder "run"."""
    shutil.copytree(trained_once, tmp_path / "run")
    return tmp_path / "run"


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its content, and every folder."""
    found: dict[str, bytes | None] = {}
    for path, _, names in os.walk(folder):
        found[path] = None
        found.update({os.path.join(path, name): Path(path, name).read_bytes() for name in names})
    return found
