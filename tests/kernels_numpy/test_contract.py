"""Every back end's functions have the names, arguments and defaults of the contract."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from numbanet.kernels.backend import load_backend
from numbanet.kernels.contract import CONTRACT, FILES, KernelFunction, declare
from numbanet.kernels.numpy import BACKEND, KERNELS
from tests.conftest import needs_numba


def arguments(signature: inspect.Signature) -> list[tuple[str, object]]:
    return [(parameter.name, parameter.default) for parameter in signature.parameters.values()]


def test_numpy_has_every_function():
    assert set(KERNELS) == set(CONTRACT)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.__name__.rpartition(".")[2])
def test_a_line_and_its_numpy_kernel_are_in_files_of_one_name(file):
    mine = [line.name for line in vars(file).values() if isinstance(line, KernelFunction)]
    assert mine
    for name in mine:
        assert KERNELS[name].__module__.rpartition(".")[2] == file.__name__.rpartition(".")[2]


def test_a_name_is_declared_once():
    def copy(out, x):
        """Another."""

    with pytest.raises(ValueError, match="'copy' already"):
        declare()(copy)


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_numpy_signature(name):
    assert arguments(inspect.signature(KERNELS[name])) == arguments(CONTRACT[name].signature)


@needs_numba
def test_cpu_signatures():
    from numbanet.kernels import cpu

    assert set(cpu.FUNCTIONS) <= set(CONTRACT)
    for name, function in cpu.FUNCTIONS.items():
        first, *others = arguments(inspect.signature(function))
        assert first[0] == "program", f"{name} takes {first[0]} first"
        assert others == arguments(CONTRACT[name].signature), name


def test_an_unknown_back_end_is_named():
    with pytest.raises(ValueError, match="unknown back end 'gpu'; there are: cpu, numpy"):
        load_backend("gpu")


# --- storages --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("nbytes", [0, 1, 63, 64, 65, 4096, 100_001])
def test_storages_are_aligned(nbytes):
    storage = BACKEND.allocate(nbytes)
    assert storage.address % 64 == 0
    assert storage.buffer.ctypes.data == storage.address
    assert storage.buffer.nbytes >= nbytes


@pytest.mark.parametrize(
    "make",
    [
        lambda a: a,
        lambda a: a.T,
        lambda a: a[1:, ::2],
        lambda a: a[2],
        lambda a: a[1, 3:4],
        lambda a: a[:0],
        lambda a: a[1, 2, ...],
    ],
)
def test_memory_is_shared(make):
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    part = make(whole)
    array = BACKEND.from_buffer(part)
    np.testing.assert_array_equal(array.numpy(), part)
    if part.size and part.ndim:
        array.numpy()[...] = 99
        assert (part == 99).all()


@pytest.mark.parametrize(
    "odd",
    [
        np.arange(6.0)[::-1],
        np.arange(6, dtype=">i4"),
        np.broadcast_to(np.arange(3.0), (2, 3)),
        np.frombuffer(b"12345678" * 3 + b"x", np.uint8)[1:].view(np.float64),
    ],
    ids=["backwards", "byte-swapped", "read-only", "unaligned"],
)
def test_what_cannot_be_shared_is_copied(odd):
    array = BACKEND.from_buffer(odd)
    np.testing.assert_array_equal(array.numpy(), odd)
    array.numpy()[...] = 0
    assert odd.any()


def test_program_replays_and_forgets():
    program = BACKEND.program()
    x = BACKEND.from_buffer(np.ones(3, np.float32))
    program.binary(x, x, x, "add")
    program.run()
    program.run()
    assert x.numpy().tolist() == [4, 4, 4]
    program.clear()
    program.run()
    assert x.numpy().tolist() == [4, 4, 4]


def test_unknown_activation_is_an_error():
    a = np.ones((2, 2), np.float32)
    with pytest.raises(ValueError, match="unknown activation 'swish'"):
        KERNELS["matmul"](a.copy(), a, a, activation="swish")


def test_matmul_accumulates():
    a = np.ones((2, 3), np.float32)
    out = np.full((2, 2), 5, np.float32)
    KERNELS["matmul"](out, a, a.T, accumulate=True)
    assert out.tolist() == [[8, 8], [8, 8]]
