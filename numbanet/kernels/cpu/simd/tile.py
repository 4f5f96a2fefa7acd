"""Register tiles: an R × C block of SIMD vectors that lives in registers, updated by rank-1 products.

``zeros(R, C)``, ``outer(acc, a, rows, b, columns)`` and ``store_tile`` are all that a matrix product or a direct
convolution needs. Each output element is one chain of fused multiply-adds in the order of the calls, so its bits
depend neither on R, C nor on the lanes of the machine.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

from numbanet.kernels.cpu import target
from numbanet.kernels.cpu.simd.pointers import I64, as_i64, element_address
from numbanet.kernels.cpu.simd.vector import broadcast, first_lanes, llvm_call, masked_load, store_lanes, sum_of_lanes

LANES = target.lanes()
FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, LANES)
RELU = 1
"""Activation codes of ``store_tile``: 0 none, 1 ReLU."""


class Tile(types.Type):
    """An R × C block of vectors of float32: LANES of them, or the 16 virtual lanes of a sum across lanes."""

    def __init__(self, rows, columns, lanes=LANES):
        self.rows, self.columns, self.lanes = rows, columns, lanes
        super().__init__(name=f"tile<{rows}x{columns}xf32x{lanes}>")


@register_model(Tile)
class TileModel(models.PrimitiveModel):
    def __init__(self, manager, tile):
        super().__init__(manager, tile, _llvm_tile(tile))


def _llvm_tile(tile):
    """Vectors of LANES; the 16 virtual lanes of a sum are one or more of them, next to each other."""
    return ir.ArrayType(VECTOR, tile.rows * tile.columns * (tile.lanes // LANES))


@intrinsic(prefer_literal=True)
def zeros(typingctx, rows, columns):
    """A tile of zeros; both sizes are constants."""
    tile = Tile(rows.literal_value, columns.literal_value)
    return tile(rows, columns), lambda context, builder, sig, args: ir.Constant(_llvm_tile(tile), None)


@intrinsic(prefer_literal=True)
def zero_sums(typingctx, rows, columns):
    """A tile of zeros whose vectors have the 16 virtual lanes, for ``inner``."""
    tile = Tile(rows.literal_value, columns.literal_value, target.VIRTUAL_LANES)
    return tile(rows, columns), lambda context, builder, sig, args: ir.Constant(_llvm_tile(tile), None)


@intrinsic(prefer_literal=True)
def offsets(typingctx, table, first, count):
    """table[first : first + count] (int32) as a tuple of offsets; count is a constant."""
    result = types.UniTuple(types.int64, count.literal_value)

    def codegen(context, builder, sig, args):
        first = as_i64(builder, args[1], sig.args[1])
        values = []
        for k in range(result.count):
            index = builder.add(first, ir.Constant(I64, k))
            where = element_address(context, builder, sig.args[0], args[0], index, ir.IntType(32))
            values.append(builder.sext(builder.load(where), I64))
        return context.make_tuple(builder, result, values)

    return result(table, first, count), codegen


@intrinsic(prefer_literal=True)
def multiples(typingctx, stride, count):
    """0, stride, 2 · stride, … as a tuple of offsets that stay in registers; count is a constant."""
    result = types.UniTuple(types.int64, count.literal_value)

    def codegen(context, builder, sig, args):
        stride = as_i64(builder, args[0], sig.args[0])
        values = [builder.mul(stride, ir.Constant(I64, k)) for k in range(result.count)]
        return context.make_tuple(builder, result, _in_registers(builder, values))

    return result(stride, count), codegen


@intrinsic(prefer_literal=True)
def multiples_upto(typingctx, stride, count, limit):
    """As ``multiples``, of which only the first ``limit`` are different if that is less: the others repeat the last."""
    result = types.UniTuple(types.int64, count.literal_value)

    def codegen(context, builder, sig, args):
        stride, limit = as_i64(builder, args[0], sig.args[0]), as_i64(builder, args[2], sig.args[2])
        last = builder.sub(limit, ir.Constant(I64, 1))
        numbers = [ir.Constant(I64, k) for k in range(result.count)]
        numbers = [builder.select(builder.icmp_signed("<", number, last), number, last) for number in numbers]
        values = [builder.mul(stride, number) for number in numbers]
        return context.make_tuple(builder, result, _in_registers(builder, values))

    return result(stride, count, limit), codegen


def _in_registers(builder, values):
    """The numbers themselves, in registers of their own.

    LLVM would rather add a stride again and again, one addition waiting for the other in every step."""
    if not target.vector_register():
        return values
    kind = ir.FunctionType(I64, [I64])
    return [builder.asm(kind, "", "=r,0", [value], side_effect=False) for value in values]


def _places(builder, kind, value, count):
    """Element offsets of ``count`` rows or columns: multiples of a stride, the items of a tuple, or runs from them."""
    if isinstance(kind, types.BaseTuple):
        run = count // len(kind)
        firsts = [builder.extract_value(value, k) for k in range(len(kind))]
        return [builder.add(firsts[k // run], ir.Constant(I64, k % run)) for k in range(count)]
    stride, places = as_i64(builder, value, kind), [ir.Constant(I64, 0)]
    for _ in range(count - 1):
        places.append(builder.add(places[-1], stride))
    return places


def _in_turn(builder, value):
    """The value itself, behind a barrier: what is loaded later in the program is loaded later by the processor.

    Without it LLVM loads the operands of a whole step, or of several unrolled ones, before it multiplies; there are no
    registers for them, and the tile is spilled in every step (6 × 2 tiles of AVX2 ran at half their speed)."""
    register = target.vector_register()
    if not register or value.type.count > target.register_lanes():
        return value
    kind = ir.FunctionType(value.type, [value.type])
    same = builder.asm(kind, "", f"={register},0", [value], side_effect=True)
    same.attributes.add("convergent")  # a loop with such a call is not unrolled
    return same


def _valid_places(kind, count):
    return isinstance(kind, types.Integer) or (isinstance(kind, types.BaseTuple) and count % len(kind) == 0)


@intrinsic
def outer(typingctx, acc, a, rows, b, columns):
    """acc[r, c] += a[rows(r)] · b[columns(c) : columns(c) + LANES].

    ``rows`` and ``columns`` are strides (rows(r) = r · rows) or tuples of offsets; a tuple with fewer items than the
    tile has rows gives where runs of neighbours begin (2 items for 10 rows: two runs of 5)."""
    if not (_valid_places(rows, acc.rows) and _valid_places(columns, acc.columns)):
        raise TypeError(f"outer: rows {rows} and columns {columns} do not fit {acc}")

    def codegen(context, builder, sig, args):
        tile, a_type, _, b_type, _ = sig.args
        acc, a, rows, b, columns = args
        column = [
            builder.load(element_address(context, builder, b_type, b, place, VECTOR), align=4)
            for place in _places(builder, sig.args[4], columns, tile.columns)
        ]
        for r, place in enumerate(_places(builder, sig.args[2], rows, tile.rows)):
            scalar = builder.load(element_address(context, builder, a_type, a, place, FLOAT))
            row = broadcast(builder, scalar, LANES)
            for c in range(tile.columns):
                k = r * tile.columns + c
                sum_ = llvm_call(
                    builder, f"llvm.fma.v{LANES}f32", VECTOR, row, column[c], builder.extract_value(acc, k)
                )
                acc = builder.insert_value(acc, _in_turn(builder, sum_), k)
        return acc

    return acc(acc, a, rows, b, columns), codegen


@intrinsic
def add_bias_rows(typingctx, acc, bias, first, last):
    """acc[r, c] += bias[r] in all lanes, for the rows first … last − 1 (the others are not read)."""

    def codegen(context, builder, sig, args):
        tile = sig.args[0]
        acc = args[0]
        first, last = (as_i64(builder, args[i], sig.args[i]) for i in (2, 3))
        for r in range(tile.rows):
            number = ir.Constant(I64, r)
            wanted = builder.and_(builder.icmp_signed("<=", first, number), builder.icmp_signed("<", number, last))
            index = builder.select(wanted, number, first)
            scalar = builder.load(element_address(context, builder, sig.args[1], args[1], index, FLOAT))
            row = broadcast(builder, scalar, LANES)
            for c in range(tile.columns):
                k = r * tile.columns + c
                acc = builder.insert_value(acc, builder.fadd(builder.extract_value(acc, k), row), k)
        return acc

    return acc(acc, bias, first, last), codegen


@intrinsic
def add_bias_columns(typingctx, acc, bias, begin, end):
    """acc[r, c] lane j += bias[c · LANES + j] for the columns begin … end − 1 of the tile (the others are not read)."""

    def codegen(context, builder, sig, args):
        tile = sig.args[0]
        acc = args[0]
        begin, end = (as_i64(builder, args[i], sig.args[i]) for i in (2, 3))
        for c in range(tile.columns):
            place = ir.Constant(I64, c * LANES)
            where, low, high = _window(context, builder, sig.args[1], args[1], place, begin, end, c)
            row = masked_load(builder, where, _mask(builder, low, high), VECTOR)
            for r in range(tile.rows):
                k = r * tile.columns + c
                acc = builder.insert_value(acc, builder.fadd(builder.extract_value(acc, k), row), k)
        return acc

    return acc(acc, bias, begin, end), codegen


@intrinsic
def add_row(typingctx, acc, row):
    """acc[r, c] += row[c · LANES : (c + 1) · LANES] for every r: a bias a column."""

    def codegen(context, builder, sig, args):
        tile, acc = sig.args[0], args[0]
        for c in range(tile.columns):
            where = element_address(context, builder, sig.args[1], args[1], ir.Constant(I64, c * LANES), VECTOR)
            value = builder.load(where, align=4)
            for r in range(tile.rows):
                k = r * tile.columns + c
                acc = builder.insert_value(acc, builder.fadd(builder.extract_value(acc, k), value), k)
        return acc

    return acc(acc, row), codegen


def _window(context, builder, pointer, value, place, begin, end, column):
    """Address of one vector of a tile of which only the columns begin … end − 1 count, and its lanes low and high."""
    start = ir.Constant(I64, column * LANES)
    low, high = builder.sub(begin, start), builder.sub(end, start)
    zero, full = ir.Constant(I64, 0), ir.Constant(I64, LANES)
    low = builder.select(builder.icmp_signed(">", low, zero), low, zero)
    high = builder.select(builder.icmp_signed("<", high, full), high, full)
    nbytes = builder.mul(builder.sub(high, low), ir.Constant(I64, 4))
    # The check mode tests what is touched, so the tested address begins at the first lane of the mask.
    touched = element_address(context, builder, pointer, value, builder.add(place, low), VECTOR, nbytes)
    back = builder.mul(builder.neg(low), ir.Constant(I64, 4))
    address = builder.add(builder.ptrtoint(touched, I64), back)
    return builder.inttoptr(address, VECTOR.as_pointer()), low, high


def _mask(builder, low, high):
    return builder.and_(first_lanes(builder, high, LANES), builder.not_(first_lanes(builder, low, LANES)))


def _activate(builder, value, activation):
    """ReLU where the activation code says so; a NaN stays a NaN."""
    negative = builder.fcmp_ordered("<", value, ir.Constant(VECTOR, None))
    rectified = builder.select(negative, ir.Constant(VECTOR, None), value)
    chosen = builder.icmp_signed("==", activation, ir.Constant(I64, RELU))
    return builder.select(chosen, rectified, value)


def _all_of(builder, *conditions):
    result = conditions[0]
    for condition in conditions[1:]:
        result = builder.and_(result, condition)
    return result


def _spilled(builder, tile, acc):
    """The tile in memory, where a loop can take its vectors by number."""
    space = cgutils.alloca_once(builder, _llvm_tile(tile))
    for k in range(tile.rows * tile.columns):  # one by one: storing it whole would keep it in memory for good
        where = builder.gep(space, [ir.Constant(I64, 0), ir.Constant(I64, k)])
        builder.store(builder.extract_value(acc, k), where)
    return lambda index: builder.load(builder.gep(space, [ir.Constant(I64, 0), index]))


@intrinsic
def store_tile(typingctx, acc, out, rows, first, last, begin, end, add, activation):
    """out[r · rows + j] = activation(acc[r, j] (+ out if add)), rows first … last − 1, columns begin … end − 1."""

    def codegen(context, builder, sig, args):
        tile, pointer = sig.args[:2]
        acc, out = args[0], args[1]
        rows, first, last, begin, end, add, activation = (as_i64(builder, args[i], sig.args[i]) for i in range(2, 9))
        zero = ir.Constant(I64, 0)
        adds = builder.icmp_signed("!=", add, zero)

        def store_whole(is_sum):
            for k in range(tile.rows * tile.columns):
                r, c = divmod(k, tile.columns)
                place = builder.add(builder.mul(rows, ir.Constant(I64, r)), ir.Constant(I64, c * LANES))
                where = element_address(context, builder, pointer, out, place, VECTOR)
                value = builder.extract_value(acc, k)
                if is_sum:
                    value = builder.fadd(builder.load(where, align=4), value)
                builder.store(_activate(builder, value, activation), where, align=4)

        whole = _all_of(
            builder,
            builder.icmp_signed("<=", first, zero),
            builder.icmp_signed(">=", last, ir.Constant(I64, tile.rows)),
            builder.icmp_signed("<=", begin, zero),
            builder.icmp_signed(">=", end, ir.Constant(I64, tile.columns * LANES)),
        )
        with builder.if_else(whole, likely=True) as (all_of_it, some_of_it):
            with all_of_it, builder.if_else(adds) as (is_sum, is_new):
                with is_sum:
                    store_whole(True)
                with is_new:
                    store_whole(False)
            with some_of_it:
                vector = _spilled(builder, tile, acc)
                with cgutils.for_range_slice(builder, first, last, ir.Constant(I64, 1), I64) as (r, _):
                    for c in range(tile.columns):
                        place = builder.add(builder.mul(rows, r), ir.Constant(I64, c * LANES))
                        where, low, high = _window(context, builder, pointer, out, place, begin, end, c)
                        value = vector(builder.add(builder.mul(r, ir.Constant(I64, tile.columns)), ir.Constant(I64, c)))
                        mask = _mask(builder, low, builder.select(adds, high, zero))
                        old = masked_load(builder, where, mask, VECTOR)
                        value = builder.select(adds, builder.fadd(old, value), value)
                        store_lanes(builder, _activate(builder, value, activation), where, high, low)
        return context.get_dummy_value()

    return types.void(acc, out, rows, first, last, begin, end, add, activation), codegen


@intrinsic
def store_rows(typingctx, acc, out, rows, add, activation):
    """out[rows(r) + j] = activation(acc[r, j] (+ out if add)): whole rows, whose places are a tuple or a stride."""

    def codegen(context, builder, sig, args):
        tile, pointer = sig.args[:2]
        acc, out = args[0], args[1]
        places = _places(builder, sig.args[2], args[2], tile.rows)
        adds = builder.icmp_signed("!=", as_i64(builder, args[3], sig.args[3]), ir.Constant(I64, 0))
        activation = as_i64(builder, args[4], sig.args[4])

        def store_all(is_sum):
            for k in range(tile.rows * tile.columns):
                r, c = divmod(k, tile.columns)
                place = builder.add(places[r], ir.Constant(I64, c * LANES))
                where = element_address(context, builder, pointer, out, place, VECTOR)
                value = builder.extract_value(acc, k)
                if is_sum:
                    value = builder.fadd(builder.load(where, align=4), value)
                builder.store(_activate(builder, value, activation), where, align=4)

        with builder.if_else(adds) as (is_sum, is_new):
            with is_sum:
                store_all(True)
            with is_new:
                store_all(False)
        return context.get_dummy_value()

    return types.void(acc, out, rows, add, activation), codegen


@intrinsic
def store_columns(typingctx, acc, out, rows, first, last, columns, counts, add, activation):
    """out[r · rows + columns(c) + j] = activation(acc[r, c] lane j (+ out if add)) for j < counts(c).

    Rows first … last − 1; ``columns`` and ``counts`` are tuples, one item a column of the tile."""

    def codegen(context, builder, sig, args):
        tile, pointer = sig.args[:2]
        acc, out = args[0], args[1]
        rows, first, last = (as_i64(builder, args[i], sig.args[i]) for i in (2, 3, 4))
        add, activation = (as_i64(builder, args[i], sig.args[i]) for i in (7, 8))
        places = _places(builder, sig.args[5], args[5], tile.columns)
        counts = _places(builder, sig.args[6], args[6], tile.columns)
        zero, full = ir.Constant(I64, 0), ir.Constant(I64, LANES)
        adds = builder.icmp_signed("!=", add, zero)

        def address(r, c, count):
            index = builder.add(builder.mul(rows, r), places[c])
            nbytes = builder.mul(count, ir.Constant(I64, 4))
            return element_address(context, builder, pointer, out, index, VECTOR, nbytes)

        def store_whole(is_sum):
            for k in range(tile.rows * tile.columns):
                r, c = divmod(k, tile.columns)
                where, value = address(ir.Constant(I64, r), c, full), builder.extract_value(acc, k)
                if is_sum:
                    value = builder.fadd(builder.load(where, align=4), value)
                builder.store(_activate(builder, value, activation), where, align=4)

        def store_lines():
            vector = _spilled(builder, tile, acc)
            with cgutils.for_range_slice(builder, first, last, ir.Constant(I64, 1), I64) as (r, _):
                for c in range(tile.columns):
                    number = builder.add(builder.mul(r, ir.Constant(I64, tile.columns)), ir.Constant(I64, c))
                    where, value = address(r, c, counts[c]), vector(number)
                    old = masked_load(
                        builder, where, _mask(builder, zero, builder.select(adds, counts[c], zero)), VECTOR
                    )
                    value = builder.select(adds, builder.fadd(old, value), value)
                    store_lanes(builder, _activate(builder, value, activation), where, counts[c])

        whole = _all_of(
            builder,
            builder.icmp_signed("<=", first, zero),
            builder.icmp_signed(">=", last, ir.Constant(I64, tile.rows)),
            *(builder.icmp_signed(">=", count, full) for count in counts),
        )
        with builder.if_else(whole, likely=True) as (all_of_it, some_of_it):
            with all_of_it, builder.if_else(adds) as (is_sum, is_new):
                with is_sum:
                    store_whole(True)
                with is_new:
                    store_whole(False)
            with some_of_it:
                store_lines()
        return context.get_dummy_value()

    return types.void(acc, out, rows, first, last, columns, counts, add, activation), codegen


@intrinsic
def inner(typingctx, acc, a, rows, b, columns, count):
    """acc[r, c] lane j += a[rows(r) + j] · b[columns(c) + j] for j < count: 16 chains for each of R × C dot products.

    ``rows`` and ``columns`` are strides or tuples of offsets; memory beyond ``count`` is not read."""
    if not (_valid_places(rows, acc.rows) and _valid_places(columns, acc.columns)):
        raise TypeError(f"inner: rows {rows} and columns {columns} do not fit {acc}")

    def codegen(context, builder, sig, args):
        tile = sig.args[0]
        acc, a, rows, b, columns, count = args
        count = as_i64(builder, count, sig.args[5])
        pieces, zero, full = tile.lanes // LANES, ir.Constant(I64, 0), ir.Constant(I64, LANES)
        row_places = _places(builder, sig.args[2], rows, tile.rows)
        column_places = _places(builder, sig.args[4], columns, tile.columns)
        for piece in range(pieces):
            left = builder.sub(count, ir.Constant(I64, piece * LANES))
            left = builder.select(builder.icmp_signed("<", left, full), left, full)
            left = builder.select(builder.icmp_signed(">", left, zero), left, zero)
            mask, nbytes = first_lanes(builder, left, LANES), builder.mul(left, ir.Constant(I64, 4))

            def vector(pointer, value, place, piece=piece, mask=mask, nbytes=nbytes):
                at = builder.add(place, ir.Constant(I64, piece * LANES))
                where = element_address(context, builder, pointer, value, at, VECTOR, nbytes)
                return masked_load(builder, where, mask, VECTOR)

            column = [vector(sig.args[3], b, place) for place in column_places]
            for r, place in enumerate(row_places):
                row = vector(sig.args[1], a, place)
                for c in range(tile.columns):
                    k = (r * tile.columns + c) * pieces + piece
                    old = builder.extract_value(acc, k)
                    sum_ = llvm_call(builder, f"llvm.fma.v{LANES}f32", VECTOR, row, column[c], old)
                    acc = builder.insert_value(acc, _in_turn(builder, sum_), k)
        return acc

    return acc(acc, a, rows, b, columns, count), codegen


def _joined(builder, vectors):
    """Vectors of equal lengths as one."""
    while len(vectors) > 1:
        lanes = 2 * vectors[0].type.count
        mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(lanes)))
        vectors = [builder.shuffle_vector(*vectors[i : i + 2], mask) for i in range(0, len(vectors), 2)]
    return vectors[0]


@intrinsic
def add_sums(typingctx, acc, out, rows, first, last, columns, add):
    """out[r · rows + c] = Σ lanes of acc[r, c] (+ out if add), rows first … last − 1, columns 0 … columns − 1."""

    def codegen(context, builder, sig, args):
        tile = sig.args[0]
        rows, first, last, columns, add = (as_i64(builder, args[i], sig.args[i]) for i in range(2, 7))
        adds, pieces = builder.icmp_signed("!=", add, ir.Constant(I64, 0)), tile.lanes // LANES
        for r in range(tile.rows):
            number = ir.Constant(I64, r)
            wanted = builder.and_(builder.icmp_signed("<=", first, number), builder.icmp_signed("<", number, last))
            for c in range(tile.columns):
                column = ir.Constant(I64, c)
                with builder.if_then(builder.and_(wanted, builder.icmp_signed("<", column, columns))):
                    index = builder.add(builder.mul(rows, number), column)
                    where = element_address(context, builder, sig.args[1], args[1], index, FLOAT)
                    at = (r * tile.columns + c) * pieces
                    vectors = [builder.extract_value(args[0], at + piece) for piece in range(pieces)]
                    value = sum_of_lanes(builder, _joined(builder, vectors))
                    total = builder.select(adds, builder.fadd(builder.load(where), value), value)
                    builder.store(total, where)
        return context.get_dummy_value()

    return types.void(acc, out, rows, first, last, columns, add), codegen
