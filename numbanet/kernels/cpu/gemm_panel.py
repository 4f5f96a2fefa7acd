"""A panel of a product: tiles below each other that pass over a panel of B while it lies in the first-level cache."""

from __future__ import annotations

from numbanet.kernels.cpu.arguments import is_null
from numbanet.kernels.cpu.gemm_pack import DEPTH, PANEL
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.prefetch import prefetch, prefetch_second
from numbanet.kernels.cpu.simd.tile import LANES, add_bias_columns, outer, store_tile, zeros


@device_function
def fetch_part(b, begin, count):
    """Have b[begin : begin + count] fetched into the second-level cache."""
    for i in range(begin, begin + count, 16):
        prefetch_second(b, i)


def make_panel(rows: int, columns: int):
    """The device function that multiplies a panel of so many vectors, by tiles of this number of rows."""

    def multiply_panel(
        p, a_place, out_place, tiles, where, top, bottom, b, b_row, part, begin, k, skip, end, add, again
    ):
        """The tiles below each other, for the terms from k on; ``part`` of the next panel is fetched before each.

        The first column is ``begin``, those from ``skip`` to ``end`` are stored; ``again`` if others may be, too."""
        steps = min(DEPTH, p.depth - k)
        activation = p.activation if k + steps == p.depth else 0
        for line in range(top, bottom, rows):
            if part > 0:
                fetch_part(b, p.depth * PANEL + (line - top) // rows * part, part)
            first = max(0, min(line, p.rows - rows))
            if add:
                for r in range(rows):
                    prefetch(p.out, out_place + (first + r) * p.out_row + begin)
            acc = zeros(rows, columns)
            if p.packs_a:
                a = tiles + (line - top) * steps
                for step in range(steps):
                    acc = outer(acc, a + step * rows, 1, b + step * b_row, LANES)
            else:
                a = p.a + (a_place + first * p.a_row + k * p.a_col)
                for step in range(steps):
                    acc = outer(acc, a + step * p.a_col, where, b + step * b_row, LANES)
            if k == 0 and not is_null(p.bias):
                acc = add_bias_columns(acc, p.bias + begin, skip, end)
            out, top_row = p.out + (out_place + first * p.out_row + begin), line - first
            if again and first >= top:
                top_row = 0
            store_tile(acc, out, p.out_row, top_row, min(rows, bottom - first), skip, end, add, activation)

    multiply_panel.__qualname__ += f"_{rows}x{columns}"
    return device_function(multiply_panel, inlined=True)
