"""Vectors of 16 virtual lanes: arithmetic, comparison, selection, loads and stores, and sums in a fixed order.

A vector is 16 lanes on every machine (LLVM makes 1, 2 or 4 registers of it), so a kernel written with vectors has
the same bits everywhere. ``fma`` is fused because it says so; ``a * b + c`` never is.
"""

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from numbanet.kernels.cpu.simd.pointers import I64, as_i64, element_address, llvm_element
from numbanet.kernels.cpu.target import VIRTUAL_LANES, has_masked_stores

I32T = ir.IntType(32)
BIT = ir.IntType(1)


class Vector(types.Type):
    """16 lanes of float32, int32 or (as the result of a comparison) of bits."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"vector<16x{dtype}>")


def llvm_vector(dtype):
    element = BIT if isinstance(dtype, types.Boolean) else llvm_element(dtype)
    return ir.VectorType(element, VIRTUAL_LANES)


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, llvm_vector(vector.dtype))


f32x16 = Vector(types.float32)
i32x16 = Vector(types.int32)
mask16 = Vector(types.boolean)


def broadcast(builder, scalar, lanes=VIRTUAL_LANES):
    """The scalar in every lane."""
    vector = ir.VectorType(scalar.type, lanes)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(I32T, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32T, lanes), [0] * lanes))


def lane_numbers(lanes=VIRTUAL_LANES, element=I32T):
    return ir.Constant(ir.VectorType(element, lanes), list(range(lanes)))


def first_lanes(builder, count, lanes=VIRTUAL_LANES):
    """Mask of the lanes below ``count`` (i64)."""
    limit = builder.select(builder.icmp_signed("<", count, ir.Constant(I64, lanes)), count, ir.Constant(I64, lanes))
    limit = builder.select(builder.icmp_signed(">", limit, ir.Constant(I64, 0)), limit, ir.Constant(I64, 0))
    return builder.icmp_signed("<", lane_numbers(lanes), broadcast(builder, builder.trunc(limit, I32T), lanes))


def llvm_call(builder, name, result, *values):
    """Call an LLVM intrinsic."""
    function_type = ir.FunctionType(result, [value.type for value in values])
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), list(values))


def _suffix(vector):
    letter = "i" if isinstance(vector.element, ir.IntType) else "f"
    width = vector.element.width if letter == "i" else 32
    return f"v{vector.count}{letter}{width}"


def masked_load(builder, where, mask, vector):
    """The lanes of the mask from memory, 0 elsewhere; the other lanes' memory is not touched."""
    zero = ir.Constant(vector, None)
    name = f"llvm.masked.load.{_suffix(vector)}.p0"
    return llvm_call(builder, name, vector, where, ir.Constant(I32T, 4), mask, zero)


def store_lanes(builder, value, where, high, low=None):
    """Store the lanes low (default 0) … high − 1 (i64) of a vector; ``where`` is the address of its lane 0."""
    lanes = value.type.count
    whole = builder.icmp_signed(">=", high, ir.Constant(I64, lanes))
    if low is not None:
        whole = builder.and_(whole, builder.icmp_signed("<=", low, ir.Constant(I64, 0)))
    with builder.if_else(whole, likely=True) as (all_of_them, some_of_them):
        with all_of_them:
            builder.store(value, where, align=4)
        with some_of_them:
            if has_masked_stores():
                mask = first_lanes(builder, high, lanes)
                if low is not None:
                    mask = builder.and_(mask, builder.not_(first_lanes(builder, low, lanes)))
                _masked_store(builder, value, where, mask)
            elif low is None:
                _store_first_lanes(builder, value, where, high)
            else:
                _store_middle_lanes(builder, value, where, low, high)


def _masked_store(builder, value, where, mask):
    name = f"llvm.masked.store.{_suffix(value.type)}.p0"
    return llvm_call(builder, name, ir.VoidType(), value, where, ir.Constant(I32T, 4), mask)


def _store_first_lanes(builder, value, where, count):
    """Store fewer lanes than there are as a half of them, a quarter, …: the binary digits of the count."""
    zero, element = ir.Constant(I64, 0), value.type.element
    count = builder.select(builder.icmp_signed(">", count, zero), count, zero)
    at, rest = builder.bitcast(where, element.as_pointer()), value
    while rest.type.count > 1:
        size = rest.type.count // 2
        low, high = _halves(builder, rest)
        wanted = builder.icmp_unsigned("!=", builder.and_(count, ir.Constant(I64, size)), zero)
        with builder.if_then(wanted):
            builder.store(low, builder.bitcast(at, low.type.as_pointer()), align=element_bytes(element))
        at = builder.select(wanted, builder.gep(at, [ir.Constant(I64, size)]), at)
        rest = builder.select(wanted, high, low)


