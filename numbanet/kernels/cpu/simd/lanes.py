"""Vectors put together from two halves and from bytes, and blocks of bytes transposed.

Rows of pictures are often narrower than 16. A kernel then takes eight elements each of two rows into one vector and
stores the halves apart; what a store writes past the end of a row is overwritten by the next row's.
"""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from numbanet.kernels.cpu.simd.pointers import CHECKED, I32, I64, U8, as_i64, element_address, llvm_element
from numbanet.kernels.cpu.simd.vector import I32T, Vector, _halves, i32x16, llvm_vector
from numbanet.kernels.cpu.target import VIRTUAL_LANES

HALF = VIRTUAL_LANES // 2
BYTE = ir.IntType(8)


def _indices(builder, sig, args, *places):
    return [as_i64(builder, args[at], sig.args[at]) for at in places]


def _shuffle(builder, a, b, order):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32T, len(order)), list(order)))


@intrinsic
def load_halves(typingctx, pointer, low, high):
    """pointer[low : low + 8] and pointer[high : high + 8] in one vector."""
    vector = Vector(pointer.dtype)

    def codegen(context, builder, sig, args):
        kind = ir.VectorType(llvm_element(vector.dtype), HALF)
        halves = [
            builder.load(element_address(context, builder, sig.args[0], args[0], index, kind), align=4)
            for index in _indices(builder, sig, args, 1, 2)
        ]
        return _shuffle(builder, *halves, range(VIRTUAL_LANES))

    return vector(pointer, low, high), codegen


