"""The steps of an LSTM, forward and backward: i, f, o = σ(·), g = tanh(·), c ← f·c + i·g, h = o·tanh(c)."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import unpack, workspace
from numbanet.kernels.cpu.embedding import OUT_OF_RANGE
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.recurrent_product import multiply_rows
from numbanet.kernels.cpu.recurrent_steps import (
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
def lstm_cell(p, state, cell, product, line):
    """One row of one step: gates, cell and output; ``state`` (in scratch memory) and ``cell`` become the new ones."""
    size = p.hidden
    gates, cells, out = p.gates + line * 4 * size, p.cells + line * size, p.out + line * size
    for j in range(0, size, 16):
        n = size - j
        i = sigmoid(load_upto(gates, j, n) + biased(p, product, j, n))
        f = sigmoid(load_upto(gates, size + j, n) + biased(p, product, size + j, n))
        g = tanh(load_upto(gates, 2 * size + j, n) + biased(p, product, 2 * size + j, n))
        o = sigmoid(load_upto(gates, 3 * size + j, n) + biased(p, product, 3 * size + j, n))
        store_upto(gates, j, i, n)
        store_upto(gates, size + j, f, n)
        store_upto(gates, 2 * size + j, g, n)
        store_upto(gates, 3 * size + j, o, n)
        c = fma(f, load_upto(cell, j, n), i * g)
        store_upto(cell, j, c, n)
        store_upto(cells, j, c, n)
        h = o * tanh(c)
        store(state, j, h)
        store_upto(out, j, h, n)


@kernel(Steps)
def lstm_steps(start, stop, row, scratch):
    """All steps of the rows of a task: a product with the packed weights, then the gates, row by row."""
    p = unpack(row, Steps)
    states = workspace(row, scratch)
    products = states + tile_rows(p) * p.state_row
    for task in range(start, stop):
        first = task * p.rows
        count = min(p.rows, p.batch - first)
        if not all_in_table(p, first, count):
            return OUT_OF_RANGE
        clear(states, tile_rows(p) * p.state_row)
        for r in range(count):
            at = (first + r) * p.hidden
            fetch(states + r * p.state_row, p.h0 + at, p.hidden)
            for j in range(0, p.hidden, 16):
                store_upto(p.c_n, at + j, load_upto(p.c0, at + j, p.hidden - j), p.hidden - j)
        for step in range(p.steps):
            t = time_of(p, step)
            if any_counts(p, t, first, count):
                multiply_rows(
                    products, p.gate_row, states, p.state_row, p.large, p.small, p.packed, p.hidden, 0, p.hidden,
                    4 * p.hidden, 0,
                )  # fmt: skip
            for r in range(count):
                b = first + r
                line = t * p.batch + b
                if counts(p, t, b):
                    look_up(p, p.gates + line * 4 * p.hidden, line, 4 * p.hidden)
                    lstm_cell(p, states + r * p.state_row, p.c_n + b * p.hidden, products + r * p.gate_row, line)
                else:
                    clear(p.out + line * p.hidden, p.hidden)
                    clear(p.cells + line * p.hidden, p.hidden)
                    clear(p.gates + line * 4 * p.hidden, 4 * p.hidden)
        for r in range(count):
            hand_back(p.h_n + (first + r) * p.hidden, states + r * p.state_row, p.hidden)
    return 0


@device_function
def lstm_cell_gradient(p, carried, carried_c, dgates, t, b):
    """One row of one step: the gradient before the gates' functions, in memory and in scratch memory.

    ``carried`` and ``carried_c`` hold the gradients for the state and the cell; of the former only what does not pass
    through the gates is left, which is nothing."""
    size, line = p.hidden, t * p.batch + b
    gates, cells, out = p.gates + line * 4 * size, p.cells + line * size, p.dgates + line * p.dgates_row
    h, c_before = before(p, p.out, p.h0, t, b), before(p, p.cells, p.c0, t, b)
    for j in range(0, size, 16):
        n = size - j
        i, f = load_upto(gates, j, n), load_upto(gates, size + j, n)
        g, o = load_upto(gates, 2 * size + j, n), load_upto(gates, 3 * size + j, n)
        dh = incoming(p, carried, line, j, n)
        c = tanh(load_upto(cells, j, n))
        dc = fma(dh * o, slope_of_tanh(c), load(carried_c, j))
        di = dc * g * slope_of_sigmoid(i)
        df = dc * load_upto(c_before, j, n) * slope_of_sigmoid(f)
        dg = dc * i * slope_of_tanh(g)
        do = dh * c * slope_of_sigmoid(o)
        store(carried_c, j, dc * f)
        store(carried, j, splat(np.float32(0)))
        store_upto(p.previous, line * size + j, load_upto(h, j, n), n)
        store_upto(dgates, j, di, n)
        store_upto(dgates, size + j, df, n)
        store_upto(dgates, 2 * size + j, dg, n)
        store_upto(dgates, 3 * size + j, do, n)
        store_upto(out, j, di, n)
        store_upto(out, size + j, df, n)
        store_upto(out, 2 * size + j, dg, n)
        store_upto(out, 3 * size + j, do, n)


@kernel(BackSteps)
def lstm_steps_backward(start, stop, row, scratch):
    """All steps of the rows of a task, the last first: the gates' gradients, then their product with the weights."""
    p = unpack(row, BackSteps)
    dgates = workspace(row, scratch)
    states = dgates + tile_rows(p) * p.gate_row
    cells = states + tile_rows(p) * p.state_row
    for task in range(start, stop):
        first = task * p.rows
        count = min(p.rows, p.batch - first)
        clear(dgates, tile_rows(p) * (p.gate_row + 2 * p.state_row))
        for r in range(count):
            at = (first + r) * p.hidden
            fetch(states + r * p.state_row, row_or_null(p.grad_h, at), p.hidden)
            fetch(cells + r * p.state_row, row_or_null(p.grad_c, at), p.hidden)
        for step in range(p.end - 1, p.begin - 1, -1):
            t = time_of(p, step)
            for r in range(count):
                b = first + r
                line = t * p.batch + b
                if counts(p, t, b):
                    lstm_cell_gradient(
                        p, states + r * p.state_row, cells + r * p.state_row, dgates + r * p.gate_row, t, b
                    )
                else:
                    clear(dgates + r * p.gate_row, 4 * p.hidden)
                    clear(p.dgates + line * p.dgates_row, 4 * p.hidden)
                    clear(p.previous + line * p.hidden, p.hidden)
            if any_counts(p, t, first, count):
                multiply_rows(
                    states, p.state_row, dgates, p.gate_row, p.large, p.small, p.packed, 4 * p.hidden, 0, 4 * p.hidden,
                    p.hidden, 1,
                )  # fmt: skip
        for r in range(count):
            at = (first + r) * p.hidden
            hand_back(p.h0_out + at, states + r * p.state_row, p.hidden)
            hand_back(p.c0_out + at, cells + r * p.state_row, p.hidden)
    return 0
