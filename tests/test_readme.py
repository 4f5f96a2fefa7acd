"""The README keeps its word: its tour is run block by block, in order, in an empty folder."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

CHECKOUT = Path(__file__).parent.parent
# These two are run as they stand in new virtual environments, by .ci/all and .ci/run.
SET_UP = ["pip install . && numbanet train lenet5", "pip install -e '.[test]' && pytest"]


def blocks() -> list[tuple[str, str]]:
    """The fenced blocks of the README: (language, text)."""
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def tour() -> list[tuple[str, str]]:
    return [block for block in blocks() if block[1].strip() not in SET_UP]


def write_small_mnist(folder: Path) -> None:
    """A few random pictures in the form of MNIST's files."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for part, count in (("train", 256), ("t10k", 128)):
        pictures = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", pictures), (f"{part}-labels-idx1-ubyte", labels)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
            (folder / f"{name}.gz").write_bytes(gzip.compress(header + array.tobytes()))


def test_exactly_two_commands_set_up() -> None:
    section = (CHECKOUT / "README.md").read_text(encoding="utf-8").split("## Set up")[1].split("\n## ")[0]
    assert re.findall(r"^```sh\n(.*?)\n```", section, re.MULTILINE | re.DOTALL) == SET_UP
    assert not any("pip install" in text for _, text in tour())


def test_links_lead_somewhere() -> None:
    folders = (CHECKOUT, CHECKOUT / "numbanet", CHECKOUT / "numbanet" / "kernels")
    for readme in [folder / "README.md" for folder in folders]:
        targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", readme.read_text(encoding="utf-8"))
        missing = [target for target in targets if not (readme.parent / target).exists()]
        assert not missing, f"{readme} links to {missing}"


def test_map_names_what_is_there() -> None:
    """Every path that the architecture page names exists."""
    folder = CHECKOUT / "numbanet"
    paths = re.findall(r"`([\w./]+(?:\.py|/))`", (folder / "README.md").read_text(encoding="utf-8"))
    assert len(paths) > 10
    missing = [path for path in paths if not (folder / path).exists() and not (CHECKOUT / path).exists()]
    assert not missing


def test_tour(tmp_path: Path) -> None:
    write_small_mnist(tmp_path / "data" / "mnist")
    scripts = Path(sys.executable).parent
    if not (scripts / "numbanet").exists():
        pytest.fail(f"the command `numbanet` is not installed beside {sys.executable}: pip install -e '.[test]'")
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    languages = {"sh": ["bash", "-euxo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
    done = 0
    for language, text in tour():
        command = [*languages[language], text]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, f"{text}\n{result.stdout}\n{result.stderr}"
        done += 1
    assert done >= 7
    for name in ("config.toml", "metrics.jsonl", "summary.json", "curves.png", "last.npz", "best.npz"):
        assert (tmp_path / "runs" / "first" / name).exists(), name
