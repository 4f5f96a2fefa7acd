"""The cache of compiled kernels: whose it is, what its folders' names hold, and what happens when it is spoilt."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from numbanet.kernels.cpu import cache
from tests.kernels_cpu.helpers import ROOT, child, run_child

USE = """
from numba.core import compiler
compiled, real = [], compiler.compile_extra
compiler.compile_extra = lambda *args, **kwargs: compiled.append(args) or real(*args, **kwargs)
import numpy as np
from numbanet.kernels import threads
from numbanet.kernels.backend import load_backend
threads.set_num_threads({threads})
backend = load_backend("cpu")
x = backend.from_buffer(np.linspace(-1, 1, 40000, dtype=np.float32).reshape(10, 4000))
out = backend.from_buffer(np.zeros((10, 4000), np.float32))
program = backend.program()
program.{call}
program.run()
print(len(compiled), out.numpy()[9, 3999])
"""
RELU, SOFTMAX = 'unary(out, x, "relu")', "softmax(out.view((10, 4000, 1)), x.view((10, 4000, 1)), True)"


def use(folder: Path, call: str = RELU, threads: int = 1, **environment: str) -> tuple[int, float]:
    """A process that runs one kernel; how many functions it compiled, and its last result."""
    code = USE.format(call=call, threads=threads)
    count, result = run_child(code, NUMBANET_CACHE_DIR=str(folder), **environment).split()
    return int(count), float(result)


# --- use ---------------------------------------------------------------------------------------------------------
def test_the_next_process_compiles_nothing(tmp_path):
    folder = tmp_path / "cache"
    first = use(folder, threads=2)
    assert first[0] >= 2
    assert first[1] == 1
    assert use(folder, threads=2) == (0, 1)


PRODUCT = "matmul(out, x, backend.from_buffer(np.zeros((4000, 4000), np.float32)))"


@pytest.mark.slow
def test_kernels_that_close_over_device_functions_are_found_again(tmp_path):
    def compiled() -> int:
        code = USE.format(call=PRODUCT, threads=1)
        return int(run_child(code, NUMBANET_CACHE_DIR=str(tmp_path / "cache")).split()[0])

    assert compiled() > 0
    assert compiled() == 0


@pytest.mark.slow
def test_every_kernel_is_found_again():
    """By a process that compiles nothing, and so knows of Numba only what machine code refers to."""
    code = """
from numbanet.kernels.backend import load_backend
from numbanet.kernels.cpu.functions import FUNCTIONS
from numbanet.kernels.cpu.kernel import KERNELS
backend = load_backend("cpu")
backend.compile(KERNELS.values())
print(len(KERNELS), backend.compile_seconds)
"""
    run_child(code)
    count, seconds = run_child(code).split()
    assert int(count) > 100
    assert float(seconds) == 0.0


@pytest.mark.slow
def test_processes_that_start_at_once(tmp_path):
    """Four fill one empty cache; all succeed, and a fifth compiles nothing."""
    command = [sys.executable, "-P", "-c", USE.format(call=RELU, threads=2)]
    environment = {**os.environ, "NUMBANET_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    results = [process.communicate(timeout=300)[0].split()[1:] for process in running]
    assert results == [["1.0"]] * 4
    assert use(tmp_path / "cache", threads=2) == (0, 1)
    assert not list((tmp_path / "cache").rglob("*.tmp.*"))


SPOILERS = {
    "emptied": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "overwritten": lambda data: b"garbage" * 99,
}


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
def test_a_spoilt_file_is_compiled_anew(tmp_path, spoil, ending):
    use(tmp_path)
    (file,) = [file for file in tmp_path.rglob("relu*") if file.suffix == ending]
    file.write_bytes(spoil(file.read_bytes()))
    assert use(tmp_path)[0] > 0
    assert use(tmp_path) == (0, 1)


@pytest.mark.slow
def test_a_vanished_file_is_compiled_anew(tmp_path):
    use(tmp_path)
    next(tmp_path.rglob("relu*.nbc")).unlink()
    assert use(tmp_path)[0] > 0
    assert use(tmp_path) == (0, 1)


@pytest.mark.slow
def test_without_a_folder_kernels_live_in_memory(tmp_path):
    """A file lies where the folder should be: kernels are compiled each time, and compile() says that it took time."""
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "cache"
    code = """
