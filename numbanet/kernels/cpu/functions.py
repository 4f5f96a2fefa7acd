"""The contract on the CPU: which functions have Numba kernels, and how the rest reaches the NumPy kernels.

A function here takes the program first and returns None when it has appended its rows, or the reason why it declines
(another dtype, strides that no kernel reads, …): the call then becomes a host call of the NumPy kernel.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from numbanet.kernels.contract import CONTRACT
from numbanet.kernels.cpu import (
    additive_decoder,
    argreduce,
    attention,
    augment_colour,
    augment_filter,
    augment_move,
    augment_random,
    augment_warp,
    clip,
    conv,
    conv_pool,
    copy,
    cross_entropy,
    embedding,
    gemm,
    local,
    norm,
    norm_fold,
    norm_rows,
    optim,
    pointwise,
    pointwise_loss,
    pool,
    random,
    recurrent,
    reduce,
    softmax,
    variance,
)
from numbanet.kernels.cpu.program import CpuProgram
from numbanet.kernels.numpy import KERNELS as HOST

FLOAT64 = np.dtype(np.float64)

FUNCTIONS: dict[str, Callable] = {
    function.__name__: function
    for module in (
        copy,
        pointwise,
        reduce,
        argreduce,
        variance,
        embedding,
        gemm,
        conv,
        conv_pool,
        local,
        pool,
        norm,
        norm_fold,
        norm_rows,
        recurrent,
        additive_decoder,
        softmax,
        cross_entropy,
        attention,
        pointwise_loss,
        optim,
        clip,
        random,
        augment_move,
        augment_warp,
        augment_colour,
        augment_filter,
        augment_random,
    )
    for function in module.FUNCTIONS
}

_warned = False


def _warn_float64(args: tuple) -> None:
    """One warning a process: float64 is for gradient checks."""
    global _warned
    if not _warned and getattr(args[0], "dtype", None) is FLOAT64:
        _warned = True
        warnings.warn(
            "float64 runs on the NumPy kernels, which are slower; it is meant for gradient checks. "
            "Use float32 to train.",
            RuntimeWarning,
            stacklevel=5,
        )


def _method(name: str) -> Callable:
    function, host = FUNCTIONS.get(name), HOST[name]

    if function is None:

        def method(self: CpuProgram, *args: object, **kwargs: object) -> None:
            _warn_float64(args)
            self.host(name, host, args, kwargs, "there is no Numba kernel")

    else:

        def method(self: CpuProgram, *args: object, **kwargs: object) -> None:
            reason = function(self, *args, **kwargs)
            if reason is not None:
                _warn_float64(args)
                self.host(name, host, args, kwargs, reason)

    method.__name__ = name
    method.__doc__ = CONTRACT[name].summary
    return method


def install(cls: type) -> None:
    """Give the program class its methods, once."""
    if not hasattr(cls, "matmul"):
        for name in HOST:
            setattr(cls, name, _method(name))


def add_function(name: str, function: Callable) -> None:
    """Make ``function`` what the contract's line ``name`` does on this back end."""
    FUNCTIONS[name] = function
    setattr(CpuProgram, name, _method(name))