def _store_middle_lanes(builder, value, where, low, high):
    """Store the lanes low … high − 1 by way of the stack, where they are read again from lane low on."""
    zero, lanes, element = ir.Constant(I64, 0), value.type.count, value.type.element
    low = builder.select(builder.icmp_signed(">", low, zero), low, zero)
    low = builder.select(builder.icmp_signed("<", low, ir.Constant(I64, lanes)), low, ir.Constant(I64, lanes))
    limit = ir.Constant(I64, lanes)
    high = builder.select(builder.icmp_signed("<", high, limit), high, limit)
    twice = cgutils.alloca_once(builder, ir.VectorType(element, 2 * lanes))
    builder.store(value, builder.bitcast(twice, value.type.as_pointer()))
    begin = builder.gep(builder.bitcast(twice, element.as_pointer()), [low])
    moved = builder.load(builder.bitcast(begin, value.type.as_pointer()), align=element_bytes(element))
    target = builder.gep(builder.bitcast(where, element.as_pointer()), [low])
    count = builder.sub(high, low)
    with builder.if_else(builder.icmp_signed(">=", count, limit)) as (all_of_them, some_of_them):
        with all_of_them:
            builder.store(moved, builder.bitcast(target, value.type.as_pointer()), align=4)
        with some_of_them:
            _store_first_lanes(builder, moved, builder.bitcast(target, value.type.as_pointer()), count)


def element_bytes(element):
    """Size of an LLVM scalar."""
    return 4 if isinstance(element, ir.FloatType) else element.width // 8


# --- arithmetic and comparison as operators ----------------------------------------------------------------------
def _register_arithmetic(function, floating, integer):
    @infer_global(function)
    class VectorArithmetic(AbstractTemplate):
        def generic(self, args, kws):
            if len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    @lower_builtin(function, Vector, Vector)
    def lower(context, builder, sig, args):
        name = floating if isinstance(sig.args[0].dtype, types.Float) else integer
        return getattr(builder, name)(*args)


for _function, _floating, _integer in (
    (operator.add, "fadd", "add"),
    (operator.sub, "fsub", "sub"),
    (operator.mul, "fmul", "mul"),
    (operator.truediv, "fdiv", "sdiv"),
    (operator.and_, "and_", "and_"),
    (operator.or_, "or_", "or_"),
    (operator.xor, "xor", "xor"),
):
    _register_arithmetic(_function, _floating, _integer)


def _register_comparison(function, symbol):
    @infer_global(function)
    class VectorComparison(AbstractTemplate):
        def generic(self, args, kws):
            if len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]:
                return signature(mask16, *args)
            return None

    @lower_builtin(function, Vector, Vector)
    def lower(context, builder, sig, args):
        if not isinstance(sig.args[0].dtype, types.Float):
            return builder.icmp_signed(symbol, *args)
        compare = builder.fcmp_unordered if symbol == "!=" else builder.fcmp_ordered
        return compare(symbol, *args)


for _function, _symbol in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
    (operator.ne, "!="),
):
    _register_comparison(_function, _symbol)


# --- making vectors ----------------------------------------------------------------------------------------------
@intrinsic
def splat(typingctx, value):
    """The scalar in all lanes: float32 for a float, int32 for an integer."""
    dtype = types.float32 if isinstance(value, types.Float) else types.int32

    def codegen(context, builder, sig, args):
        return broadcast(builder, context.cast(builder, args[0], sig.args[0], dtype))

    return Vector(dtype)(value), codegen


@intrinsic
def lane_index(typingctx):
    """0, 1, …, 15."""
    return i32x16(), lambda context, builder, sig, args: lane_numbers()


@intrinsic
def load(typingctx, pointer, index):
    """pointer[index : index + 16]."""
    vector = Vector(pointer.dtype)

    def codegen(context, builder, sig, args):
        kind = llvm_vector(vector.dtype)
        index = as_i64(builder, args[1], sig.args[1])
        return builder.load(element_address(context, builder, sig.args[0], args[0], index, kind), align=4)

    return vector(pointer, index), codegen


