"""Typed pointers: ``p[i]``, ``p[i] = value``, ``p + i``; in the check mode each access is tested against its buffer.

A checked pointer carries the begin and end of its buffer and the address of a violation area: a bad access sets the
area's first word and is done on the area instead, so that nothing else is harmed and the run can say what happened.
"""

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from numbanet.kernels.cpu.target import check_mode

I64 = ir.IntType(64)
CHECKED = check_mode()
VIOLATION_BYTES = 1024
"""The flag (one word) and, from byte 64 on, the place where refused accesses go: at least 64 float32 of zeros."""


class Pointer(types.Type):
    """A pointer to elements of ``dtype`` (a Numba scalar type)."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"pointer<{dtype}>")

    @property
    def words(self):
        """int64 words in a row of arguments."""
        return 3 if CHECKED else 1


F32 = Pointer(types.float32)
F64 = Pointer(types.float64)
I32 = Pointer(types.int32)
INT64 = Pointer(types.int64)
U8 = Pointer(types.uint8)


def llvm_element(dtype):
    if isinstance(dtype, types.Float):
        return ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()
    return ir.IntType(dtype.bitwidth)


if CHECKED:

    @register_model(Pointer)
    class CheckedPointerModel(models.StructModel):
        """address, begin and end in bytes, and the violation area."""

        def __init__(self, manager, pointer):
            members = [(name, types.int64) for name in ("address", "begin", "end", "violation")]
            super().__init__(manager, pointer, members)

else:

    @register_model(Pointer)
    class PointerModel(models.PrimitiveModel):
        """A bare machine pointer."""

        def __init__(self, manager, pointer):
            super().__init__(manager, pointer, llvm_element(pointer.dtype).as_pointer())


def from_words(context, builder, pointer, words, violation):
    """A pointer value from its words in a row: the address, and in the check mode begin and end."""
    if not CHECKED:
        return builder.inttoptr(words[0], llvm_element(pointer.dtype).as_pointer())
    proxy = cgutils.create_struct_proxy(pointer)(context, builder)
    proxy.address, proxy.begin, proxy.end = words
    proxy.violation = violation
    return proxy._getvalue()


def element_address(context, builder, pointer, value, index, llvm_type, nbytes=None):
    """LLVM pointer to ``llvm_type`` at element ``index``; ``nbytes`` (an i64 value) is what the access touches."""
    if not CHECKED:
        return builder.bitcast(builder.gep(value, [index]), llvm_type.as_pointer())
    proxy = cgutils.create_struct_proxy(pointer)(context, builder, value=value)
    itemsize = _sizeof(llvm_element(pointer.dtype))
    if nbytes is None:
        nbytes = ir.Constant(I64, _sizeof(llvm_type))
    address = builder.add(proxy.address, builder.mul(index, ir.Constant(I64, itemsize)))
    inside = builder.and_(
        builder.icmp_unsigned(">=", address, proxy.begin),
        builder.icmp_unsigned("<=", builder.add(address, nbytes), proxy.end),
    )
    allowed = builder.or_(inside, builder.icmp_signed("<=", nbytes, ir.Constant(I64, 0)))
    with builder.if_then(builder.not_(allowed), likely=False):
        builder.store(ir.Constant(I64, 1), builder.inttoptr(proxy.violation, I64.as_pointer()))
    refuge = builder.add(proxy.violation, ir.Constant(I64, 64))
    return builder.inttoptr(builder.select(allowed, address, refuge), llvm_type.as_pointer())


def _sizeof(llvm_type):
    if isinstance(llvm_type, ir.VectorType):
        return llvm_type.count * _sizeof(llvm_type.element)
    if isinstance(llvm_type, ir.IntType):
        return llvm_type.width // 8
    return 4 if isinstance(llvm_type, ir.FloatType) else 8


def as_i64(builder, value, dtype):
    """An integer argument as int64 with its sign."""
    if value.type.width == 64:
        return value
    return builder.sext(value, I64) if dtype.signed else builder.zext(value, I64)


@infer_global(operator.getitem)
class PointerGetItem(AbstractTemplate):
    def generic(self, args, kws):
        if len(args) == 2 and isinstance(args[0], Pointer) and isinstance(args[1], types.Integer):
            return signature(args[0].dtype, args[0], args[1])
        return None


@lower_builtin(operator.getitem, Pointer, types.Integer)
def pointer_getitem(context, builder, sig, args):
    pointer = sig.args[0]
    index = as_i64(builder, args[1], sig.args[1])
    where = element_address(context, builder, pointer, args[0], index, llvm_element(pointer.dtype))
    return builder.load(where)


@infer_global(operator.setitem)
class PointerSetItem(AbstractTemplate):
    def generic(self, args, kws):
        if len(args) == 3 and isinstance(args[0], Pointer) and isinstance(args[1], types.Integer):
            return signature(types.none, args[0], args[1], args[0].dtype)
        return None


@lower_builtin(operator.setitem, Pointer, types.Integer, types.Any)
def pointer_setitem(context, builder, sig, args):
    pointer = sig.args[0]
    index = as_i64(builder, args[1], sig.args[1])
    where = element_address(context, builder, pointer, args[0], index, llvm_element(pointer.dtype))
    builder.store(args[2], where)
    return context.get_dummy_value()


@infer_global(operator.add)
class PointerAdd(AbstractTemplate):
    def generic(self, args, kws):
        if len(args) == 2 and isinstance(args[0], Pointer) and isinstance(args[1], types.Integer):
            return signature(args[0], args[0], args[1])
        return None


@lower_builtin(operator.add, Pointer, types.Integer)
def pointer_add(context, builder, sig, args):
    pointer = sig.args[0]
    index = as_i64(builder, args[1], sig.args[1])
    if not CHECKED:
        return builder.gep(args[0], [index])
    proxy = cgutils.create_struct_proxy(pointer)(context, builder, value=args[0])
    itemsize = _sizeof(llvm_element(pointer.dtype))
    proxy.address = builder.add(proxy.address, builder.mul(index, ir.Constant(I64, itemsize)))
    return proxy._getvalue()


@intrinsic
def float_pointer(typingctx, table, index, step):
    """A float32 pointer from a table of int64 words: its address at table[index]; in the check mode also the begin and
    end of its buffer, ``step`` and 2 · ``step`` words further on."""

    def codegen(context, builder, sig, args):
        index, step = (as_i64(builder, args[i], sig.args[i]) for i in (1, 2))
        words = []
        for i in range(F32.words):
            at = builder.add(index, builder.mul(step, ir.Constant(I64, i)))
            words.append(builder.load(element_address(context, builder, sig.args[0], args[0], at, I64)))
        violation = None
        if CHECKED:
            violation = cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0]).violation
        return from_words(context, builder, F32, words, violation)

    return F32(table, index, step), codegen