from numbanet.kernels.backend import load_backend
from numbanet.kernels.cpu.functions import FUNCTIONS
from numbanet.kernels.cpu.kernel import KERNELS
backend, progress = load_backend("cpu"), []
chosen = [KERNELS["relu"], KERNELS["constant"]]
backend.compile(chosen, lambda *numbers: progress.append(numbers))
seconds = backend.compile_seconds
backend.compile(chosen)
print(seconds > 0, backend.compile_seconds - seconds, progress[-1])
"""
    for _ in range(2):
        assert run_child(code, NUMBANET_CACHE_DIR=str(folder), NUMBANET_NUM_THREADS="1").strip() == "True 0.0 (3, 3)"


def test_kernels_of_other_packages_are_not_cached():
    """Nobody watches their sources here."""
    from tests.kernels_cpu.test_vector import indexing

    assert indexing.address
    assert not indexing.is_cached


# --- whose folder it is ------------------------------------------------------------------------------------------
def test_the_folder_is_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBANET_CACHE_DIR", str(tmp_path / "a" / "b"))
    assert cache.cache_root() == tmp_path / "a" / "b"
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    folder = cache.module_folder("numbanet.kernels.cpu.gemm")
    assert folder.parent == tmp_path / "a" / "b"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_open_rights_are_corrected(tmp_path, monkeypatch):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("NUMBANET_CACHE_DIR", str(tmp_path / "open"))
    assert cache.cache_root() == tmp_path / "open"
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o700


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system has no owners of files")
def test_somebody_elses_folder_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBANET_CACHE_DIR", str(tmp_path))
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    assert cache.cache_root() is None
    assert cache.module_folder("numbanet.kernels.cpu.gemm") is None
    assert cache.prune() == 0


def test_a_user_without_a_home(monkeypatch):
    """Containers run as numbers without an entry in the list of users; then there is no cache."""
    for name in ("NUMBANET_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert cache.cache_root() is None


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "{tmp}/x"}, "x/numbanet/kernels"),
        ("linux", {}, "home/.cache/numbanet/kernels"),
        ("darwin", {}, "home/Library/Caches/numbanet/kernels"),
        ("win32", {"LOCALAPPDATA": "{tmp}/local"}, "local/numbanet/kernels"),
    ],
)
def test_where_it_lies(tmp_path, monkeypatch, platform, variables, expected):
    for name in ("NUMBANET_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp=tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(sys, "platform", platform)
    assert cache.cache_root() == tmp_path / expected


def test_prune_deletes_old_folders_of_kernels_only(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBANET_CACHE_DIR", str(tmp_path))
    old = time.time() - 61 * 86400
    names = {"gemm-0123456789abcdef": old, "conv-0123456789abcdef": time.time(), "photos": old, "my-photos-2019": old}
    for name, when in names.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
        os.utime(tmp_path / name, (when, when))
    (tmp_path / "relu-0123456789abcdef").write_text("a file")
    os.utime(tmp_path / "relu-0123456789abcdef", (old, old))
    assert cache.prune() == 1
    left = ["conv-0123456789abcdef", "my-photos-2019", "photos", "relu-0123456789abcdef"]
    assert sorted(file.name for file in tmp_path.iterdir()) == left
    assert cache.prune(-1) == 1
    assert (tmp_path / "photos" / "file").exists()


def test_use_spares_a_folder_from_pruning(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBANET_CACHE_DIR", str(tmp_path))
    folder = cache.module_folder("numbanet.kernels.cpu.gemm")
    os.utime(folder, (0, 0))
    assert cache.module_folder("numbanet.kernels.cpu.gemm") == folder
    assert cache.prune() == 0


# --- what the names hold -----------------------------------------------------------------------------------------
HASHES = """
from numbanet.kernels.cpu import cache
for name in ("softmax", "pointwise", "conv", "driver"):
    print(cache.module_hash("numbanet.kernels.cpu." + name))
"""


def test_lanes_and_check_mode_have_folders_of_their_own():
    names = "NUMBANET_LANES", "NUMBANET_CHECK"
    settings = [dict(zip(names, values, strict=True)) for values in (("4", "0"), ("8", "0"), ("8", "1"))]
    seen = [run_child(HASHES, **setting) for setting in settings]
    assert len(set(seen)) == 3
    assert run_child(HASHES, **settings[0]) == seen[0]


@pytest.mark.parametrize("what", ["numba.__version__", "llvmlite.__version__", "sys.version"])
def test_versions_have_folders_of_their_own(monkeypatch, what):
    module = "numbanet.kernels.cpu.gemm"
    before = cache.module_hash(module)
    monkeypatch.setattr(f"numbanet.kernels.cpu.cache.{what}", "99.0")
    assert cache.module_hash.__wrapped__(module) != before


@pytest.mark.slow
def test_an_edited_helper_leaves_no_stale_kernel(tmp_path):
    """Terms of sums of exponentials made twice as large: log-softmax is ln 2 smaller at once; what does not import them
    is not compiled again."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "numbanet", copy / "numbanet", ignore=shutil.ignore_patterns("__pycache__"))
    here = {"PYTHONPATH": str(copy)}
    folder = tmp_path / "cache"
    before, first = run_child(HASHES, **here).split(), use(folder, SOFTMAX, **here)
    use(folder, RELU, **here)
    exponential = copy / "numbanet/kernels/cpu/simd/exponential.py"
    text, old = exponential.read_text(), "return as_float_bits(as_int_bits(p) + shift"
    assert text.count(old) == 1
    exponential.write_text(text.replace(old, "return as_float_bits(as_int_bits(p + p) + shift"))
    after, second = run_child(HASHES, **here).split(), use(folder, SOFTMAX, **here)
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, True, True]
    assert second[0] > 0
    assert second[1] == pytest.approx(first[1] - np.log(2), abs=1e-5)
    assert use(folder, RELU, **here) == (0, 1)


def test_importing_the_back_end_does_not_import_numba():
    code = "import sys, numbanet.kernels.cpu; print([name for name in ('numba', 'llvmlite') if name in sys.modules])"
    assert child(code).stdout.strip() == "[]"
