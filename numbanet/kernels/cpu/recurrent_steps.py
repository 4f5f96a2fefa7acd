"""What the recurrent kernels share: their arguments, the rows that count, and states in scratch memory.

A task walks the whole sequence for some rows of the batch, so threads never wait for each other between two steps.
Row b of the batch counts at the times t < lengths[b]; at the others its state stays and its output is 0. A length of 0
leaves all as it was, and one beyond the last time is cut to it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, is_null
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.recurrent_product import LARGE, SMALL
from numbanet.kernels.cpu.simd.pointers import F32, INT64
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import load, splat, store

ONE = np.float32(1)


class Steps(NamedTuple):
    """A walk forward; sizes: ``steps`` (t), ``batch`` (b), ``hidden`` (h), ``rows`` of a task, covered by tiles.

    Where the cell has no such thing, a pointer is null. ``gates`` (t, b, gates · h) comes with the products of the
    inputs and leaves with what the backward pass needs. ``packed`` and ``packed_n`` are panels of the weights.

    With ``tokens`` (t, b) the products of an input are fetched from the row that its token names of ``table``
    (``rows_of_table``, gates · h)."""

    out: F32
    h_n: F32
    c_n: F32
    gates: F32
    cells: F32
    h0: F32
    c0: F32
    bias: F32
    packed: F32
    packed_n: F32
    lengths: INT64
    table: F32
    tokens: INT64
    rows_of_table: I64_FIELD
    steps: I64_FIELD
    batch: I64_FIELD
    hidden: I64_FIELD
    rows: I64_FIELD
    large: I64_FIELD
    small: I64_FIELD
    state_row: I64_FIELD
    gate_row: I64_FIELD
    reverse: I64_FIELD
    rectified: I64_FIELD


class BackSteps(NamedTuple):
    """A walk backward. ``dgates`` (t, b, gates · h) is the gradient before the gates' functions, ``previous`` (t, b, h)
    the states before each step: what the products for the weights take, 0 in rows that do not count.

    It goes through the steps end − 1 … begin; ``dgates_row`` is from one row of dgates to the next."""

    h0_out: F32
    c0_out: F32
    dgates: F32
    previous: F32
    grad: F32
    grad_h: F32
    grad_c: F32
    out: F32
    gates: F32
    cells: F32
    h0: F32
    c0: F32
    packed: F32
    packed_n: F32
    lengths: INT64
    steps: I64_FIELD
    begin: I64_FIELD
    end: I64_FIELD
    batch: I64_FIELD
    hidden: I64_FIELD
    rows: I64_FIELD
    large: I64_FIELD
    small: I64_FIELD
    state_row: I64_FIELD
    gate_row: I64_FIELD
    dgates_row: I64_FIELD
    reverse: I64_FIELD
    rectified: I64_FIELD


@device_function
def time_of(p, step):
    """The time of a step of the walk forward."""
    return p.steps - 1 - step if p.reverse else step


@device_function
def counts(p, t, b):
    """Whether row b has an element at time t."""
    return is_null(p.lengths) or t < p.lengths[b]


@device_function
def any_counts(p, t, first, count):
    """Whether one of the rows first … first + count − 1 has an element at time t."""
    found = is_null(p.lengths)
    if not found:
        for b in range(first, first + count):
            found = found or t < p.lengths[b]
    return found


@device_function
def all_in_table(p, first, count):
    """Whether all tokens of the rows first … first + count − 1 name rows of the table."""
    found = True
    if not is_null(p.tokens):
        for t in range(p.steps):
            for b in range(first, first + count):
                found = found and 0 <= p.tokens[t * p.batch + b] < p.rows_of_table
    return found


@device_function
def look_up(p, out, line, size):
    """out = the products of the input at a place, if they are in the table; ``size`` of them."""
    if not is_null(p.tokens):
        products = p.table + p.tokens[line] * size
        for j in range(0, size, 16):
            store_upto(out, j, load_upto(products, j, size - j), size - j)


@device_function
def before(p, states, first_state, t, b):
    """The state (h,) of row b before time t, among states (t, b, h), or ``first_state`` (b, h) where it begins."""
    begin = 0
    if p.reverse:
        begin = p.steps - 1 if is_null(p.lengths) else min(p.lengths[b], p.steps) - 1
    at = t + 1 if p.reverse else t - 1
    return first_state + b * p.hidden if t == begin else states + (at * p.batch + b) * p.hidden


@device_function
def tile_rows(p):
    """Rows of scratch memory: those of the task, and what the tiles write beyond them."""
    return p.large * LARGE + p.small * SMALL


@device_function
def clear(x, size):
    """x = 0; size elements, of which the last vector may be less than whole."""
    zero = splat(np.float32(0))
    for i in range(0, size, 16):
        store_upto(x, i, zero, size - i)


@device_function
def fetch(out, x, size):
    """out = x, or 0 if x is null; out has room for whole vectors."""
    for i in range(0, size, 16):
        store(out, i, splat(np.float32(0)) if is_null(x) else load_upto(x, i, size - i))


@device_function
def hand_back(out, x, size):
    """out = x; x may be read in whole vectors."""
    for i in range(0, size, 16):
        store_upto(out, i, load(x, i), size - i)


@device_function
def row_or_null(x, row):
    """x + row, or null if x is."""
    return x if is_null(x) else x + row


@device_function
def biased(p, product, at, n):
    """A vector of the recurrent product (in scratch memory) and its bias."""
    value = load(product, at)
    return value if is_null(p.bias) else value + load_upto(p.bias, at, n)


@device_function
def slope_of_sigmoid(y):
    """y · (1 − y)."""
    return y * (splat(ONE) - y)


@device_function
def slope_of_tanh(y):
    """1 − y²."""
    return splat(ONE) - y * y


@device_function
def incoming(p, carried, line, j, n):
    """The gradient for the output of one step: from the steps behind it, and from outside."""
    value = load(carried, j)
    return value if is_null(p.grad) else value + load_upto(p.grad, line * p.hidden + j, n)
