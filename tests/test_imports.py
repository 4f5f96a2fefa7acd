"""What an import costs and may touch: no heavy library until it is needed, Numba only below the CPU kernels."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import numbanet

HEAVY = ("numba", "llvmlite", "matplotlib", "scipy", "torch", "onnx", "pooch", "PIL", "sacrebleu")
PACKAGE = Path(numbanet.__file__).parent
CHECKOUT = Path(__file__).parent.parent
HELP = "from numbanet.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"


def run_python(code: str) -> subprocess.CompletedProcess:
    """Run code in a fresh interpreter; what it prints on standard error is the answer."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)


@pytest.mark.parametrize(
    "code", ["import numbanet", "import numbanet.nn, numbanet.optim, numbanet.data, numbanet.text", HELP]
)
def test_imports_nothing_heavy(code: str) -> None:
    report = "import sys; print(*sorted(m for m in sys.modules if '.' not in m), file=sys.stderr)"
    loaded = set(run_python(f"{code}\n{report}").stderr.split())
    assert "numbanet" in loaded
    assert not loaded.intersection(HEAVY)


def test_works_with_numba_absent() -> None:
    code = """
import sys
sys.modules["numba"] = None  # what `import numba` meets where it is not installed
import importlib.util
import numbanet
x = numbanet.tensor([1.0, -2.0], requires_grad=True)
x.relu().sum().backward()
print(numbanet.get_backend(), x.grad.numpy().tolist(), file=sys.stderr)
"""
    assert run_python(code).stderr.strip() == "numpy [1.0, 0.0]"


def source_files() -> list[Path]:
    folders = [PACKAGE, CHECKOUT / "cli", CHECKOUT / "datasets"]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def imports_at_top_level(tree: ast.Module) -> set[str]:
    """The first names of all modules that importing this file imports: everything outside functions."""
    names, pending = set(), list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending.extend(node.orelse)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            pending.extend(ast.iter_child_nodes(node))
    return names


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_heavy_libraries_are_imported_late(path: Path) -> None:
    allowed = {"numba", "llvmlite"} if (PACKAGE / "kernels" / "cpu") in path.parents else set()
    found = imports_at_top_level(ast.parse(path.read_text(encoding="utf-8")))
    assert not found.intersection(HEAVY) - allowed


def test_top_level_imports_are_seen() -> None:
    code = "import a\ntry:\n    from b.c import d\nexcept Error:\n    import e\ndef f():\n    import g\nfrom . import h"
    assert imports_at_top_level(ast.parse(code)) == {"a", "b", "e"}


def test_every_package_is_listed() -> None:
    listed = set(
        tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    )
    found = set()
    for path in source_files():
        parts = path.parent.relative_to(CHECKOUT).parts
        found.add(".".join(parts if parts[0] == "numbanet" else ("numbanet", *parts)))
    assert listed == found


def test_version_is_written_once() -> None:
    from importlib.metadata import version

    assert numbanet.__version__ == version("numbanet")
