"""The decoder with additive attention: a product of all words, a walk over the steps, large products for gradients.

The walk (``additive_decoder_steps.py``) is one row of tasks, each a part of the batch, as that of recurrent layers,
whose parts it is made of. Of a step it keeps what is as long as a state, a context or the memory; the energies of
queries and keys are computed again on the way back.
"""

from __future__ import annotations

from numbanet.kernels.cpu.additive_decoder_steps import (
    DecoderBackSteps,
    DecoderSteps,
    additive_decoder_steps,
    additive_decoder_steps_backward,
)
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.recurrent_cut import Cut
from numbanet.kernels.cpu.recurrent_product import PAD, packed_weight, row_of
from numbanet.kernels.cpu.recurrent_weights import StepGradients, bias_gradients, input_blocks
from numbanet.kernels.cpu.views import columns_of, flat, transposed

FEWEST = 32
"""Rows that a task has room for: weights that are larger than a cache pass through it once a step for all of them."""


def additive_decoder(
    program, out, contexts, weights, queries, gates, words, memory, keys, hidden, h0, weight_query, weight_score,
    weight_ih, weight_hh, bias_ih, bias_hh, mode,
):  # fmt: skip
    reason = float32_contiguous(
        out, contexts, weights, queries, gates, words, memory, keys, h0, weight_query, weight_score, weight_ih,
        weight_hh, bias_ih, bias_hh,
    )  # fmt: skip
    if reason is not None or 0 in (out.size, words.size, memory.size, keys.size):
        return reason or "empty"
    (steps, batch, size), (length, width), across = out.shape, memory.shape[1:], keys.shape[2]
    features, before = words.shape[2], mode == "gru_reset_before"
    program.matmul(
        columns_of(flat(gates), 0, 3 * size), flat(words), transposed(columns_of(weight_ih, 0, features)), bias_ih
    )
    packed_n, first = None, 3 * size
    if before:
        first = 2 * size
        packed_n = packed_weight(program, weight_hh, size, size, 1, size, first * size)
    packed = packed_weight(program, weight_hh, size, first, 1, size)
    packed_query = packed_weight(program, weight_query, size, across, 1, size)
    packed_context = packed_weight(program, weight_ih, width, 3 * size, 1, features + width, features)
    state_row, gate_row, context_row, query_row = map(row_of, (size, 3 * size, width, across))
    row = 2 * state_row + gate_row + context_row + query_row
    cut = Cut(batch, row, FEWEST)
    args = DecoderSteps(
        out, contexts, weights, queries, gates, memory, keys, hidden, h0, weight_score, bias_hh, packed, packed_n,
        packed_query, packed_context, None, steps, batch, size, length, width, across, cut.rows, cut.large, cut.small,
        state_row, gate_row, context_row, query_row,
    )  # fmt: skip
    program.append(additive_decoder_steps, cut.tasks, args, scratch=cut.tile_rows * row + length)
    return None


def additive_decoder_backward(
    program, words_out, memory_out, keys_out, h0_out, weight_query_out, weight_score_out, weight_ih_out, weight_hh_out,
    bias_ih_out, bias_hh_out, grad, grad_contexts, grad_weights, out, contexts, weights, queries, gates, words, memory,
    keys, hidden, h0, weight_query, weight_score, weight_ih, weight_hh, mode,
):  # fmt: skip
    reason = float32_contiguous(
        words_out, memory_out, keys_out, h0_out, weight_query_out, weight_score_out, weight_ih_out, weight_hh_out,
        bias_ih_out, bias_hh_out, grad, grad_contexts, grad_weights, out, contexts, weights, queries, gates, words,
        memory, keys, h0, weight_query, weight_score, weight_ih, weight_hh,
    )  # fmt: skip
    if reason is not None or 0 in (out.size, words.size, memory.size, keys.size):
        return reason or "empty"
    (steps, batch, size), (length, width), across = out.shape, memory.shape[1:], keys.shape[2]
    features, depth, packed_n, columns = words.shape[2], 3 * size, None, 4 * size
    if mode == "gru_reset_before":
        depth, columns = 2 * size, 3 * size
        packed_n = packed_weight(program, weight_hh, size, size, size, 1, depth * size)
    packed = packed_weight(program, weight_hh, depth, size, size, 1)
    packed_query = packed_weight(program, weight_query, across, size, size, 1)
    packed_context = packed_weight(program, weight_ih, 3 * size, width, features + width, 1, features)
    lines = steps * batch
    dgates, previous = program.workspace((lines, columns + PAD)), program.workspace((lines, size))
    dcontexts, dqueries = program.workspace(contexts.shape), program.workspace((lines, across + PAD))
    dkeys = program.workspace(keys.shape) if keys_out is None else keys_out
    dh, dv = program.workspace(h0.shape) if h0_out is None else h0_out, program.workspace((batch, across))
    state_row, gate_row, context_row, query_row = map(row_of, (size, 3 * size, width, across))
    row = 2 * state_row + gate_row + context_row + query_row
    cut = Cut(batch, row, FEWEST)
    args = DecoderBackSteps(
        dh, dgates, previous, dcontexts, dqueries, dkeys, dv, grad, grad_contexts, grad_weights, out, weights, queries,
        gates, memory, keys, hidden, h0, weight_score, packed, packed_n, packed_query, packed_context, None, steps,
        batch, size, length, width, across, cut.rows, cut.large, cut.small, state_row, gate_row, context_row,
        query_row, columns + PAD, across + PAD, 0,
    )  # fmt: skip
    program.append(additive_decoder_steps_backward, cut.tasks, args, scratch=cut.tile_rows * row + length)
    part = StepGradients(columns_of(dgates, 0, columns), previous, 0, False, mode, size)
    part.to_inputs(program, words_out, columns_of(weight_ih, 0, features))
    if weight_ih_out is not None:
        part.to_input_weights(program, columns_of(weight_ih_out, 0, features), words)
        part.to_input_weights(program, columns_of(weight_ih_out, features, features + width), contexts)
    part.to_state_weights(program, weight_hh_out, gates)
    if bias_ih_out is not None or bias_hh_out is not None:
        sums = program.workspace((1, columns))
        program.reduce(sums, part.dgates, (0,), "sum")
        bias_gradients(program, bias_ih_out, bias_hh_out, sums, input_blocks(columns, mode, size))
    if weight_query_out is not None:
        program.matmul(weight_query_out, transposed(columns_of(dqueries, 0, across)), previous)
    if weight_score_out is not None:
        program.reduce(weight_score_out, dv, (0,), "sum")
    if memory_out is not None:
        shares = weights.view((batch, length, steps), (length, 1, batch * length))
        program.matmul(memory_out, shares, dcontexts.view((batch, steps, width), (width, batch * width, 1)))
    return None


FUNCTIONS = (additive_decoder, additive_decoder_backward)