@intrinsic(prefer_literal=True)
def load_second_halves(typingctx, pointer, low, high, first):
    """Every second element: pointer[low + first + 2 · i] for i < 8, then those from high on; first is 0 or 1.

    Halves of four elements are loaded into the two halves of a register: one shuffle inside these is enough, which
    reads sixteen elements from low and from high on."""
    begin, vector = first.literal_value, Vector(pointer.dtype)

    def codegen(context, builder, sig, args):
        quarter, halves = ir.VectorType(llvm_element(vector.dtype), HALF // 2), []
        for index in _indices(builder, sig, args, 1, 2):
            parts = []
            for at in (0, 4, 8, 12):
                place = builder.add(index, ir.Constant(I64, at))
                where = element_address(context, builder, sig.args[0], args[0], place, quarter)
                parts.append(builder.load(where, align=4))
            a, b = (
                _shuffle(builder, parts[0], parts[2], range(HALF)),
                _shuffle(builder, parts[1], parts[3], range(HALF)),
            )
            order = [lane + begin for lane in (0, 2, 8, 10, 4, 6, 12, 14)]
            halves.append(_shuffle(builder, a, b, order))
        return _shuffle(builder, *halves, range(VIRTUAL_LANES))

    return vector(pointer, low, high, first), codegen


@intrinsic(prefer_literal=True)
def load_every(typingctx, pointer, low, high, step):
    """pointer[low + step · i] for i < 8, then those from high on: one by one, or, if the step is a literal, shuffled
    out of 8 · step elements from low and from high on."""
    element, vector = llvm_element(pointer.dtype), Vector(pointer.dtype)

    def one_by_one(context, builder, sig, args):
        apart, lanes = as_i64(builder, args[3], sig.args[3]), ir.Constant(llvm_vector(vector.dtype), ir.Undefined)
        for half, at in enumerate(_indices(builder, sig, args, 1, 2)):
            for lane in range(HALF):
                where = element_address(context, builder, sig.args[0], args[0], at, element)
                value = builder.load(where, align=4)
                lanes = builder.insert_element(lanes, value, ir.Constant(I32T, half * HALF + lane))
                at = builder.add(at, apart)
        return lanes

    def shuffled(context, builder, sig, args):
        kind, halves = ir.VectorType(element, HALF * step.literal_value), []
        for index in _indices(builder, sig, args, 1, 2):
            row = builder.load(element_address(context, builder, sig.args[0], args[0], index, kind), align=4)
            halves.append(_shuffle(builder, row, row, range(0, kind.count, step.literal_value)))
        return _shuffle(builder, *halves, range(VIRTUAL_LANES))

    return vector(pointer, low, high, step), shuffled if hasattr(step, "literal_value") else one_by_one


@intrinsic
def store_halves(typingctx, pointer, low, high, value):
    """pointer[low : low + 8] = the lower lanes, then pointer[high : high + 8] = the upper ones."""

    def codegen(context, builder, sig, args):
        for index, half in zip(_indices(builder, sig, args, 1, 2), _halves(builder, args[3]), strict=True):
            builder.store(half, element_address(context, builder, sig.args[0], args[0], index, half.type), align=4)
        return context.get_dummy_value()

    return types.void(pointer, low, high, value), codegen


@intrinsic
def load_bytes(typingctx, pointer, low, high):
    """The bytes pointer[low : low + 8] and pointer[high : high + 8] as int32 lanes, without sign."""

    def codegen(context, builder, sig, args):
        kind = ir.VectorType(BYTE, HALF)
        halves = [
            builder.load(element_address(context, builder, sig.args[0], args[0], index, kind), align=1)
            for index in _indices(builder, sig, args, 1, 2)
        ]
        return builder.zext(_shuffle(builder, *halves, range(VIRTUAL_LANES)), llvm_vector(types.int32))

    return i32x16(pointer, low, high), codegen


@intrinsic
def store_bytes(typingctx, pointer, low, high, value):
    """pointer[low : low + 8], then pointer[high : high + 8] = the lowest bytes of the int32 lanes."""

    def codegen(context, builder, sig, args):
        small = builder.trunc(args[3], ir.VectorType(BYTE, VIRTUAL_LANES))
        for index, half in zip(_indices(builder, sig, args, 1, 2), _halves(builder, small), strict=True):
            builder.store(half, element_address(context, builder, sig.args[0], args[0], index, half.type), align=1)
        return context.get_dummy_value()

    return types.void(pointer, low, high, value), codegen


@intrinsic
def transpose_eight(typingctx, out, out_row, x, x_row, rows):
    """out[j · out_row + i] = x[i · x_row + j] for i, j < 8; rows of x from ``rows`` on repeat the last one before.

    Halves of four elements are loaded into the two halves of a register, so that two rounds of shuffles inside these
    are enough."""

    def codegen(context, builder, sig, args):
        out_row, x_row, rows = _indices(builder, sig, args, 1, 3, 4)
        quarter = ir.VectorType(ir.FloatType(), 4)
        last = builder.sub(rows, ir.Constant(I64, 1))

        def loaded(i, j):
            number = ir.Constant(I64, i)
            number = builder.select(builder.icmp_signed("<", number, last), number, last) if i else number
            index = builder.add(builder.mul(x_row, number), ir.Constant(I64, j))
            return builder.load(element_address(context, builder, sig.args[2], args[2], index, quarter), align=4)

        for j in (0, 4):
            a, b, c, d = (_shuffle(builder, loaded(i, j), loaded(i + 4, j), range(8)) for i in range(4))
            low, high = (0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15)
            for k, order in ((0, low), (2, high)):
                ab, cd = _shuffle(builder, a, b, order), _shuffle(builder, c, d, order)
                for i, last_order in ((0, (0, 1, 8, 9, 4, 5, 12, 13)), (1, (2, 3, 10, 11, 6, 7, 14, 15))):
                    value = _shuffle(builder, ab, cd, last_order)
                    index = builder.mul(out_row, ir.Constant(I64, j + k + i))
                    where = element_address(context, builder, sig.args[0], args[0], index, value.type)
                    builder.store(value, where, align=4)
        return context.get_dummy_value()

    return types.void(out, out_row, x, x_row, rows), codegen


@intrinsic
def transpose_bytes(typingctx, out, out_row, x, x_row):
    """out[j · out_row + i] = x[i · x_row + j] for i, j < 16, of bytes: four rounds of interleaving."""

    def codegen(context, builder, sig, args):
        kind = ir.VectorType(BYTE, VIRTUAL_LANES)
        out_row, x_row = _indices(builder, sig, args, 1, 3)

        def place(at, row, i):
            index = builder.mul(row, ir.Constant(I64, i))
            return element_address(context, builder, sig.args[at], args[at], index, kind)

        rows = [builder.load(place(2, x_row, i), align=1) for i in range(VIRTUAL_LANES)]
        low, high = ([half * HALF + i // 2 + i % 2 * VIRTUAL_LANES for i in range(VIRTUAL_LANES)] for half in (0, 1))
        for _ in range(4):
            pairs = zip(rows[:HALF], rows[HALF:], strict=True)
            rows = [_shuffle(builder, a, b, order) for a, b in pairs for order in (low, high)]
        for j, value in enumerate(rows):
            builder.store(value, place(0, out_row, j), align=1)
        return context.get_dummy_value()

    return types.void(out, out_row, x, x_row), codegen


@intrinsic
def copy_bytes(typingctx, out, to, x, begin):
    """out[to : to + 16] = x[begin : begin + 16], of bytes."""

    def codegen(context, builder, sig, args):
        kind = ir.VectorType(BYTE, VIRTUAL_LANES)
        to, begin = _indices(builder, sig, args, 1, 3)
        value = builder.load(element_address(context, builder, sig.args[2], args[2], begin, kind), align=1)
        builder.store(value, element_address(context, builder, sig.args[0], args[0], to, kind), align=1)
        return context.get_dummy_value()

    return types.void(out, to, x, begin), codegen


@intrinsic
def copy_bytes_reversed(typingctx, out, to, x, begin):
    """out[to + i] = x[begin + 15 − i] for i < 16, of bytes."""

    def codegen(context, builder, sig, args):
        kind = ir.VectorType(BYTE, VIRTUAL_LANES)
        to, begin = _indices(builder, sig, args, 1, 3)
        value = builder.load(element_address(context, builder, sig.args[2], args[2], begin, kind), align=1)
        value = _shuffle(builder, value, value, range(VIRTUAL_LANES - 1, -1, -1))
        builder.store(value, element_address(context, builder, sig.args[0], args[0], to, kind), align=1)
        return context.get_dummy_value()

    return types.void(out, to, x, begin), codegen


def _view(pointer):
    """The code of a pointer to the same memory."""

    def codegen(context, builder, sig, args):
        return args[0] if CHECKED else builder.bitcast(args[0], llvm_element(pointer.dtype).as_pointer())

    return codegen


@intrinsic
def as_bytes(typingctx, pointer):
    """The same memory as a pointer to bytes."""
    return U8(pointer), _view(U8)


@intrinsic
def as_ints(typingctx, pointer):
    """The same memory as a pointer to int32."""
    return I32(pointer), _view(I32)
