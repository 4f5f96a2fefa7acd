"""The product of a recurrent step: a few rows of state, kept in scratch memory, with weights packed once a sequence.

Rows are done by tiles of LARGE rows and some of SMALL ones, so that their number is met exactly or nearly so; what they
write beyond the last row stays in the scratch memory. A panel of the weights passes over all rows of the task while it
lies in the first-level cache. Each element is the chain of ``gemm.py``: blocks of DEPTH terms, added in order.
"""

from __future__ import annotations

from numbanet.kernels.cpu.gemm_pack import COLUMNS, DEPTH, GROUP, PACK_DEPTH, PANEL, ROWS, Pack, pack_panels
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.tile import LANES, multiples, outer, store_rows, zeros

LARGE = ROWS
SMALL = min(ROWS, 4)
PAD = 16
"""float32 between the rows of scratch memory beyond their length, lest rows of 2ⁿ elements share the cache's sets."""


@device_function
def multiply_rows(out, out_row, a, a_row, large, small, packed, depth, first, last, columns, add):
    """out[r, j] = Σ a[r, k] · W[k, j] over first ≤ k < last (+ out if add), for large · LARGE + small · SMALL rows.

    ``packed`` holds W (depth, columns) in panels; a begins with the element ``first``."""
    of_large, of_small = multiples(a_row, LARGE), multiples(a_row, SMALL)
    for k in range(first, last, DEPTH):
        steps = min(DEPTH, last - k)
        adds = 1 if k > first else add
        for column in range(0, columns, PANEL):
            b = packed + (column * depth + k * PANEL)
            x, y = a + (k - first), out + column
            for _ in range(large):
                acc = zeros(LARGE, COLUMNS)
                for step in range(steps):
                    acc = outer(acc, x + step, of_large, b + step * PANEL, LANES)
                store_rows(acc, y, out_row, adds, 0)
                x, y = x + LARGE * a_row, y + LARGE * out_row
            for _ in range(small):
                acc = zeros(SMALL, COLUMNS)
                for step in range(steps):
                    acc = outer(acc, x + step, of_small, b + step * PANEL, LANES)
                store_rows(acc, y, out_row, adds, 0)
                x, y = x + SMALL * a_row, y + SMALL * out_row


def tiles(rows: int) -> tuple[int, int]:
    """Large and small tiles that cover this many rows with the least beyond them, and the fewest small ones."""
    counts = [(max(0, -(-(rows - small * SMALL) // LARGE)), small) for small in range(LARGE // SMALL + 2)]
    return min(counts, key=lambda count: (count[0] * LARGE + count[1] * SMALL, count[1]))


def row_of(length: int) -> int:
    """Elements from one row of scratch memory to the next, for rows of this length."""
    return -(-length // PANEL) * PANEL + PAD


def packed_weight(program, weight, rows: int, columns: int, row: int, column: int, offset: int = 0):
    """Panels of weight[offset + k · row + j · column], k < rows, j < columns, made by a level of their own."""
    panels = -(-columns // PANEL)
    packed = program.workspace((panels, rows, PANEL))
    source = weight.view((weight.size - offset,), None, weight.offset + offset)
    tasks = -(-panels // GROUP) * -(-rows // PACK_DEPTH)
    program.append(pack_panels, tasks, Pack(packed, source, 1, 0, 0, row, column, rows, columns))
    return packed
