"""The contract between operations and back ends: every kernel function, once, with what it reads and writes.

A back end implements these names. ``numpy/`` implements them as plain functions on ndarrays, ``cpu/`` as functions
that choose Numba kernels, cut the work into tasks and append rows to a program; what ``cpu/`` lacks (or declines,
with a reason) runs there as a host call of the NumPy kernel. A test holds every implementation to these signatures.

Shapes are written behind the argument. Outputs come first and are allocated by the caller. Unless ``strided`` names
an argument, it is row-major contiguous; ``inplace`` lists the inputs that may share memory with the output, element by
element; ``optional`` the outputs that may be None, if they are not wanted. A function writes ``out``, what ends in
``_out``, and what ``writes`` names, and nothing else: the graph goes by it.

A file of this package names what the file of the same name in ``numpy/`` implements.
"""

from __future__ import annotations

from numbanet.kernels.contract import (
    additive_decoder,
    attention,
    augment,
    augment_colour,
    clip,
    conv,
    conv_pool,
    embedding,
    gemm,
    indexing,
    local,
    norm,
    optim,
    pointwise,
    pointwise_loss,
    pool,
    random,
    recurrent,
    reduce,
    softmax,
)
from numbanet.kernels.contract.declaration import CONTRACT, KernelFunction, Pair, declare

FILES = (
    additive_decoder, attention, augment, augment_colour, clip, conv, conv_pool,
    embedding, gemm, indexing, local, norm, optim, pointwise,
    pointwise_loss, pool, random, recurrent, reduce, softmax,
)  # fmt: skip

__all__ = ["CONTRACT", "FILES", "KernelFunction", "Pair", "declare"]
