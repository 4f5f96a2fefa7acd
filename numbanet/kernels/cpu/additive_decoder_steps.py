"""The steps of a GRU that looks at a memory by additive attention before each, forward and backward.

A task walks the whole sequence for some rows of the batch. A step forward is a product of the states with the queries'
weights, the attention row by row, a product of the contexts with their part of the GRU's weights, and the GRU's step
(``recurrent_gru.py``); a step backward is that from the other end. Products are those of ``recurrent_product.py``.
"""

from __future__ import annotations

from typing import NamedTuple

from numbanet.kernels.cpu.additive_attention import attend, attend_gradient
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.recurrent_gru import gru_step, gru_step_backward
from numbanet.kernels.cpu.recurrent_product import multiply_rows
from numbanet.kernels.cpu.recurrent_steps import clear, fetch, hand_back, tile_rows
from numbanet.kernels.cpu.simd.pointers import F32, INT64, U8
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import load


class DecoderSteps(NamedTuple):
    """A walk forward; sizes: ``steps`` (t), ``batch`` (b), ``hidden`` (h), ``length`` (n) and ``width`` (m) of the
    memory, ``across`` (a) of keys and queries, and what ``recurrent_steps.Steps`` has.

    ``gates`` (t, b, 4h) comes with the products of the words; ``lengths`` is null: all rows have all words."""

    out: F32
    contexts: F32
    weights: F32
    queries: F32
    gates: F32
    memory: F32
    keys: F32
    mask: U8
    h0: F32
    v: F32
    bias: F32
    packed: F32
    packed_n: F32
    packed_query: F32
    packed_context: F32
    lengths: INT64
    steps: I64_FIELD
    batch: I64_FIELD
    hidden: I64_FIELD
    length: I64_FIELD
    width: I64_FIELD
    across: I64_FIELD
    rows: I64_FIELD
    large: I64_FIELD
    small: I64_FIELD
    state_row: I64_FIELD
    gate_row: I64_FIELD
    context_row: I64_FIELD
    query_row: I64_FIELD


class DecoderBackSteps(NamedTuple):
    """A walk backward. ``dgates`` and ``previous`` are as in ``recurrent_steps.BackSteps``; ``dcontexts`` (t, b, m),
    ``dqueries`` (t, b, a), ``dkeys`` (b, n, a) and ``dv`` (b, a) are gradients, the last a row's share."""

    h0_out: F32
    dgates: F32
    previous: F32
    dcontexts: F32
    dqueries: F32
    dkeys: F32
    dv: F32
    grad: F32
    grad_contexts: F32
    grad_weights: F32
    out: F32
    weights: F32
    queries: F32
    gates: F32
    memory: F32
    keys: F32
    mask: U8
    h0: F32
    v: F32
    packed: F32
    packed_n: F32
    packed_query: F32
    packed_context: F32
    lengths: INT64
    steps: I64_FIELD
    batch: I64_FIELD
    hidden: I64_FIELD
    length: I64_FIELD
    width: I64_FIELD
    across: I64_FIELD
    rows: I64_FIELD
    large: I64_FIELD
    small: I64_FIELD
    state_row: I64_FIELD
    gate_row: I64_FIELD
    context_row: I64_FIELD
    query_row: I64_FIELD
    dgates_row: I64_FIELD
    dqueries_row: I64_FIELD
    reverse: I64_FIELD


@device_function
def add_to_gates(gates, product, size):
    """gates += product, which lies in scratch memory."""
    for j in range(0, size, 16):
        n = size - j
        store_upto(gates, j, load_upto(gates, j, n) + load(product, j), n)


@kernel(DecoderSteps)
def additive_decoder_steps(start, stop, row, scratch):
    """All steps of the rows of a task: query, attention, the context's part of the gates, the GRU."""
    p = unpack(row, DecoderSteps)
    states, size, many = workspace(row, scratch), p.hidden, tile_rows(p)
    resets = states + many * p.state_row
    contexts = resets + many * p.state_row
    queries = contexts + many * p.context_row
    products = queries + many * p.query_row
    scores = products + many * p.gate_row
    for task in range(start, stop):
        first = task * p.rows
        count = min(p.rows, p.batch - first)
        clear(states, many * (2 * p.state_row + p.context_row))
        for r in range(count):
            fetch(states + r * p.state_row, p.h0 + (first + r) * size, size)
        for t in range(p.steps):
            line = t * p.batch + first
            multiply_rows(
                queries, p.query_row, states, p.state_row, p.large, p.small, p.packed_query, size, 0, size, p.across, 0
            )
            for r in range(count):
                attend(p, contexts + r * p.context_row, queries + r * p.query_row, scores, line + r, first + r)
            multiply_rows(
                products, p.gate_row, contexts, p.context_row, p.large, p.small, p.packed_context, p.width, 0, p.width,
                3 * size, 0,
            )  # fmt: skip
            for r in range(count):
                add_to_gates(p.gates + (line + r) * 4 * size, products + r * p.gate_row, 3 * size)
            gru_step(p, states, resets, products, t, first, count)
    return 0


@device_function
def context_gradients(p, contexts, dgates, copies, line, count):
    """The product of the gradients before the gates with the contexts' weights; what belongs to n comes from memory if
    the reset gate acts after the product, by way of ``copies``."""
    size, after = p.hidden, is_null(p.packed_n)
    for r in range(count if after else 0):
        fetch(copies + r * p.state_row, p.dgates + (line + r) * p.dgates_row + 3 * size, size)
    for part in range(2):
        a, a_row = dgates, p.gate_row
        if part:
            a, a_row = (copies, p.state_row) if after else (dgates + 2 * size, p.gate_row)
        multiply_rows(
            contexts, p.context_row, a, a_row, p.large, p.small, p.packed_context, 3 * size, 2 * size if part else 0,
            3 * size if part else 2 * size, p.width, part,
        )  # fmt: skip


@kernel(DecoderBackSteps)
def additive_decoder_steps_backward(start, stop, row, scratch):
    """All steps of the rows of a task, the last first: the GRU, its contexts, attention, the states of the queries."""
    p = unpack(row, DecoderBackSteps)
    dgates, size, many = workspace(row, scratch), p.hidden, tile_rows(p)
    states = dgates + many * p.gate_row
    products = states + many * p.state_row
    queries = products + many * p.state_row
    contexts = queries + many * p.query_row
    dscores = contexts + many * p.context_row
    for task in range(start, stop):
        first = task * p.rows
        count = min(p.rows, p.batch - first)
        clear(dgates, many * (p.gate_row + 2 * p.state_row + p.query_row))
        clear(p.dkeys + first * p.length * p.across, count * p.length * p.across)
        clear(p.dv + first * p.across, count * p.across)
        for t in range(p.steps - 1, -1, -1):
            line = t * p.batch + first
            gru_step_backward(p, dgates, states, products, t, first, count)
            context_gradients(p, contexts, dgates, products, line, count)
            for r in range(count):
                attend_gradient(
                    p, contexts + r * p.context_row, queries + r * p.query_row, dscores, line + r, first + r
                )
            multiply_rows(
                states, p.state_row, queries, p.query_row, p.large, p.small, p.packed_query, p.across, 0, p.across,
                size, 1,
            )  # fmt: skip
        for r in range(count):
            hand_back(p.h0_out + (first + r) * size, states + r * p.state_row, size)
    return 0
