"""A hint to the memory system: what will be read soon."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from numbanet.kernels.cpu.simd.pointers import CHECKED, as_i64, llvm_element

I8_POINTER, I32 = ir.IntType(8).as_pointer(), ir.IntType(32)
READ, KEEP, KEEP_SECOND, DATA = 0, 3, 2, 1


def _hint(context, builder, sig, args, keep):
    """Have the cache line of pointer[index] fetched, into the cache that the locality ``keep`` stands for."""
    index = as_i64(builder, args[1], sig.args[1])
    if CHECKED:
        proxy = cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0])
        itemsize = context.get_abi_sizeof(llvm_element(sig.args[0].dtype))
        address = builder.add(proxy.address, builder.mul(index, ir.Constant(index.type, itemsize)))
        where = builder.inttoptr(address, I8_POINTER)
    else:
        where = builder.bitcast(builder.gep(args[0], [index]), I8_POINTER)
    kind = ir.FunctionType(ir.VoidType(), [I8_POINTER, I32, I32, I32])
    hint = builder.module.declare_intrinsic("llvm.prefetch", [I8_POINTER], kind)
    builder.call(hint, [where, *[ir.Constant(I32, one) for one in (READ, keep, DATA)]])
    return context.get_dummy_value()


@intrinsic
def prefetch(typingctx, pointer, index):
    """Have the cache line of pointer[index] fetched; the place need not exist."""
    return types.void(pointer, index), lambda *compiled: _hint(*compiled, KEEP)


@intrinsic
def prefetch_second(typingctx, pointer, index):
    """As ``prefetch``, into the second-level cache: what is needed later must not push out what is needed now."""
    return types.void(pointer, index), lambda *compiled: _hint(*compiled, KEEP_SECOND)
