"""Transposes of blocks of 16 × 16 numbers, by shuffles of vectors."""

import contextlib

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from numbanet.kernels.cpu.simd.pointers import I64, as_i64, element_address
from numbanet.kernels.cpu.simd.vector import I32T, first_lanes, masked_load
from numbanet.kernels.cpu.target import VIRTUAL_LANES, lanes

LANES = lanes()
VECTOR = ir.VectorType(ir.FloatType(), LANES)


def _squares(builder, read, write, columns=None):
    """Transpose a block square by square, so that each square's rows fit into registers; none from ``columns`` on."""
    for j in range(0, VIRTUAL_LANES, LANES):
        wanted = contextlib.nullcontext()
        if columns is not None:
            wanted = builder.if_then(builder.icmp_signed("<", ir.Constant(I64, j), columns))
        with wanted:
            for i in range(0, VIRTUAL_LANES, LANES):
                lines = [read(i + r, j) for r in range(LANES)]
                for r, value in enumerate(_transposed(builder, lines)):
                    write(j + r, i, value)


@intrinsic
def transpose_block(typingctx, out, out_row, x, x_row, rows):
    """out[j · out_row + i] = x[i · x_row + j] for i, j < 16.

    Only the first ``rows`` rows of x are read; the others count as zeros."""

    def codegen(context, builder, sig, args):
        out_row, x_row, rows = (as_i64(builder, args[i], sig.args[i]) for i in (1, 3, 4))
        zero = ir.Constant(I64, 0)

        def read(i, j):
            wanted = builder.icmp_signed("<", ir.Constant(I64, i), rows)
            begin = builder.select(wanted, builder.mul(x_row, ir.Constant(I64, i)), zero)
            index = builder.add(begin, ir.Constant(I64, j))
            value = builder.load(element_address(context, builder, sig.args[2], args[2], index, VECTOR), align=4)
            return builder.select(wanted, value, ir.Constant(VECTOR, None))

        def write(j, i, value):
            index = builder.add(builder.mul(out_row, ir.Constant(I64, j)), ir.Constant(I64, i))
            where = element_address(context, builder, sig.args[0], args[0], index, VECTOR)
            builder.store(value, where, align=4)

        _squares(builder, read, write)
        return context.get_dummy_value()

    return types.void(out, out_row, x, x_row, rows), codegen


@intrinsic
def transpose_corner(typingctx, out, out_row, x, x_row, rows, columns):
    """out[j · out_row + i] = x[i · x_row + j] for i < 16 and j < columns: less than a block.

    Only the first ``rows`` rows of x and ``columns`` of each are read; the other rows count as zeros."""

    def codegen(context, builder, sig, args):
        out_row, x_row, rows, columns = (as_i64(builder, args[i], sig.args[i]) for i in (1, 3, 4, 5))
        zero = ir.Constant(I64, 0)

        def read(i, j):
            number = ir.Constant(I64, i)
            left = builder.sub(columns, ir.Constant(I64, j))
            count = builder.select(builder.icmp_signed("<", number, rows), left, zero)
            index = builder.add(builder.mul(x_row, number), ir.Constant(I64, j))
            count = builder.select(
                builder.icmp_signed("<", count, ir.Constant(I64, LANES)), count, ir.Constant(I64, LANES)
            )
            nbytes = builder.mul(count, ir.Constant(I64, 4))
            where = element_address(context, builder, sig.args[2], args[2], index, VECTOR, nbytes)
            return masked_load(builder, where, first_lanes(builder, count, LANES), VECTOR)

        def write(j, i, value):
            number = ir.Constant(I64, j)
            with builder.if_then(builder.icmp_signed("<", number, columns)):
                index = builder.add(builder.mul(out_row, number), ir.Constant(I64, i))
                where = element_address(context, builder, sig.args[0], args[0], index, VECTOR)
                builder.store(value, where, align=4)

        _squares(builder, read, write, columns)
        return context.get_dummy_value()

    return types.void(out, out_row, x, x_row, rows, columns), codegen


@intrinsic(prefer_literal=True)
def interleave_rows(typingctx, out, x, x_row, rows):
    """out[j · rows + i] = x[i · x_row + j] for i < rows (a constant, at most 8) and j < 8; 8 − rows elements behind
    them are written, too."""
    count = rows.literal_value

    def codegen(context, builder, sig, args):
        kind = ir.VectorType(ir.FloatType(), 8)
        x_row = as_i64(builder, args[2], sig.args[2])
        lines = []
        for i in range(count):
            index = builder.mul(x_row, ir.Constant(I64, i))
            where = element_address(context, builder, sig.args[1], args[1], index, kind)
            lines.append(builder.load(where, align=4))
        lines += [ir.Constant(kind, None)] * (8 - count)
        for j, value in enumerate(_transposed(builder, lines)):
            where = element_address(context, builder, sig.args[0], args[0], ir.Constant(I64, j * count), kind)
            builder.store(value, where, align=4)
        return context.get_dummy_value()

    return types.void(out, x, x_row, rows), codegen


def _transposed(builder, lines):
    """The transpose of a square, by rounds of exchanges of ever smaller blocks."""
    width = len(lines) // 2
    while width:
        lines = _exchange(builder, lines, width)
        width //= 2
    return lines


def _exchange(builder, rows, width):
    """Swap the off-diagonal width × width blocks of each pair of rows that are width apart."""
    count = len(rows)
    lanes, kind = range(count), ir.VectorType(I32T, count)
    upper = ir.Constant(kind, [count + lane - width if lane & width else lane for lane in lanes])
    lower = ir.Constant(kind, [count + lane if lane & width else lane + width for lane in lanes])
    swapped = list(rows)
    for i in lanes:
        if not i & width:
            swapped[i] = builder.shuffle_vector(rows[i], rows[i + width], upper)
            swapped[i + width] = builder.shuffle_vector(rows[i], rows[i + width], lower)
    return swapped
