"""What pools of 2 × 2 that lie side by side share, maxima and means: how far vectors may run over the ends of rows."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.pool_rows import fill, safe_rows

NARROW = 8
"""Rows of up to so many outputs are done in pairs, half a vector each."""


@device_function
def planes_apart(p, count):
    """In how many pieces ``count`` planes are gone over, and the rows of windows of each.

    Planes of an even height follow each other like the rows of one."""
    planes = count if p.height % 2 else 1
    return planes, p.out_height * (count // planes)


@device_function
def rows_at_once(out_width):
    """Rows of windows that a step does."""
    return 2 if out_width <= NARROW else 1


@device_function
def fast_rows(rows, width, out_width, x_size, out_size):
    """How many of ``rows`` rows of windows can be done by whole vectors, which run on over the end of a row: no access
    leaves x_size and out_size elements."""
    reach = (out_width + 15) // 16 * 16 if out_width > NARROW else NARROW
    fast = min(safe_rows(rows, out_width, reach, out_size), safe_rows(rows, 2 * width, width + 2 * reach, x_size))
    step = rows_at_once(out_width)
    return fast // step * step


@device_function
def clear_last_column(x, width, out_width, first, last):
    """x[line, width − 1] = 0 for the lines first … last − 1, if no window has that column."""
    if width > 2 * out_width:
        for line in range(first, last):
            x[line * width + width - 1] = np.float32(0)


@device_function
def clear_last_line(p, x, rows):
    """The line of x behind ``rows`` rows of windows = 0, if a plane has one."""
    fill(x, 2 * rows * p.width, 2 * rows * p.width + p.height % 2 * p.width, np.float32(0))
