"""Packing for matrix products: panels of B in a level of their own, tiles of A by the task that multiplies them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu import target
from numbanet.kernels.cpu.arguments import I64_FIELD, unpack
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.prefetch import prefetch
from numbanet.kernels.cpu.simd.tile import LANES
from numbanet.kernels.cpu.simd.vector import interleave_rows, load, load_first, store, transpose_block

ROWS, COLUMNS = {
    (32, 16): (8, 3), (32, 8): (8, 2), (32, 4): (6, 4), (16, 16): (6, 2), (16, 8): (6, 2), (16, 4): (2, 4),
}[target.registers(), LANES]  # fmt: skip
"""The tile: as many accumulators as leave registers for a row of operands, and columns of a multiple of 16."""
PANEL = COLUMNS * LANES
"""Columns of a panel: one tile."""
DEPTH = 256
"""Terms of a chain before it is added to the output: a constant, because the bits depend on it. A panel of B so deep
fills half of the first-level cache."""
GROUP = 4
"""Panels that are packed together."""
PACK_DEPTH = 64
"""Rows of B that a packing task copies."""
PACK_AHEAD = 8
"""Rows of a row-major B that are fetched ahead while one is copied: each lies in another page."""
TILE_SLACK = 16
"""Elements that ``make_pack_tile``'s function may write behind the last tile."""


class Pack(NamedTuple):
    """Arguments of pack_panels."""

    out: F32
    b: F32
    inner: I64_FIELD
    b_outer: I64_FIELD
    b_batch: I64_FIELD
    b_row: I64_FIELD
    b_col: I64_FIELD
    depth: I64_FIELD
    columns: I64_FIELD


@device_function
def place(matrix, inner, outer_stride, batch_stride):
    """Where a matrix of a batch lies: ``inner`` of them by one stride, and these again and again by another."""
    outer = matrix // inner
    return outer * outer_stride + (matrix - outer * inner) * batch_stride


@device_function
def pack_panel(out, b, b_row, b_col, steps, width):
    """out[step][j] = b[step, j] for j < width, 0 up to PANEL, one element after the other."""
    for step in range(steps):
        for j in range(width):
            out[step * PANEL + j] = b[step * b_row + j * b_col]
        for j in range(width, PANEL):
            out[step * PANEL + j] = np.float32(0)


@device_function
def pack_group(out, panel_size, b, b_row, b_col, steps, columns):
    """Panel after panel, ``panel_size`` apart: out[panel][step][j] = b[step, panel · PANEL + j], 0 beyond ``columns``.

    A row-major b is copied row by row, all panels at once: its rows lie in different pages of memory."""
    whole = columns // PANEL
    if b_col == 1:
        for step in range(steps):
            for j in range(0, columns, 16):
                prefetch(b, (step + PACK_AHEAD) * b_row + j)
            for panel in range(whole):
                for j in range(0, PANEL, 16):
                    value = load(b, step * b_row + panel * PANEL + j)
                    store(out, panel * panel_size + step * PANEL + j, value)
    for panel in range(whole if b_col == 1 else 0, (columns + PANEL - 1) // PANEL):
        part, source = out + panel * panel_size, b + panel * PANEL * b_col
        width = min(PANEL, columns - panel * PANEL)
        turned = steps // 16 * 16 if b_row == 1 and width == PANEL else 0
        for j in range(0, PANEL, 16):
            for step in range(0, turned, 16):
                transpose_block(part + (step * PANEL + j), PANEL, source + (step + j * b_col), b_col, 16)
        pack_panel(part + turned * PANEL, source + turned * b_row, b_row, b_col, steps - turned, width)


@kernel(Pack)
def pack_panels(start, stop, row, scratch):
    """out[matrix][panel][k][j] = b[k, panel · PANEL + j], 0 beyond the last column.

    A task is PACK_DEPTH rows of GROUP panels."""
    p = unpack(row, Pack)
    blocks = (p.depth + PACK_DEPTH - 1) // PACK_DEPTH
    panels = (p.columns + PANEL - 1) // PANEL
    groups = (panels + GROUP - 1) // GROUP
    for task in range(start, stop):
        number = task // blocks  # of the group, counted over all matrices
        matrix = number // groups
        panel = (number - matrix * groups) * GROUP
        first = (task - number * blocks) * PACK_DEPTH
        out = p.out + ((matrix * panels + panel) * p.depth + first) * PANEL
        b = p.b + (place(matrix, p.inner, p.b_outer, p.b_batch) + panel * PANEL * p.b_col + first * p.b_row)
        steps, columns = min(PACK_DEPTH, p.depth - first), min(GROUP * PANEL, p.columns - panel * PANEL)
        pack_group(out, p.depth * PANEL, b, p.b_row, p.b_col, steps, columns)
    return 0


def make_pack_tile(rows: int):
    """The device function that packs a tile of this number of rows."""

    def pack_tile(out, a, a_row, a_col, steps):
        """out[step][r] = a[r, step]; up to TILE_SLACK elements behind them are written, too."""
        done = 0
        if a_row == 1:
            for step in range(steps):
                store(out, step * rows, load_first(a, step * a_col, rows))
            done = steps
        elif a_col == 1:
            done = steps // 8 * 8
            for step in range(0, done, 8):
                interleave_rows(out + step * rows, a + step, a_row, rows)
        for step in range(done, steps):
            for r in range(rows):
                out[step * rows + r] = a[r * a_row + step * a_col]

    pack_tile.__qualname__ += f"_{rows}"
    return device_function(pack_tile)
