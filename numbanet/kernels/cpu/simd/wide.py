"""Vectors of 16 float64 lanes, for what float32 is too short for: + − · / and comparisons as operators, and these."""

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.pointers import I64
from numbanet.kernels.cpu.simd.vector import (
    I32T,
    Vector,
    broadcast,
    f32x16,
    i32x16,
    llvm_call,
    llvm_vector,
)

f64x16 = Vector(types.float64)
ROUNDING = np.float64(6755399441055744)
"""1.5·2⁵²: added to a number below 2⁵¹, it leaves the nearest integer in the lowest bits."""


@intrinsic
def widen(typingctx, x):
    """float32 to float64."""
    return f64x16(x), lambda context, builder, sig, args: builder.fpext(args[0], llvm_vector(types.float64))


@intrinsic
def narrow(typingctx, x):
    """float64 to float32, correctly rounded; infinite where it is too large."""
    return f32x16(x), lambda context, builder, sig, args: builder.fptrunc(args[0], llvm_vector(types.float32))


@intrinsic
def splat_wide(typingctx, value):
    """The float64 scalar in all lanes."""
    return f64x16(value), lambda context, builder, sig, args: broadcast(builder, args[0])


@intrinsic
def fma_wide(typingctx, a, b, c):
    """a · b + c with one rounding, in every lane."""

    def codegen(context, builder, sig, args):
        return llvm_call(builder, "llvm.fma.v16f64", args[0].type, *args)

    return f64x16(a, b, c), codegen


@intrinsic
def sqrt_wide(typingctx, x):
    """Square root, correctly rounded."""
    return f64x16(x), lambda context, builder, sig, args: llvm_call(builder, "llvm.sqrt.v16f64", args[0].type, *args)


@intrinsic
def low_bits(typingctx, x):
    """The lower 32 of the 64 bits of every lane."""

    def codegen(context, builder, sig, args):
        bits = builder.bitcast(args[0], ir.VectorType(I64, 16))
        return builder.trunc(bits, llvm_vector(types.int32))

    return i32x16(x), codegen


@intrinsic
def power_of_two_wide(typingctx, n):
    """2ⁿ as float64 for int32 lanes −1022 … 1023."""

    def codegen(context, builder, sig, args):
        kind = ir.VectorType(I64, 16)
        exponent = builder.add(builder.sext(args[0], kind), ir.Constant(kind, [1023] * 16))
        bits = builder.shl(exponent, ir.Constant(kind, [52] * 16))
        return builder.bitcast(bits, llvm_vector(types.float64))

    return f64x16(n), codegen


@intrinsic
def with_lane(typingctx, x, number, value):
    """x with one lane replaced."""

    def codegen(context, builder, sig, args):
        return builder.insert_element(args[0], args[2], builder.trunc(args[1], I32T))

    return x(x, number, value), codegen


@device_function
def nearest_integer_wide(x):
    """The nearest integer of |x| < 2⁵¹ as float64, and its lower 32 bits."""
    shifted = x + splat_wide(ROUNDING)
    return shifted - splat_wide(ROUNDING), low_bits(shifted)
