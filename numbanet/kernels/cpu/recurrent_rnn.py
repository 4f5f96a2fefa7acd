"""The steps of a simple recurrent network, forward and backward: h ← tanh(·) or max(·, 0)."""

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
    slope_of_tanh,
    tile_rows,
    time_of,
)
from numbanet.kernels.cpu.simd.activation import tanh
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import select, splat, store


@device_function
def rnn_cell(p, state, product, line):
    """One row of one step; out comes with the product of the input."""
    out, zero = p.out + line * p.hidden, splat(np.float32(0))
    for j in range(0, p.hidden, 16):
        n = p.hidden - j
        h = load_upto(out, j, n) + biased(p, product, j, n)
        h = select(h < zero, zero, h) if p.rectified else tanh(h)
        store(state, j, h)
        store_upto(out, j, h, n)


@kernel(Steps)
def rnn_steps(start, stop, row, scratch):
    """All steps of the rows of a task: a product with the packed weights, then the activation, row by row."""
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
            fetch(states + r * p.state_row, p.h0 + (first + r) * p.hidden, p.hidden)
        for step in range(p.steps):
            t = time_of(p, step)
            if any_counts(p, t, first, count):
                multiply_rows(
                    products, p.gate_row, states, p.state_row, p.large, p.small, p.packed, p.hidden, 0, p.hidden,
                    p.hidden, 0,
                )  # fmt: skip
            for r in range(count):
                line = t * p.batch + first + r
                if counts(p, t, first + r):
                    look_up(p, p.out + line * p.hidden, line, p.hidden)
                    rnn_cell(p, states + r * p.state_row, products + r * p.gate_row, line)
                else:
                    clear(p.out + line * p.hidden, p.hidden)
        for r in range(count):
            hand_back(p.h_n + (first + r) * p.hidden, states + r * p.state_row, p.hidden)
    return 0


@device_function
def rnn_cell_gradient(p, carried, dgates, t, b):
    """One row of one step: the gradient before the activation, in memory and in scratch memory."""
    size, line = p.hidden, t * p.batch + b
    h, zero = before(p, p.out, p.h0, t, b), splat(np.float32(0))
    for j in range(0, size, 16):
        n = size - j
        dh, y = incoming(p, carried, line, j, n), load_upto(p.out, line * size + j, n)
        d = select(y <= zero, zero, dh) if p.rectified else dh * slope_of_tanh(y)
        store(carried, j, zero)
        store_upto(p.previous, line * size + j, load_upto(h, j, n), n)
        store_upto(dgates, j, d, n)
        store_upto(p.dgates, line * p.dgates_row + j, d, n)


@kernel(BackSteps)
def rnn_steps_backward(start, stop, row, scratch):
    """All steps of the rows of a task, the last first: the gradient before the activation, then its product."""
    p = unpack(row, BackSteps)
    dgates = workspace(row, scratch)
    states = dgates + tile_rows(p) * p.gate_row
    for task in range(start, stop):
        first = task * p.rows
        count = min(p.rows, p.batch - first)
        clear(dgates, tile_rows(p) * (p.gate_row + p.state_row))
        for r in range(count):
            fetch(states + r * p.state_row, row_or_null(p.grad_h, (first + r) * p.hidden), p.hidden)
        for step in range(p.end - 1, p.begin - 1, -1):
            t = time_of(p, step)
            for r in range(count):
                line = t * p.batch + first + r
                if counts(p, t, first + r):
                    rnn_cell_gradient(p, states + r * p.state_row, dgates + r * p.gate_row, t, first + r)
                else:
                    clear(dgates + r * p.gate_row, p.hidden)
                    clear(p.dgates + line * p.dgates_row, p.hidden)
                    clear(p.previous + line * p.hidden, p.hidden)
            if any_counts(p, t, first, count):
                multiply_rows(
                    states, p.state_row, dgates, p.gate_row, p.large, p.small, p.packed, p.hidden, 0, p.hidden,
                    p.hidden, 1,
                )  # fmt: skip
        for r in range(count):
            hand_back(p.h0_out + (first + r) * p.hidden, states + r * p.state_row, p.hidden)
    return 0
