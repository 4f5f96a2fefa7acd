"""Register tiles that begin with what lies in memory, and go back there whole: sums that go on over several blocks."""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from numbanet.kernels.cpu import target
from numbanet.kernels.cpu.simd.pointers import I64, as_i64, element_address
from numbanet.kernels.cpu.simd.tile import FLOAT, LANES, VECTOR, Tile, _in_turn, _llvm_tile, _places
from numbanet.kernels.cpu.simd.vector import broadcast, llvm_call


def _each(context, builder, pointer, value, row_places, columns):
    """Addresses of the vectors of a tile in memory, row after row."""
    for place in row_places:
        for c in range(columns):
            at = builder.add(place, ir.Constant(I64, c * LANES))
            yield element_address(context, builder, pointer, value, at, VECTOR)


@intrinsic(prefer_literal=True)
def load_tile(typingctx, source, row, rows, columns):
    """The tile source[r · row + j]; rows and columns (in vectors) are constants."""
    tile = Tile(rows.literal_value, columns.literal_value)

    def codegen(context, builder, sig, args):
        places = _places(builder, sig.args[1], args[1], tile.rows)
        acc = ir.Constant(_llvm_tile(tile), ir.Undefined)
        for k, where in enumerate(_each(context, builder, sig.args[0], args[0], places, tile.columns)):
            acc = builder.insert_value(acc, builder.load(where, align=4), k)
        return acc

    return tile(source, row, rows, columns), codegen


@intrinsic(prefer_literal=True)
def load_sums(typingctx, source, rows):
    """A tile for ``inner``: row r begins with the 16 virtual lanes source[16 · r :]; rows is a constant."""
    tile = Tile(rows.literal_value, 1, target.VIRTUAL_LANES)

    def codegen(context, builder, sig, args):
        acc = ir.Constant(_llvm_tile(tile), ir.Undefined)
        for k, where in enumerate(_each(context, builder, sig.args[0], args[0], *_as_one_row(tile))):
            acc = builder.insert_value(acc, builder.load(where, align=4), k)
        return acc

    return tile(source, rows), codegen


@intrinsic
def store_sums(typingctx, acc, out):
    """out[16 · r :] = the 16 virtual lanes of row r of a tile of one column."""

    def codegen(context, builder, sig, args):
        for k, where in enumerate(_each(context, builder, sig.args[1], args[1], *_as_one_row(sig.args[0]))):
            builder.store(builder.extract_value(args[0], k), where, align=4)
        return context.get_dummy_value()

    return types.void(acc, out), codegen


def _as_one_row(tile):
    """Where the rows of a tile of one column lie, as one row of vectors."""
    return [ir.Constant(I64, 0)], tile.rows * tile.lanes // LANES


@intrinsic
def scale_rows(typingctx, acc, factors):
    """acc[r, c] · factors[r] in all lanes."""

    def codegen(context, builder, sig, args):
        tile, acc = sig.args[0], args[0]
        for r in range(tile.rows):
            scalar = builder.load(element_address(context, builder, sig.args[1], args[1], ir.Constant(I64, r), FLOAT))
            factor = broadcast(builder, scalar, LANES)
            for c in range(tile.columns):
                k = r * tile.columns + c
                acc = builder.insert_value(acc, builder.fmul(builder.extract_value(acc, k), factor), k)
        return acc

    return acc(acc, factors), codegen


@intrinsic
def add_multiple(typingctx, acc, a, source, row):
    """acc[r, c] += a[0] · source[row(r) + c · LANES : + LANES]: one number times a block of memory."""

    def codegen(context, builder, sig, args):
        tile, acc = sig.args[0], args[0]
        scalar = builder.load(element_address(context, builder, sig.args[1], args[1], ir.Constant(I64, 0), FLOAT))
        factor = broadcast(builder, scalar, LANES)
        places = _places(builder, sig.args[3], args[3], tile.rows)
        for k, where in enumerate(_each(context, builder, sig.args[2], args[2], places, tile.columns)):
            value, old = builder.load(where, align=4), builder.extract_value(acc, k)
            sum_ = llvm_call(builder, f"llvm.fma.v{LANES}f32", VECTOR, factor, value, old)
            acc = builder.insert_value(acc, _in_turn(builder, sum_), k)
        return acc

    return acc(acc, a, source, row), codegen


@intrinsic
def store_whole(typingctx, acc, out, row):
    """out[r · row + j] = acc[r, j]: all of the tile."""

    def codegen(context, builder, sig, args):
        tile = sig.args[0]
        row = as_i64(builder, args[2], sig.args[2])
        places = _places(builder, types.int64, row, tile.rows)
        for k, where in enumerate(_each(context, builder, sig.args[1], args[1], places, tile.columns)):
            builder.store(builder.extract_value(args[0], k), where, align=4)
        return context.get_dummy_value()

    return types.void(acc, out, row), codegen


@intrinsic(prefer_literal=True)
def add_multiple_to(typingctx, out, row, a, source, rows, columns):
    """out[row(r) + j] += a[0] · source[r · columns · LANES + j]: rows of so many vectors, which follow each other in
    ``source``; rows and columns are constants. Vector by vector, so that many of them need few registers."""
    tile = Tile(rows.literal_value, columns.literal_value)

    def codegen(context, builder, sig, args):
        scalar = builder.load(element_address(context, builder, sig.args[2], args[2], ir.Constant(I64, 0), FLOAT))
        factor = broadcast(builder, scalar, LANES)
        places = _places(builder, sig.args[1], args[1], tile.rows)
        for k, where in enumerate(_each(context, builder, sig.args[0], args[0], places, tile.columns)):
            at = element_address(context, builder, sig.args[3], args[3], ir.Constant(I64, k * LANES), VECTOR)
            value, old = builder.load(at, align=4), builder.load(where, align=4)
            builder.store(llvm_call(builder, f"llvm.fma.v{LANES}f32", VECTOR, factor, value, old), where, align=4)
        return context.get_dummy_value()

    return types.void(out, row, a, source, rows, columns), codegen
