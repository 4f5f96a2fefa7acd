"""The steps of a GRU, forward and backward: r, z = σ(·), n = tanh(·), h ← n + z·(h − n).

The reset gate acts after the product, n = tanh(x-part + r·(U h + b)), or before it, n = tanh(x-part + U (r·h) + b);
then a step has two products. ``gates`` (t, b, 4h) keeps r, z, n and, as the fourth, U h + b or r·h. The gradients of
the first form are r, z, that for U h + b, and n.
"""

from __future__ import annotations

from numbanet.kernels.cpu.arguments import is_null, unpack, workspace
from numbanet.kernels.cpu.embedding import OUT_OF_RANGE
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.recurrent_product import multiply_rows
from numbanet.kernels.cpu.recurrent_steps import (
    ONE,
    BackSteps,
    Steps,
    all_in_table,
    any_counts,
    before,
    biased,
    clear,
    counts,
    fetch,
    hand_back,
    incoming,
    look_up,
    row_or_null,
    slope_of_sigmoid,
    slope_of_tanh,
    tile_rows,
    time_of,
)
from numbanet.kernels.cpu.simd.activation import sigmoid, tanh
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import fma, load, splat, store


@device_function
def reset_and_update(p, state, product, resets, line):
    """r and z of one row of one step; if the reset gate acts before the product, r·h is left at ``resets``."""
    size = p.hidden
    gates = p.gates + line * 4 * size
    for j in range(0, size, 16):
        n = size - j
        r = sigmoid(load_upto(gates, j, n) + biased(p, product, j, n))
        z = sigmoid(load_upto(gates, size + j, n) + biased(p, product, size + j, n))
        store_upto(gates, j, r, n)
        store_upto(gates, size + j, z, n)
        if not is_null(p.packed_n):
            reset = r * load(state, j)
            store(resets, j, reset)
            store_upto(gates, 3 * size + j, reset, n)


@device_function
def candidate(p, state, product, line):
    """n and h of one row of one step; product + j is what belongs to n."""
    size = p.hidden
    gates, out = p.gates + line * 4 * size, p.out + line * size
    for j in range(0, size, 16):
        count = size - j
        inner = load(product, j)
        if not is_null(p.bias):
            inner = inner + load_upto(p.bias, 2 * size + j, count)
        if is_null(p.packed_n):
            store_upto(gates, 3 * size + j, inner, count)
            inner = load_upto(gates, j, count) * inner
        n = tanh(load_upto(gates, 2 * size + j, count) + inner)
        h = fma(load_upto(gates, size + j, count), load(state, j) - n, n)
        store_upto(gates, 2 * size + j, n, count)
        store(state, j, h)
        store_upto(out, j, h, count)


@device_function
def gru_step(p, states, resets, products, t, first, count):
    """Time t of the rows of a task: one product with the packed weights, or two, and the gates, row by row."""
    active, size = any_counts(p, t, first, count), p.hidden
    for phase in range(1 if is_null(p.packed_n) else 2):
        columns = 3 * size if is_null(p.packed_n) else size if phase else 2 * size
        if active:
            multiply_rows(
                products, p.gate_row, resets if phase else states, p.state_row, p.large, p.small,
                p.packed_n if phase else p.packed, size, 0, size, columns, 0,
            )  # fmt: skip
        for r in range(count):
            line = t * p.batch + first + r
            state, product = states + r * p.state_row, products + r * p.gate_row
            if not counts(p, t, first + r):
                clear(p.out + line * size, size)
                clear(p.gates + line * 4 * size, 4 * size)
            else:
                if phase == 0:
                    reset_and_update(p, state, product, resets + r * p.state_row, line)
                if phase == 1 or is_null(p.packed_n):
                    candidate(p, state, product if phase else product + 2 * size, line)


@kernel(Steps)
def gru_steps(start, stop, row, scratch):
    """All steps of the rows of a task."""
    p = unpack(row, Steps)
    states = workspace(row, scratch)
    resets = states + tile_rows(p) * p.state_row
    products = resets if is_null(p.packed_n) else resets + tile_rows(p) * p.state_row
    for task in range(start, stop):
        first = task * p.rows
        count = min(p.rows, p.batch - first)
        if not all_in_table(p, first, count):
            return OUT_OF_RANGE
        clear(states, (tile_rows(p) if is_null(p.packed_n) else 2 * tile_rows(p)) * p.state_row)
        for r in range(count):
            fetch(states + r * p.state_row, p.h0 + (first + r) * p.hidden, p.hidden)
        for step in range(p.steps):
            t = time_of(p, step)
            for line in range(t * p.batch + first, t * p.batch + first + count):
                look_up(p, p.gates + line * 4 * p.hidden, line, 3 * p.hidden)
            gru_step(p, states, resets, products, t, first, count)
        for r in range(count):
            hand_back(p.h_n + (first + r) * p.hidden, states + r * p.state_row, p.hidden)
    return 0


