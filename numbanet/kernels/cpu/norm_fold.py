"""A batch norm that does not train, folded into the weights and the bias of the layer before it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, is_null, unpack
from numbanet.kernels.cpu.kernel import kernel
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import splat

ELEMENTS_A_CHUNK = 1 << 13


class Fold(NamedTuple):
    """Rows of ``size`` weights."""

    weight_out: F32
    bias_out: F32
    weight: F32
    bias: F32
    norm_weight: F32
    norm_bias: F32
    mean: F32
    var: F32
    size: I64_FIELD
    eps: F64_FIELD


@kernel(Fold)
def folded_rows(start, stop, row, scratch):
    """weight_out = weight·s and bias_out = norm_bias + (bias − mean)·s, s = norm_weight/√(var + eps), of channels."""
    p = unpack(row, Fold)
    for channel in range(start, stop):
        scale = np.float32(1 / math.sqrt(np.float64(p.var[channel]) + p.eps))
        if not is_null(p.norm_weight):
            scale *= p.norm_weight[channel]
        shift = np.float32(0) if is_null(p.bias) else p.bias[channel]
        shift = (shift - p.mean[channel]) * scale
        p.bias_out[channel] = shift if is_null(p.norm_bias) else shift + p.norm_bias[channel]
        weight, out, s = p.weight + channel * p.size, p.weight_out + channel * p.size, splat(scale)
        for i in range(0, p.size, 16):
            store_upto(out, i, load_upto(weight, i, p.size - i) * s, p.size - i)
    return 0


def batch_norm_fold(program, weight_out, bias_out, weight, bias, norm_weight, norm_bias, mean, var, eps):
    arrays = (weight_out, bias_out, weight, bias, norm_weight, norm_bias, mean, var)
    reason = float32_contiguous(*arrays)
    if reason is None:
        rows, size = weight.shape
        chunk = max(1, ELEMENTS_A_CHUNK // max(1, size))
        program.append(folded_rows, rows, Fold(*arrays, size, eps), chunk=chunk)
    return reason


FUNCTIONS = (batch_norm_fold,)
