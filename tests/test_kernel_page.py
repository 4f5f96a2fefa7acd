"""numbanet/kernels/README.md keeps its word: its blocks, each in its file, pass the tests that they call."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent


def files() -> dict[str, str]:
    """The page's blocks by the names that their first lines give."""
    text = (CHECKOUT / "numbanet" / "kernels" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return dict(blocks)


def run(folder: Path, changes: dict[str, tuple[str, str]]) -> subprocess.CompletedProcess:
    """Write the blocks, with some text replaced, and run the last."""
    written = files()
    assert list(written) == ["softsign_contract.py", "softsign_kernel.py", "softsign_op.py", "check_softsign.py"]
    for name, text in written.items():
        old, new = changes.get(name, ("", ""))
        assert old in text
        (folder / name).write_text(text.replace(old, new) if old else text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(CHECKOUT)])}
    command = [sys.executable, "-P", "check_softsign.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_the_example_passes(tmp_path) -> None:
    result = run(tmp_path, {})
    assert result.returncode == 0, result.stdout + result.stderr
    assert "checks of the op" in result.stdout


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("softsign_op.py", ".square()", ""),
        ("softsign_contract.py", "1 + np.abs(x)", "2 + np.abs(x)"),
    ],
    ids=["gradient", "value"],
)
def test_a_planted_bug_is_seen(tmp_path, file, old, new) -> None:
    result = run(tmp_path, {file: (old, new)})
    assert result.returncode != 0
    assert "AssertionError" in result.stderr


def test_a_planted_overrun_is_seen(tmp_path) -> None:
    """A kernel that writes whole vectors where fewer elements are left runs into the guard zone."""
    pytest.importorskip("numba")
    old = "store_first(a.out, i, softsign_of(load_first(a.x, i, end - i)), end - i)"
    result = run(tmp_path, {"softsign_kernel.py": (old, "store(a.out, i, softsign_of(load_first(a.x, i, end - i)))")})
    assert result.returncode != 0
    assert "AssertionError" in result.stderr
