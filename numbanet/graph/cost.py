"""What a call of the contract computes and moves, and how much of either the machine can do."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from numbanet.kernels.array import Array, new_array
from numbanet.kernels.numpy import as_ndarray
from numbanet.ops.conv import conv_output_size

if TYPE_CHECKING:
    from numbanet.graph.lower import Call
    from numbanet.kernels.backend import Backend

SIDE = 384
"""Of the square matrices whose product is taken for the machine's best."""
COPIED = 1 << 23
"""Elements of the copy that is taken for the machine's best: more than caches hold."""
FLOAT32 = np.dtype(np.float32)


def flops_of_call(call: Call) -> int:
    """2 a multiply-add of convolutions, locally connected and recurrent layers, attention, products and the gradients
    of these, however a kernel does them; 0 for the rest."""
    given = call.arguments
    if call.name == "matmul":
        return 2 * given["out"].size * given["a"].shape[-1]
    if call.name in ("conv2d", "conv2d_input_grad", "conv2d_weight_grad"):
        weight = given["out"] if call.name == "conv2d_weight_grad" else given["weight"]
        outputs = given["out"] if call.name == "conv2d" else given["grad"]
        return 2 * outputs.size * math.prod(weight.shape[1:])
    if call.name.startswith("conv2d_max_pool"):
        wanted = [given[name] for name in ("x_out", "weight_out") if given.get(name) is not None]
        return 2 * _pooled_products(given) * (len(wanted) if call.name.endswith("backward") else 1)
    if call.name.startswith("locally_connected2d"):
        weight = given["out"] if call.name.endswith("weight_grad") else given["weight"]
        outputs = given["out"] if call.name == "locally_connected2d" else given["grad"]
        return 2 * outputs.size * weight.shape[1]
    if call.name.startswith("recurrent"):
        return 2 * _recurrent_products(given)
    if call.name.startswith("additive_decoder"):
        return 2 * _decoder_products(given)
    if call.name.startswith("attention"):
        products = 2 if call.name.endswith("backward") else 1
        return 2 * products * _attention_pairs(given) * (given["query"].shape[3] + given["value"].shape[3])
    return 0


def _pooled_products(given: dict) -> int:
    """Multiply-adds of a convolution behind which there is a max pool, for all its positions."""
    x, weight = ((given[name] if given[name] is not None else given[f"{name}_out"]).shape for name in ("x", "weight"))
    axes = zip(x[2:], weight[2:], given["stride"], given["padding"], given["dilation"], strict=True)
    return x[0] * math.prod(conv_output_size(*axis) for axis in axes) * math.prod(weight)


def _recurrent_products(given: dict) -> int:
    """Multiply-adds of all inputs, or rows of a table of them, and of all states with their matrices; backward: for the
    gradients that are wanted and the states'."""
    (times, batch, hidden), inputs = given["out"].shape, given["x"].size
    for_inputs, for_states = 1, 1
    if "grad" in given:
        for_inputs = sum(given[name] is not None for name in ("x_out", "weight_ih_out"))
        for_states += given["weight_hh_out"] is not None
    return given["weight_hh"].shape[0] * (for_inputs * inputs + for_states * times * batch * hidden)


def _decoder_products(given: dict) -> int:
    """Multiply-adds of all words with the GRU's and the queries' matrices, and of scores and contexts; backward: of the
    walk, and for the gradients that are wanted."""
    (times, batch, inputs), (length, width) = given["words"].shape, given["memory"].shape[1:]
    rows, hidden = given["weight_hh"].shape
    across = given["keys"].shape[2]
    walk = rows * (width + hidden) + across * hidden + length * (across + width)
    if "grad" not in given:
        return times * batch * (rows * inputs + walk)
    sizes = {
        "words_out": rows * inputs, "weight_ih_out": rows * (inputs + width), "weight_hh_out": rows * hidden,
        "weight_query_out": across * hidden, "memory_out": length * width,
    }  # fmt: skip
    return times * batch * (walk + sum(size for name, size in sizes.items() if given[name] is not None))


def _attention_pairs(given: dict) -> int:
    """Pairs of a query and a key that it may see, whatever masks and lengths hide."""
    batch, heads, queries, _ = given["query"].shape
    keys = given["key"].shape[2]
    seen = sum(min(i + 1, keys) for i in range(queries)) if given["causal"] == "start" else queries * keys
    return batch * heads * seen


def bytes_of_call(call: Call) -> int:
    """What the call reads and writes, each array once."""
    return sum(array.size * array.dtype.itemsize for array in call.reads)


class Peak(NamedTuple):
    """What the machine does at best with the threads that are set: GFLOP/s of a product, GB/s of a large copy."""

    gflops: float
    gbytes: float

    def or_better(self, other: Peak) -> Peak:
        """The best of two measurements, one of which may have been disturbed."""
        return Peak(max(self.gflops, other.gflops), max(self.gbytes, other.gbytes))


def measure_peak(backend: Backend) -> Peak:
    """Take a product of matrices and a copy, a few times each."""
    a, b, product = (_array(backend, (SIDE, SIDE), value) for value in (0.5, 0.25, 0.0))
    source, copied = (_array(backend, (COPIED,), value) for value in (1.0, 0.0))
    seconds = _least_seconds(backend, lambda program: program.matmul(product, a, b))
    gflops = 2 * SIDE**3 / seconds / 1e9
    return Peak(gflops, 8 * COPIED / _least_seconds(backend, lambda program: program.copy(copied, source)) / 1e9)


def _array(backend: Backend, shape: tuple[int, ...], value: float) -> Array:
    array = new_array(backend, shape, FLOAT32)
    as_ndarray(array)[:] = value
    return array


def _least_seconds(backend: Backend, append: Callable[[object], None], samples: int = 40) -> float:
    """Seconds of a program's quickest run but for the first."""
    program = backend.program()
    append(program)
    program.run()
    times = []
    for _ in range(samples):
        begin = time.perf_counter()
        program.run()
        times.append(time.perf_counter() - begin)
    return min(times)