@device_function
def candidate_gradient(p, carried, dgates, t, b):
    """The gradients of n and z of one row of one step; ``carried`` keeps what passes the gates by, (∂h)·z.

    If the reset gate acts after the product, those of r and of U h + b, too."""
    size, line = p.hidden, t * p.batch + b
    gates, out = p.gates + line * 4 * size, p.dgates + line * p.dgates_row
    h = before(p, p.out, p.h0, t, b)
    for j in range(0, size, 16):
        count = size - j
        z, n = load_upto(gates, size + j, count), load_upto(gates, 2 * size + j, count)
        dh, h_before = incoming(p, carried, line, j, count), load_upto(h, j, count)
        dn = dh * (splat(ONE) - z) * slope_of_tanh(n)
        dz = dh * (h_before - n) * slope_of_sigmoid(z)
        store(carried, j, dh * z)
        store_upto(p.previous, line * size + j, h_before, count)
        store_upto(dgates, size + j, dz, count)
        store_upto(out, size + j, dz, count)
        if is_null(p.packed_n):
            r = load_upto(gates, j, count)
            dr = dn * load_upto(gates, 3 * size + j, count) * slope_of_sigmoid(r)
            store_upto(dgates, j, dr, count)
            store_upto(out, j, dr, count)
            store_upto(out, 3 * size + j, dn, count)
            dn = dn * r
        store_upto(dgates, 2 * size + j, dn, count)
        store_upto(out, 2 * size + j, dn, count)


@device_function
def reset_gradient(p, carried, product, dgates, t, b):
    """The gradient of r of one row of one step from that of r·h, if the reset gate acts before the product."""
    size, line = p.hidden, t * p.batch + b
    gates = p.gates + line * 4 * size
    for j in range(0, size, 16):
        n = size - j
        r, d = load_upto(gates, j, n), load(product, j)
        dr = d * load_upto(p.previous, line * size + j, n) * slope_of_sigmoid(r)
        store(carried, j, fma(d, r, load(carried, j)))
        store_upto(dgates, j, dr, n)
        store_upto(p.dgates, line * p.dgates_row + j, dr, n)


@device_function
def gru_step_backward(p, dgates, states, products, t, first, count):
    """Time t of the rows of a task: the gates' gradients, then their product with the weights, added to ``states``.

    If the reset gate acts before the product: n, its product with U, r, and the product of r and z."""
    size, after = p.hidden, is_null(p.packed_n)
    width = 4 * size if after else 3 * size
    active = any_counts(p, t, first, count)
    for r in range(count):
        line = t * p.batch + first + r
        if counts(p, t, first + r):
            candidate_gradient(p, states + r * p.state_row, dgates + r * p.gate_row, t, first + r)
        else:
            clear(dgates + r * p.gate_row, 3 * size)
            clear(p.dgates + line * p.dgates_row, width)
            clear(p.previous + line * size, size)
    for phase in range(0 if after else 1, -1, -1):
        if active:
            multiply_rows(
                products if phase else states, p.state_row, dgates + 2 * size if phase else dgates, p.gate_row,
                p.large, p.small, p.packed_n if phase else p.packed, size if phase else width - size,
                0, size if phase else 3 * size if after else 2 * size, size, 1 - phase,
            )  # fmt: skip
        for r in range(count if phase else 0):
            if counts(p, t, first + r):
                reset_gradient(
                    p, states + r * p.state_row, products + r * p.state_row, dgates + r * p.gate_row, t,
                    first + r,
                )  # fmt: skip


@kernel(BackSteps)
def gru_steps_backward(start, stop, row, scratch):
    """All steps of the rows of a task, the last first."""
    p = unpack(row, BackSteps)
    dgates = workspace(row, scratch)
    states = dgates + tile_rows(p) * p.gate_row
    products = states + tile_rows(p) * p.state_row
    size, after = p.hidden, is_null(p.packed_n)
    for task in range(start, stop):
        first = task * p.rows
        count = min(p.rows, p.batch - first)
        clear(dgates, tile_rows(p) * (p.gate_row + (1 if after else 2) * p.state_row))
        for r in range(count):
            fetch(states + r * p.state_row, row_or_null(p.grad_h, (first + r) * size), size)
        for step in range(p.end - 1, p.begin - 1, -1):
            gru_step_backward(p, dgates, states, products, time_of(p, step), first, count)
        for r in range(count):
            hand_back(p.h0_out + (first + r) * size, states + r * p.state_row, size)
    return 0
