"""Register tiles that begin with what lies in memory, and go back there whole: sums that go on over several blocks."""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from numbanet.kernels.cpu.simd.pointers import I64, as_i64, element_address
from numbanet.kernels.cpu.simd.tile import FLOAT, LANES, VECTOR, Tile, _llvm_tile, _places
from numbanet.kernels.cpu.simd.vector import broadcast


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
