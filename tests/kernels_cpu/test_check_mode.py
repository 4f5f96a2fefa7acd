"""``NUMBANET_CHECK=1``: our kernels pass; whatever reads or writes beside its buffer is caught and harms nothing."""

from __future__ import annotations

import pytest

from tests.kernels_cpu.helpers import run_child

ON = {"NUMBANET_CHECK": "1"}
FEW = (
    "matmul edges",
    "relu 4101",
    "sum all, blocks",
    "softmax 4 x 33",
    "conv2d lenet, no bias",
    "max_pool2d 2 x 2, odd",
    "sgd_update momentum",
    "rmsprop_update centered",
    "normal 33",
    "dropout",
)

CASES = """
from tests.kernels_cpu.cases import CASES
from tests.kernels_cpu.cases.case import run
from numbanet.kernels.cpu.simd.pointers import CHECKED
assert CHECKED
count = 0
for case in CASES.values():
    if case.name.startswith({names!r}):
        try:
            run(case)
        except Exception as error:
            raise AssertionError(case.name) from error
        count += 1
print(count)
"""

PLANTED = """
import threading
import numpy as np
from numbanet.kernels.array import Array, Storage
from numbanet.kernels.backend import load_backend
from numbanet.kernels.cpu.arguments import unpack, workspace
from numbanet.kernels.cpu.program import KernelAccessError
from numbanet.kernels.cpu.simd.tile import (
    LANES, add_bias_columns, add_bias_rows, add_sums, inner, offsets, outer, store_columns, store_tile, zero_sums, zeros
)
from numbanet.kernels.cpu.simd.transpose import interleave_rows, transpose_block, transpose_corner
from numbanet.kernels.cpu.simd.vector import load, load_first, splat, store, store_first
from tests.kernels_cpu.device import Row, kernel_for_test

@kernel_for_test
def planted(start, stop, row, scratch):
    p = unpack(row, Row)
    n, m = p.n, p.m
    memory = workspace(row, scratch)
    {body}
    return 0

def attempt(n, m):
    '''Run the kernel on arrays of 300 float32 (or 300 int32) between untouchable zones.'''
    whole, program = [], load_backend("cpu").program()
    arrays = []
    for dtype in (np.float32, np.float32, np.float32, np.int32):
        buffer = np.full(400, 50, dtype)
        inner = buffer[50:350]
        inner[:] = 0
        whole.append(buffer)
        storage = Storage(None, inner.view(np.uint8), inner.ctypes.data, inner.nbytes)
        arrays.append(Array(storage, (300,), np.dtype(dtype)))
    program.append(planted, 1, Row(*arrays, None, n, m), scratch=32)
    caught = []
    def run():
        try:
            program.run()
        except KernelAccessError as error:
            caught.append(str(error))
    other = threading.Thread(target=run)  # not the thread that appended the row
    other.start()
    other.join()
    assert all((part[:50] == 50).all() and (part[350:] == 50).all() for part in whole), "something was written"
    return caught

good, bad = {good}, {bad}
assert attempt(*good) == [], "what is allowed was refused"
caught = attempt(*bad)
assert len(caught) == 1 and "outside its buffers" in caught[0] and "planted" in caught[0], caught
assert attempt(*good) == [], "the violation was not forgotten"
"""

TILE = "acc = outer(zeros(4, 2), p.x, 1, p.y, LANES); "
ONE = "store_tile(acc, p.out, 0, 0, 1, 0, 1, 0, 0)"
COLUMNS = """p.ints[0], p.ints[1], p.ints[2], p.ints[3] = np.int32(n), np.int32(3), np.int32(4), np.int32(0)
    store_columns(acc, p.out, 0, 0, 1, offsets(p.ints, 0, 2), offsets(p.ints, 2, 2), 0, 0)"""
