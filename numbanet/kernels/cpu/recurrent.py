"""Recurrent layers: one large product for all inputs, a walk over the steps, large products for the gradients.

The walk is one row of tasks, each a part of the batch (``recurrent_steps.py``), so a program does not grow with the
sequence. Its weights are packed once a call. The walk back keeps the gradients before the gates' functions for as many
steps as a cache holds, but in no more than a few parts; those of weights, biases and inputs are products and sums over
all steps of a part.
"""

from __future__ import annotations

from numbanet.kernels.array import Array
from numbanet.kernels.cpu.embedding import embedding_error
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.recurrent_cut import Cut
from numbanet.kernels.cpu.recurrent_gru import gru_steps, gru_steps_backward
from numbanet.kernels.cpu.recurrent_lstm import lstm_steps, lstm_steps_backward
from numbanet.kernels.cpu.recurrent_product import PAD, packed_weight, row_of
from numbanet.kernels.cpu.recurrent_rnn import rnn_steps, rnn_steps_backward
from numbanet.kernels.cpu.recurrent_steps import BackSteps, Steps
from numbanet.kernels.cpu.recurrent_table import TableGradients
from numbanet.kernels.cpu.recurrent_weights import StepGradients, bias_gradients, input_blocks
from numbanet.kernels.cpu.views import columns_of, flat, rows_of, transposed

FORWARD = {"rnn_tanh": rnn_steps, "rnn_relu": rnn_steps, "lstm": lstm_steps, "gru": gru_steps}
BACKWARD = {
    "rnn_tanh": rnn_steps_backward, "rnn_relu": rnn_steps_backward, "lstm": lstm_steps_backward,
    "gru": gru_steps_backward,
}  # fmt: skip
GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
PART, MOST_PARTS = 1 << 19, 8
"""float32 of gradients that are kept from the walk back to the products for the weights, and into how many parts that
cuts the walk at most."""


def recurrent(
    program, out, h_n, c_n, gates, cells, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, tokens, mode,
    reverse,
):  # fmt: skip
    reason = float32_contiguous(out, h_n, c_n, gates, cells, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh)
    if reason is not None or 0 in (out.size, x.size):
        return reason or "empty"
    steps, batch, hidden = out.shape
    kind = mode.removesuffix("_reset_before")
    columns = GATES[kind] * hidden
    state_row, gate_row = row_of(hidden), row_of(columns)
    cut = Cut(batch, gate_row + 2 * state_row)
    products, table, on_error = columns_of(flat(out if gates is None else gates), 0, columns), None, None
    if tokens is not None:
        products = table = program.workspace((x.shape[0], columns))
        on_error = embedding_error(tokens, x.shape[0])
    program.matmul(products, flat(x), transposed(weight_ih), bias_ih)
    packed_n, first = None, columns
    if kind != mode:
        first = 2 * hidden
        packed_n = packed_weight(program, weight_hh, hidden, hidden, 1, hidden, first * hidden)
    packed = packed_weight(program, weight_hh, hidden, first, 1, hidden)
    args = Steps(
        out, h_n, c_n, gates, cells, h0, c0, bias_hh, packed, packed_n, lengths, table, tokens, x.shape[0], steps,
        batch, hidden, cut.rows, cut.large, cut.small, state_row, gate_row, int(reverse), int(mode == "rnn_relu"),
    )  # fmt: skip
    states = 1 if packed_n is None else 2
    scratch = cut.tile_rows * (states * state_row + gate_row)
    program.append(FORWARD[kind], cut.tasks, args, scratch=scratch, on_error=on_error)
    return None


def recurrent_backward(
    program, x_out, h0_out, c0_out, weight_ih_out, weight_hh_out, bias_ih_out, bias_hh_out, grad, grad_h, grad_c, out,
    gates, cells, x, h0, c0, weight_ih, weight_hh, lengths, tokens, mode, reverse,
):  # fmt: skip
    arrays = (
        x_out, h0_out, c0_out, weight_ih_out, weight_hh_out, bias_ih_out, bias_hh_out, grad, grad_h, grad_c, out, gates,
        cells, x, h0, c0, weight_ih, weight_hh,
    )  # fmt: skip
    reason = float32_contiguous(*arrays)
    if reason is not None or 0 in (out.size, x.size):
        return reason or "empty"
    steps, batch, hidden = out.shape
    kind = mode.removesuffix("_reset_before")
    depth = GATES[kind] * hidden
    state_row, gate_row = row_of(hidden), row_of(depth)
    cut = Cut(batch, gate_row + 2 * state_row)
    width = (4 if mode == "gru" else GATES[kind]) * hidden
    packed_n = None
    if kind != mode:
        depth = 2 * hidden
        packed_n = packed_weight(program, weight_hh, hidden, hidden, hidden, 1, depth * hidden)
    packed = packed_weight(program, weight_hh, depth, hidden, hidden, 1)
    last_h = program.workspace(h0.shape) if h0_out is None else h0_out
    last_c = program.workspace(h0.shape) if c0_out is None and c0 is not None else c0_out
    parts = _parts(steps, batch * (width + PAD))
    lines = batch * max(end - begin for begin, end in parts)
    dgates, previous = program.workspace((lines, width + PAD)), program.workspace((lines, hidden))
    table = None if tokens is None else TableGradients(program, x, tokens, width)
    has_biases = bias_ih_out is not None or bias_hh_out is not None
    sums = program.workspace((len(parts), width)) if has_biases and table is None else None
    for number, (begin, end) in enumerate(reversed(parts)):
        first = batch * (steps - end if reverse else begin)  # line of the part that comes first in time
        args = BackSteps(
            last_h, last_c, _seen_from(dgates, -first), _seen_from(previous, -first), grad, grad_h, grad_c, out, gates,
            cells, h0, c0, packed, packed_n, lengths, steps, begin, end, batch, hidden, cut.rows, cut.large, cut.small,
            state_row, gate_row, width + PAD, int(reverse), int(mode == "rnn_relu"),
        )  # fmt: skip
        program.append(BACKWARD[kind], cut.tasks, args, scratch=cut.tile_rows * (gate_row + 2 * state_row))
        grad_h, grad_c = last_h, last_c
        lines = batch * (end - begin)
        part_dgates = columns_of(rows_of(dgates, 0, lines), 0, width)
        part = StepGradients(part_dgates, rows_of(previous, 0, lines), first, number > 0, mode, hidden)
        part.to_state_weights(program, weight_hh_out, gates)
        if table is not None:
            table.add(part_dgates, first)
        else:
            part.to_inputs(program, x_out, weight_ih)
            part.to_input_weights(program, weight_ih_out, x)
            if sums is not None:
                program.reduce(rows_of(sums, number, number + 1), part_dgates, (0,), "sum")
    if table is not None:
        sums = table.finish(x_out, weight_ih, weight_ih_out, mode, hidden)
    bias_gradients(program, bias_ih_out, bias_hh_out, sums, input_blocks(width, mode, hidden))
    return None


def _parts(steps: int, elements: int) -> list[tuple[int, int]]:
    """Parts of the walk back, by their first and last step: few, but each with gradients that a cache holds."""
    each = max(-(-steps // MOST_PARTS), min(steps, max(1, PART // elements)))
    return [(begin, min(begin + each, steps)) for begin in range(0, steps, each)]


def _seen_from(array: Array, line: int) -> Array:
    """The rows of a matrix counted from another line on, which may lie before or behind it."""
    return array.view(array.shape, array.strides, array.offset + line * array.strides[0])


FUNCTIONS = (recurrent, recurrent_backward)
