"""Lists of the lanes of a mask, without a branch a lane: what is worth computing with is found first."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from numbanet.kernels.cpu.simd.pointers import I64, as_i64, element_address
from numbanet.kernels.cpu.simd.vector import _halves, broadcast, llvm_call

HALF = 8
"""Lanes that a table of all masks of them has a line for."""
BYTE, INT = ir.IntType(8), ir.IntType(32)


def _set_bits() -> bytes:
    """Of each byte the numbers of the bits that are set, in order, filled up to eight."""
    lines = ([bit for bit in range(HALF) if byte >> bit & 1] for byte in range(256))
    return bytes(number for line in lines for number in line + [0] * (HALF - len(line)))


@intrinsic
def append_lanes(typingctx, numbers, at, mask, first):
    """numbers[at], numbers[at + 1], … = first + lane for the lanes of the mask, in order; returns the next ``at``.

    Up to eight int32 behind them are overwritten."""

    def codegen(context, builder, sig, args):
        at, first = (as_i64(builder, args[i], sig.args[i]) for i in (1, 3))
        kind = ir.VectorType(INT, HALF)
        table = cgutils.global_constant(builder.module, ".set_bits", cgutils.make_bytearray(_set_bits()))
        for half, mask in enumerate(_halves(builder, args[2])):
            byte = builder.bitcast(mask, BYTE)
            line = builder.mul(builder.zext(byte, I64), ir.Constant(I64, HALF))
            where = builder.bitcast(
                builder.gep(table, [ir.Constant(I64, 0), line]), ir.VectorType(BYTE, HALF).as_pointer()
            )
            begin = builder.trunc(builder.add(first, ir.Constant(I64, half * HALF)), INT)
            found = builder.add(broadcast(builder, begin, HALF), builder.zext(builder.load(where, align=1), kind))
            builder.store(found, element_address(context, builder, sig.args[0], args[0], at, kind), align=4)
            at = builder.add(at, builder.zext(llvm_call(builder, "llvm.ctpop.i8", BYTE, byte), I64))
        return at

    return types.int64(numbers, at, mask, first), codegen
