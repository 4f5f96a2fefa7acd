"""More functions of vectors of 16 lanes: rounding, signs, powers of two, and masks as bytes in memory."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from numbanet.kernels.cpu.simd.pointers import I64, as_i64, element_address
from numbanet.kernels.cpu.simd.vector import (
    _store_first_lanes,
    _touched,
    f32x16,
    first_lanes,
    llvm_call,
    mask16,
    masked_load,
)
from numbanet.kernels.cpu.target import VIRTUAL_LANES


@intrinsic
def floor(typingctx, x):
    """The largest integer not above x, as float32."""
    return f32x16(x), lambda context, builder, sig, args: llvm_call(builder, "llvm.floor.v16f32", args[0].type, *args)


@intrinsic
def ceil(typingctx, x):
    """The smallest integer not below x, as float32."""
    return f32x16(x), lambda context, builder, sig, args: llvm_call(builder, "llvm.ceil.v16f32", args[0].type, *args)


@intrinsic
def magnitude(typingctx, x):
    """|x|: the sign bit cleared."""
    return f32x16(x), lambda context, builder, sig, args: llvm_call(builder, "llvm.fabs.v16f32", args[0].type, *args)


@intrinsic
def with_sign(typingctx, x, y):
    """|x| with the sign of y."""

    def codegen(context, builder, sig, args):
        return llvm_call(builder, "llvm.copysign.v16f32", args[0].type, *args)

    return f32x16(x, y), codegen


@intrinsic
def scale(typingctx, x, n):
    """x·2ⁿ for whole numbers n as float32, rounded once: one instruction, where ``target.has_scaling()``."""

    def codegen(context, builder, sig, args):
        (x, n), kind = args, args[0].type
        all_lanes, as_usual = ir.Constant(ir.IntType(VIRTUAL_LANES), -1), ir.Constant(ir.IntType(32), 4)
        return llvm_call(builder, "llvm.x86.avx512.mask.scalef.ps.512", kind, x, n, x, all_lanes, as_usual)

    return f32x16(x, n), codegen


def _at_byte(context, builder, sig, args, count=None):
    """Where the bytes of 16 (or the first ``count``) lanes lie, and whether all 16 are wanted."""
    index = as_i64(builder, args[1], sig.args[1])
    kind = ir.VectorType(ir.IntType(8), VIRTUAL_LANES)
    nbytes = None if count is None else builder.udiv(_touched(builder, count, VIRTUAL_LANES), ir.Constant(I64, 4))
    return element_address(context, builder, sig.args[0], args[0], index, kind, nbytes), kind


@intrinsic
def load_bits(typingctx, pointer, index, count):
    """Which of the first ``count`` bytes (at most 16) from pointer[index:] are not 0."""

    def codegen(context, builder, sig, args):
        count = as_i64(builder, args[2], sig.args[2])
        where, kind = _at_byte(context, builder, sig, args, count)
        whole = builder.icmp_signed(">=", count, ir.Constant(I64, VIRTUAL_LANES))
        place = cgutils.alloca_once(builder, kind)
        with builder.if_else(whole) as (then, otherwise):
            with then:
                builder.store(builder.load(where, align=1), place)
            with otherwise:
                builder.store(masked_load(builder, where, first_lanes(builder, count), kind), place)
        return builder.icmp_unsigned("!=", builder.load(place), ir.Constant(kind, None))

    return mask16(pointer, index, count), codegen


@intrinsic
def store_bits(typingctx, pointer, index, mask, count):
    """The first ``count`` bytes (at most 16) from pointer[index:] = 1 where the mask is set, else 0."""

    def codegen(context, builder, sig, args):
        count = as_i64(builder, args[3], sig.args[3])
        where, kind = _at_byte(context, builder, sig, args, count)
        value = builder.zext(args[2], kind)
        whole = builder.icmp_signed(">=", count, ir.Constant(I64, VIRTUAL_LANES))
        with builder.if_else(whole) as (then, otherwise):
            with then:
                builder.store(value, where, align=1)
            with otherwise:
                _store_first_lanes(builder, value, where, count)
        return context.get_dummy_value()

    return types.void(pointer, index, mask, count), codegen