@intrinsic
def load_first(typingctx, pointer, index, count):
    """The first ``count`` lanes from pointer[index:], 0 in the others (whose memory is not read)."""
    vector = Vector(pointer.dtype)

    def codegen(context, builder, sig, args):
        kind = llvm_vector(vector.dtype)
        index = as_i64(builder, args[1], sig.args[1])
        count = as_i64(builder, args[2], sig.args[2])
        nbytes = _touched(builder, count, VIRTUAL_LANES)
        where = element_address(context, builder, sig.args[0], args[0], index, kind, nbytes)
        return masked_load(builder, where, first_lanes(builder, count), kind)

    return vector(pointer, index, count), codegen


def _touched(builder, count, lanes):
    limit = ir.Constant(I64, lanes)
    least = builder.select(builder.icmp_signed("<", count, limit), count, limit)
    return builder.mul(least, ir.Constant(I64, 4))


@intrinsic
def store(typingctx, pointer, index, value):
    """pointer[index : index + 16] = value."""

    def codegen(context, builder, sig, args):
        index = as_i64(builder, args[1], sig.args[1])
        where = element_address(context, builder, sig.args[0], args[0], index, args[2].type)
        builder.store(args[2], where, align=4)
        return context.get_dummy_value()

    return types.void(pointer, index, value), codegen


@intrinsic
def store_first(typingctx, pointer, index, value, count):
    """pointer[index : index + count] = the first ``count`` lanes."""

    def codegen(context, builder, sig, args):
        index = as_i64(builder, args[1], sig.args[1])
        count = as_i64(builder, args[3], sig.args[3])
        nbytes = _touched(builder, count, VIRTUAL_LANES)
        where = element_address(context, builder, sig.args[0], args[0], index, args[2].type, nbytes)
        store_lanes(builder, args[2], where, count)
        return context.get_dummy_value()

    return types.void(pointer, index, value, count), codegen


# --- functions of vectors ----------------------------------------------------------------------------------------
@intrinsic
def fma(typingctx, a, b, c):
    """a · b + c with one rounding, in every lane."""

    def codegen(context, builder, sig, args):
        return llvm_call(builder, "llvm.fma.v16f32", args[0].type, *args)

    return f32x16(a, b, c), codegen


@intrinsic
def sqrt(typingctx, x):
    """Square root, correctly rounded."""
    return f32x16(x), lambda context, builder, sig, args: llvm_call(builder, "llvm.sqrt.v16f32", args[0].type, *args)


@intrinsic
def rint(typingctx, x):
    """The nearest integer, ties to even, as float32."""
    return f32x16(x), lambda context, builder, sig, args: llvm_call(builder, "llvm.rint.v16f32", args[0].type, *args)


@intrinsic
def select(typingctx, mask, a, b):
    """a where the mask is set, else b."""
    return a(mask, a, b), lambda context, builder, sig, args: builder.select(*args)


@intrinsic
def to_float(typingctx, x):
    """int32 to float32."""
    return f32x16(x), lambda context, builder, sig, args: builder.sitofp(args[0], llvm_vector(types.float32))


@intrinsic
def as_float_bits(typingctx, x):
    """The same 32 bits read as float32."""
    return f32x16(x), lambda context, builder, sig, args: builder.bitcast(args[0], llvm_vector(types.float32))


@intrinsic
def as_int_bits(typingctx, x):
    """The same 32 bits read as int32."""
    return i32x16(x), lambda context, builder, sig, args: builder.bitcast(args[0], llvm_vector(types.int32))


@intrinsic(prefer_literal=True)
def shift_left(typingctx, x, bits):
    """x << bits in every lane; bits is a constant."""
    amount = bits.literal_value

    def codegen(context, builder, sig, args):
        return builder.shl(args[0], broadcast(builder, ir.Constant(I32T, amount)))

    return i32x16(x, bits), codegen


@intrinsic(prefer_literal=True)
def shift_right(typingctx, x, bits):
    """x >> bits with the sign, in every lane; bits is a constant."""
    amount = bits.literal_value

    def codegen(context, builder, sig, args):
        return builder.ashr(args[0], broadcast(builder, ir.Constant(I32T, amount)))

    return i32x16(x, bits), codegen


