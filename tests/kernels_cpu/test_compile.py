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
seconds = load_backend("cpu").compile(chosen, lambda *numbers: progress.append(numbers))
loaded = all(kernel.is_loaded for kernel in chosen)
print(json.dumps([seconds, progress, len(started), len(here), loaded]))
"""


def compile_in_child(tmp_path, names=NAMES, threads=2, executable=sys.executable):
    code = COMPILE.format(threads=threads, executable=str(executable), names=list(names))
    return json.loads(run_child(code, NUMBANET_CACHE_DIR=str(tmp_path / "cache")))


def test_children_help(tmp_path):
    """The driver and six kernels: this process and one child share them; nothing is left for the next."""
    seconds, progress, started, here, loaded = compile_in_child(tmp_path)
    assert seconds > 0
    assert progress == [[done, 7] for done in range(8)]
    assert started == 1
    assert 0 < here < 7
    assert loaded
    assert compile_in_child(tmp_path) == [0.0, [], 0, 0, True]


@pytest.mark.parametrize(("names", "threads", "total"), [(NAMES[:2], 2, 3), (NAMES, 1, 6)])
def test_few_kernels_and_one_thread_need_no_child(tmp_path, names, threads, total):
    _, progress, started, here, loaded = compile_in_child(tmp_path, names, threads)
    assert progress == [[done, total] for done in range(total + 1)]
    assert (started, here, loaded) == (0, total, True)


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
    assert progress == [[done, 7] for done in range(8)]
    assert (started, loaded) == (1, True)
    assert here == (6 if "echo" in script else 7)
