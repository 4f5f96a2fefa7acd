"""Words of int64 at an address, and calls of kernels whose rows are such words: what the driver is made of."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from numbanet.kernels.cpu.arguments import HEADER, KERNEL

I64 = ir.IntType(64)


def place(builder, address, index):
    """LLVM pointer to the word at address[index]."""
    return builder.gep(builder.inttoptr(address, I64.as_pointer()), [index])


@intrinsic
def peek(typingctx, address, index):
    """The int64 word at address[index]."""
    return types.int64(types.int64, types.int64), lambda c, b, sig, args: b.load(place(b, args[0], args[1]))


@intrinsic
def poke(typingctx, address, index, value):
    """address[index] = value."""

    def codegen(context, builder, sig, args):
        builder.store(args[2], place(builder, args[0], args[1]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def look(typingctx, address, index):
    """The int64 word at address[index], read atomically."""

    def codegen(context, builder, sig, args):
        return builder.load_atomic(place(builder, args[0], args[1]), "acquire", 8)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def claim(typingctx, address, index, amount):
    """address[index] += amount, atomically; the value before."""

    def codegen(context, builder, sig, args):
        return builder.atomic_rmw("add", place(builder, args[0], args[1]), args[2], "acq_rel")

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def call_kernel(typingctx, table, row, start, stop, scratch):
    """Call the kernel of the row at table[row] for the tasks start … stop − 1; its status."""

    def codegen(context, builder, sig, args):
        table, row, start, stop, scratch = args
        kind = ir.FunctionType(I64, [I64, I64, I64.as_pointer(), I64])
        address = builder.load(place(builder, table, builder.add(row, ir.Constant(I64, KERNEL))))
        arguments = place(builder, table, builder.add(row, ir.Constant(I64, HEADER)))
        return builder.call(builder.inttoptr(address, kind.as_pointer()), [start, stop, arguments, scratch])

    return types.int64(*(types.int64,) * 5), codegen


@intrinsic
def address_of(typingctx, pointer):
    """Where a pointer points, as int64."""
    return types.int64(pointer), lambda c, b, sig, args: b.ptrtoint(args[0], I64)


@intrinsic
def float_at(typingctx, address):
    """The float32 at an address."""

    def codegen(context, builder, sig, args):
        return builder.load(builder.inttoptr(args[0], ir.FloatType().as_pointer()))

    return types.float32(types.int64), codegen