def _halves(builder, value):
    lanes = value.type.count // 2
    undefined = ir.Constant(value.type, ir.Undefined)
    pick = [ir.Constant(ir.VectorType(I32T, lanes), list(range(at, at + lanes))) for at in (0, lanes)]
    return [builder.shuffle_vector(value, undefined, mask) for mask in pick]


def sum_of_lanes(builder, value):
    """The sum over the lanes of a vector in the fixed tree."""
    while value.type.count > 1:
        low, high = _halves(builder, value)
        value = builder.fadd(low, high)
    return builder.extract_element(value, ir.Constant(I32T, 0))


@intrinsic
def lane_sum(typingctx, x):
    """Sum over the lanes in the fixed tree (i) + (i + 8), then + 4, + 2, + 1."""

    return types.float32(x), lambda context, builder, sig, args: sum_of_lanes(builder, args[0])


@intrinsic
def lane_max(typingctx, x):
    """Maximum over the lanes; NaN if any lane is NaN."""

    def codegen(context, builder, sig, args):
        value = args[0]
        while value.type.count > 1:
            low, high = _halves(builder, value)
            take_low = builder.or_(builder.fcmp_ordered(">", low, high), builder.fcmp_unordered("!=", low, low))
            value = builder.select(take_low, low, high)
        return builder.extract_element(value, ir.Constant(I32T, 0))

    return types.float32(x), codegen


@intrinsic
def any_lane(typingctx, mask):
    """Whether any lane of the mask is set."""

    def codegen(context, builder, sig, args):
        bits = builder.bitcast(args[0], ir.IntType(VIRTUAL_LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(mask), codegen


@intrinsic(prefer_literal=True)
def every_second(typingctx, low, high, first):
    """Lanes first, first + 2, … of the 32 lanes of low and high; first is 0 or 1."""
    begin = first.literal_value

    def codegen(context, builder, sig, args):
        pick = ir.Constant(ir.VectorType(I32T, VIRTUAL_LANES), list(range(begin, 2 * VIRTUAL_LANES, 2)))
        return builder.shuffle_vector(args[0], args[1], pick)

    return low(low, high, first), codegen


@intrinsic(prefer_literal=True)
def window(typingctx, low, high, first):
    """Lanes first … first + 15 of the 32 lanes of low and high; first is a constant."""
    begin = first.literal_value

    def codegen(context, builder, sig, args):
        pick = ir.Constant(ir.VectorType(I32T, VIRTUAL_LANES), list(range(begin, begin + VIRTUAL_LANES)))
        return builder.shuffle_vector(args[0], args[1], pick)

    return low(low, high, first), codegen


@intrinsic(prefer_literal=True)
def interleave(typingctx, even, odd, half):
    """The lower (0) or upper (1) 16 lanes of even[0], odd[0], even[1], odd[1], …"""
    begin = half.literal_value * VIRTUAL_LANES // 2

    def codegen(context, builder, sig, args):
        order = [i for lane in range(begin, begin + VIRTUAL_LANES // 2) for i in (lane, VIRTUAL_LANES + lane)]
        return builder.shuffle_vector(args[0], args[1], ir.Constant(ir.VectorType(I32T, VIRTUAL_LANES), order))

    return even(even, odd, half), codegen


@intrinsic
def lane_product(typingctx, x):
    """Product over the lanes in the tree of ``lane_sum``."""

    def codegen(context, builder, sig, args):
        value = args[0]
        while value.type.count > 1:
            value = builder.fmul(*_halves(builder, value))
        return builder.extract_element(value, ir.Constant(I32T, 0))

    return types.float32(x), codegen


@intrinsic
def lane(typingctx, x, number):
    """The element in lane ``number`` (0 … 15)."""
    return x.dtype(x, number), lambda context, builder, sig, args: builder.extract_element(*args)


@intrinsic
def first_lane(typingctx, mask):
    """The number of the first lane that is set in the mask; 16 if none is."""

    def codegen(context, builder, sig, args):
        word = ir.IntType(32)
        bits = builder.zext(builder.bitcast(args[0], ir.IntType(VIRTUAL_LANES)), word)
        bits = builder.or_(bits, ir.Constant(word, 1 << VIRTUAL_LANES))
        return builder.zext(llvm_call(builder, "llvm.cttz.i32", word, bits, ir.Constant(BIT, 1)), I64)

    return types.int64(mask), codegen
