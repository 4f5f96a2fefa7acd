"""Compiling side by side: children that help, children that die, and the progress that is told."""

from __future__ import annotations

import json
import sys

import pytest

from tests.kernels_cpu.helpers import run_child

NAMES = ["relu", "relu_gradient", "arithmetic", "constant", "sum_rows", "sum_columns"]
COMPILE = """
import json, sys
from numbanet.kernels import threads
from numbanet.kernels.cpu import compile as module
from numbanet.kernels.backend import load_backend
from numbanet.kernels.cpu.functions import FUNCTIONS
from numbanet.kernels.cpu.kernel import KERNELS
threads.set_num_threads({threads})
sys.executable = {executable!r}
started, real, here = [], module.subprocess.Popen, []
def popen(command, *args, **kwargs):
    if "numbanet.kernels.cpu.compile" in command:  # Numba starts programs of its own
        started.append(command)
    return real(command, *args, **kwargs)
module.subprocess.Popen = popen
one = module.compile_one
module.compile_one = lambda name: here.append(name) or one(name)
progress = []
chosen = [KERNELS[name] for name in {names!r}]
backend = load_backend("cpu")
backend.compile(chosen, lambda *numbers: progress.append(numbers))
loaded = all(kernel.is_loaded for kernel in chosen)
print(json.dumps([backend.compile_seconds, progress, len(started), len(here), loaded]))
"""


def compile_in_child(tmp_path, names=NAMES, threads=2, executable=sys.executable):
    code = COMPILE.format(threads=threads, executable=str(executable), names=list(names))
    return json.loads(run_child(code, NUMBANET_CACHE_DIR=str(tmp_path / "cache")))


@pytest.mark.slow
def test_children_help(tmp_path):
    """Three drivers and six kernels: this process and one child share them; nothing is left for the next."""
    seconds, progress, started, here, loaded = compile_in_child(tmp_path)
    assert seconds > 0
    assert progress == [[done, 9] for done in range(10)]
    assert started == 1
    assert 0 < here < 9
    assert loaded
    assert compile_in_child(tmp_path) == [0.0, [], 0, 0, True]


@pytest.mark.slow
def test_one_thread_needs_no_child(tmp_path):
    _, progress, started, here, loaded = compile_in_child(tmp_path, NAMES, 1)
    assert progress == [[done, 7] for done in range(8)]
    assert (started, here, loaded) == (0, 7, True)


@pytest.mark.slow
def test_few_kernels_need_no_child_and_spoilt_ones_are_counted(tmp_path):
    """Three drivers first, then two kernels; one that turns out to be unreadable takes time, too, when it is loaded."""
    for names in ([], NAMES[:2]):
        seconds, progress, started, here, loaded = compile_in_child(tmp_path, names)
        total = len(names) or 3
        assert progress == [[done, total] for done in range(total + 1)]
        assert (started, here, loaded) == (0, total, True)
        assert seconds > 0
    next(tmp_path.rglob("relu.1.nbc")).write_bytes(b"garbage")
    seconds, progress, *_ = compile_in_child(tmp_path, NAMES[:2])
    assert (seconds > 0, progress) == (True, [])
    assert compile_in_child(tmp_path, NAMES[:2])[0] == 0


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("exit 3", marks=pytest.mark.slow),
        pytest.param("read name", marks=pytest.mark.slow),
        "read name; echo $name; read name",
    ],
)
def test_a_child_that_dies_loses_nothing(tmp_path, script):
    """At once, or with a kernel taken, or with its second: this process compiles it, and the count is right."""
    shell = tmp_path / "child"
    shell.write_text(f"#!/bin/sh\n{script}\n")
    shell.chmod(0o755)
    _, progress, started, here, loaded = compile_in_child(tmp_path, executable=shell)
    assert progress == [[done, 9] for done in range(10)]
    assert (started, loaded) == (1, True)
    assert here == (8 if "echo" in script else 9)
