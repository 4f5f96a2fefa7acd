"""Same seed, same bits: on any number of threads, lanes and registers."""

from __future__ import annotations

import functools
import itertools
import json

import numpy as np
import pytest

from numbanet.kernels.array import Array
from numbanet.kernels.backend import load_backend
from tests.kernels_cpu.helpers import run_child

FEW = (
    "matmul edges|matmul two blocks|sum |max axes|variance |argmax (2|softmax 4 x 33|softmax 2 x 40|"
    "recurrent lstm few rows reverse|additive_decoder gru rows of tiles|additive_decoder_backward gru few rows, 3 from|"
    "conv2d lenet, no bias|cross_entropy 37 x 21, mean|sgd_update Nesterov|"
    "rmsprop_update c|normal 4101|dropout of 100|matmul heads, 7|attention bool mask, 2 x 3|"
    "attention_backward causal, 2 x 3"
)


@functools.cache
def machine_of_avx2() -> dict[str, str]:
    """The environment that has kernels compiled for a processor with 16 registers of 8 lanes, on one that has more."""
    from llvmlite import binding

    has = {name for name, there in binding.get_host_cpu_features().items() if there}
    if "avx512f" not in has:
        return {}
    features = ",".join(f"+{name}" for name in sorted(has) if not name.startswith(("avx512", "evex", "avx10")))
    return {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": features}


def hashes(names: str, threads: int = 2, **environment: str) -> dict[str, str]:
    """What ``tests.kernels_cpu.bits`` prints in a process of its own."""
    code = f"from tests.kernels_cpu import bits; bits.main({threads}, {names!r})"
    return json.loads(run_child(code, timeout=900, **environment).splitlines()[-1])


def check(first: dict[str, str], second: dict[str, str], least: int) -> None:
    """All cases that both know have one hash (those that force a tile exist where the tile does)."""
    both = first.keys() & second.keys()
    assert len(both) >= least
    assert [name for name in sorted(both) if first[name] != second[name]] == []


def with_strides(values: np.ndarray, is_turned: bool, others: tuple[int, ...]) -> Array:
    """A matrix on the CPU, column by column if it is turned; axes of one element have other strides."""
    rows, columns = values.shape
    own = (1, rows) if is_turned else (columns, 1)
    strides = tuple(one if n > 1 else other for n, one, other in zip(values.shape, own, others, strict=True))
    array = load_backend("cpu").from_buffer(np.ascontiguousarray(values.T if is_turned else values))
    return array.view(values.shape, strides)


@pytest.mark.parametrize(
    ("m", "n", "k"), [(1, 1, 6), (1, 1, 40), (5, 1, 6), (5, 1, 40), (1, 7, 40), (1, 200, 9), (3, 4, 1)]
)
def test_strides_of_axes_of_one_element(m, n, k):
    """A view and what a graph makes of it may say different things of how far apart the elements of one lie."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    results = set()
    for others in itertools.product((1, 2, k, 1000), repeat=2):
        out = with_strides(np.empty((m, n), np.float32), False, others)
        program = load_backend("cpu").program()
        program.matmul(out, with_strides(a, False, others), with_strides(b, n == 1, others))
        program.run()
        results.add(out.numpy().tobytes())
    assert len(results) == 1


@pytest.mark.slow  # compiles its kernels for two more widths
def test_four_lanes_and_sixteen_give_the_same_bits():
    check(hashes(FEW, NUMBANET_LANES="4"), hashes(FEW, threads=1, NUMBANET_LANES="16"), least=20)


@functools.cache
def of_this_machine() -> dict[str, str]:
    return hashes("", threads=1)


@pytest.mark.slow
def test_numbers_of_threads():
    check(of_this_machine(), hashes("", threads=5), least=len(of_this_machine()))


@pytest.mark.slow
@pytest.mark.parametrize("lanes", ["4", "8", "16"])
@pytest.mark.parametrize("machine", ["this", "AVX2"])
def test_lanes_and_registers(lanes, machine):
    """Every case and five steps of LeNet-5, with each width, on this machine and as it would be compiled for AVX2."""
    if machine == "AVX2" and not machine_of_avx2():
        pytest.skip("this processor has no AVX-512 to leave out")
    other = hashes("", NUMBANET_LANES=lanes, **(machine_of_avx2() if machine == "AVX2" else {}))
    assert "LeNet-5" in other
    check(of_this_machine(), other, least=600)
