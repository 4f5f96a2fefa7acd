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
from numbanet.kernels.cpu.simd.transpose import interleave_rows, transpose_block, transpose_corner
from numbanet.kernels.cpu.simd.vector import load, load_first, store

ROWS, COLUMNS = {
    (32, 16): (8, 2), (32, 8): (8, 2), (32, 4): (6, 4), (16, 16): (6, 2), (16, 8): (6, 2), (16, 4): (2, 4),
}[target.registers(), LANES]  # fmt: skip
"""The tile: as many accumulators as leave registers for a row of operands, and columns of a multiple of 16."""
PANEL = COLUMNS * LANES
"""Columns of a panel: one tile."""
DEPTH = 256
"""Terms of a chain before it is added to the output: a constant, because the bits depend on it. A panel of B so deep
fills half of the first-level cache."""
SIZE = DEPTH * PANEL
"""float32 of a packed panel."""
SMALL = 1 << 17
"""Multiply-adds below which waking a thread costs more than it saves."""
GROUP = 4
"""Panels that are packed together."""
PACK_DEPTH = 64
"""Rows of B that a packing task copies."""
FEW_STEPS = 32
"""Rows of a row-major B that are copied before the next panel's part of them."""
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
def pack_group(out, panel_size, b, b_row, b_col, steps, columns):
    """Panel after panel, ``panel_size`` apart: out[panel][step][j] = b[step, panel · PANEL + j], 0 beyond ``columns``.

    A row-major b is copied a few rows at a time, all panels at once: its rows lie in different pages of memory."""
    panels = (columns + PANEL - 1) // PANEL
    at_once = FEW_STEPS if b_col == 1 else steps
    for step in range(0, steps, at_once):
        few = min(at_once, steps - step)
        for panel in range(panels):
            for j in range(0, PANEL, 16):
                column = panel * PANEL + j
                to, source = out + (panel * panel_size + step * PANEL + j), b + (step * b_row + column * b_col)
                if b_col == 1:
                    copy_columns(to, source, b_row, few, columns - column)
                else:
                    turn_columns(to, source, b_row, b_col, few, columns - column)


@device_function
def copy_columns(out, b, b_row, steps, width):
    """out[step · PANEL + j] = b[step, j] for j < 16, 0 beyond ``width``, of columns that lie next to each other."""
    if width >= 16:
        for step in range(steps):
            prefetch(b, (step + PACK_AHEAD) * b_row)
            store(out, step * PANEL, load(b, step * b_row))
    else:
        for step in range(steps):
            prefetch(b, (step + PACK_AHEAD) * b_row)
            store(out, step * PANEL, load_first(b, step * b_row, width))


@device_function
def turn_columns(out, b, b_row, b_col, steps, width):
    """out[step · PANEL + j] = b[step, j] for j < 16, 0 beyond ``width``, of columns that lie apart."""
    turned = 0
    if b_row == 1:
        turned = steps // 16 * 16 if width >= 16 else 0
        for step in range(0, turned, 16):
            transpose_block(out + step * PANEL, PANEL, b + step, b_col, 16)
        for step in range(turned, steps, 16):
            transpose_corner(out + step * PANEL, PANEL, b + step, b_col, width, min(16, steps - step))
    else:
        for step in range(steps):
            for j in range(16):
                out[step * PANEL + j] = b[step * b_row + j * b_col] if j < width else np.float32(0)


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