# name: body of a kernel, (n, m) with which it stays inside, (n, m) with which it does not. Buffers hold 300 elements.
ACCESSES = {
    "an element read": ("p.out[0] = p.x[n]", (299, 0), (300, 0)),
    "an element before": ("p.out[0] = p.x[n]", (0, 0), (-1, 0)),
    "an element written": ("p.out[n] = np.float32(1)", (299, 0), (300, 0)),
    "an integer written": ("p.ints[n] = np.int32(1)", (299, 0), (300, 0)),
    "through a moved pointer": ("(p.out + n)[m] = np.float32(1)", (310, -11), (310, -10)),
    "a vector read": ("store(p.out, 0, load(p.x, n))", (284, 0), (285, 0)),
    "a vector written": ("store(p.out, n, load(p.x, 0))", (284, 0), (285, 0)),
    "lanes read": ("store(p.out, 0, load_first(p.x, n, m))", (290, 10), (290, 11)),
    "rows read": ("interleave_rows(p.out, p.x + n, m, 6)", (252, 8), (253, 8)),
    "rows written": ("interleave_rows(p.out + n, p.x, m, 6)", (250, 8), (251, 8)),
    "lanes written": ("store_first(p.out, n, load(p.x, 0), m)", (290, 10), (290, 11)),
    "no lanes": ("store_first(p.out, 5000, load(p.x, 0), n)", (0, 0), (1, 0)),
    "scratch written": ("memory[n] = np.float32(1)", (31, 0), (32, 0)),
    "a transposed block read": ("transpose_block(p.out, 16, p.x + n, 16, 16)", (44, 0), (45, 0)),
    "a transposed block written": ("transpose_block(p.out + n, 16, p.x, 16, 16)", (44, 0), (45, 0)),
    "a corner read": ("transpose_corner(p.out, 16, p.x + n, 16, 3, m)", (260, 8), (260, 9)),
    "a corner written": ("transpose_corner(p.out + n, 16, p.x, 16, 3, m)", (236, 4), (236, 5)),
    "outer, rows": ("acc = outer(zeros(4, 2), p.x, n, p.y, LANES); " + ONE, (99, 0), (100, 0)),
    "outer, columns": (
        "acc = outer(zeros(4, 2), p.x, 1, p.y + (300 - n - 2 * LANES), LANES); " + ONE, (0, 0), (-1, 0)
    ),
    "a tile stored, rows": (TILE + "store_tile(acc, p.out + (300 - 32), n, 0, m, 0, 16, 0, 0)", (16, 2), (17, 2)),
    "a tile stored, columns": (TILE + "store_tile(acc, p.out + 299, 0, 0, 1, 0, n, 0, 0)", (1, 0), (2, 0)),
    "a tile added": (TILE + "store_tile(acc, p.out + (n - 3), 0, 0, 1, 3, 5, 1, 0)", (298, 0), (299, 0)),
    "a tile stored from its middle": (TILE + "store_tile(acc, p.out + (n - 3), 0, 0, 1, 3, 5, 0, 0)", (0, 0), (-1, 0)),
    "columns stored": (TILE + COLUMNS, (296, 0), (297, 0)),
    "a table of offsets": ("w = offsets(p.ints, n, 2); p.out[0] = np.float32(w[0])", (298, 0), (299, 0)),
    "inner": (
        "acc = inner(zero_sums(2, 2), p.x + n, 0, p.y, 1, m); add_sums(acc, p.out, 2, 0, 2, 2, 0)", (290, 10), (290, 11)
    ),
    "sums added": (
        "acc = inner(zero_sums(2, 2), p.x, 0, p.y, 1, 1); add_sums(acc, p.out + n, 2, 0, 2, 2, 0)", (296, 0), (297, 0)
    ),
    "a bias of rows": ("acc = add_bias_rows(zeros(4, 2), p.x + n, 1, 4); " + ONE, (296, 0), (297, 0)),
    "a bias of columns": ("acc = add_bias_columns(zeros(4, 2), p.x + n, 2, 4); " + ONE, (296, 0), (297, 0)),
}  # fmt: skip


def plant(name: str, tmp_path, **environment: str) -> str:
    """Run the planted program, which raises where an overrun is not seen; what it prints at its end."""
    body, good, bad = ACCESSES[name]
    file = tmp_path / "planted.py"
    file.write_text(PLANTED.replace("{body}", body).replace("{good}", repr(good)).replace("{bad}", repr(bad)))
    return run_child(f"import runpy; runpy.run_path({str(file)!r}); print('all was seen')", **environment)


@pytest.mark.parametrize("name", ["an element written", "lanes written", "a tile stored, columns"])
def test_a_planted_overrun_is_caught(name, tmp_path):
    assert plant(name, tmp_path, **ON).endswith("all was seen\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", ACCESSES)
def test_every_planted_overrun_is_caught(name, tmp_path):
    """One element beyond is too much; the last one is not. Nothing beside the buffers is written, the run goes on."""
    assert plant(name, tmp_path, **ON).endswith("all was seen\n")


GROUP = """
import numpy as np
from numbanet.kernels.array import Array, Storage
from numbanet.kernels.backend import load_backend
from numbanet.kernels.cpu.program import KernelAccessError

def array(size, claimed):
    buffer = np.ones(400, np.float32)
    inner = buffer[50 : 50 + size]
    return Array(Storage(None, inner.view(np.uint8), inner.ctypes.data, inner.nbytes), (claimed,), buffer.dtype)

def attempt(size):
    # The second of three gradients has 20 elements, whatever it claims.
    parameters = tuple(array(n, n) for n in (5, size, 9))
    gradients = (array(5, 5), array(20, size), array(9, 9))
    program = load_backend("cpu").program()
    program.sgd_update(parameters, gradients, (), array(6, 6))
    try:
        program.run()
    except KernelAccessError as error:
        return "sgd" in str(error)
    return False

print([attempt(size) for size in (20, 21, 40)])
"""


def test_arrays_of_a_group_are_checked_each_against_its_own_buffer():
    assert run_child(GROUP, **ON).splitlines()[-1] == "[False, True, True]"


def test_without_the_mode_nothing_is_checked(tmp_path):
    with pytest.raises(AssertionError, match="something was written"):
        plant("an element written", tmp_path, NUMBANET_CHECK="0")


@pytest.mark.slow  # .ci/all has a whole leg of it
def test_some_kernels_stay_inside_their_buffers():
    assert int(run_child(CASES.format(names=FEW), **ON)) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("lanes", ["4", "8", "16"])
def test_kernels_stay_inside_their_buffers(lanes):
    """All cases on exactly their buffers and scratch."""
    assert int(run_child(CASES.format(names=("",)), timeout=900, NUMBANET_LANES=lanes, **ON)) > 800
