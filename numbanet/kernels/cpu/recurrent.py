"""Recurrent layers: one large product for all inputs, a walk over the steps, large products for the gradients.

The walk is one row of tasks, each a part of the batch (``recurrent_steps.py``), so a program does not grow with the
sequence. Its weights are packed once a call. The gradients before the gates' functions are kept for all steps; the
gradients of weights, biases and inputs are then products and sums over all steps at once.
"""

from __future__ import annotations

from numbanet.kernels import threads
from numbanet.kernels.array import Array
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.recurrent_gru import gru_steps, gru_steps_backward
from numbanet.kernels.cpu.recurrent_lstm import lstm_steps, lstm_steps_backward
from numbanet.kernels.cpu.recurrent_product import LARGE, PAD, SMALL, packed_weight, row_of, tiles
from numbanet.kernels.cpu.recurrent_rnn import rnn_steps, rnn_steps_backward
from numbanet.kernels.cpu.recurrent_steps import BackSteps, Steps

FORWARD = {"rnn_tanh": rnn_steps, "rnn_relu": rnn_steps, "lstm": lstm_steps, "gru": gru_steps}
BACKWARD = {
    "rnn_tanh": rnn_steps_backward, "rnn_relu": rnn_steps_backward, "lstm": lstm_steps_backward,
    "gru": gru_steps_backward,
}  # fmt: skip
GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
SCRATCH = 1 << 16
"""float32 of scratch memory that a task may have, so that it stays in the second-level cache."""


class _Cut:
    """How the batch is cut into tasks, and their tiles and rows of scratch memory."""

    def __init__(self, batch: int, hidden: int, gates: int) -> None:
        self.state_row, self.gate_row = row_of(hidden), row_of(gates * hidden)
        most = max(LARGE, SCRATCH // (self.gate_row + 2 * self.state_row))
        wanted = min(threads.get_num_threads(), -(-batch // SMALL))
        tasks = -(-max(wanted, -(-batch // most)) // wanted) * wanted
        self.rows = -(-batch // tasks)
        self.tasks = -(-batch // self.rows)
        self.large, self.small = tiles(self.rows)

    @property
    def tile_rows(self) -> int:
        return self.large * LARGE + self.small * SMALL


def _flat(array: Array) -> Array:
    """(t, b, n) as (t · b, n)."""
    return array.view((array.shape[0] * array.shape[1], array.shape[2]))


def _columns(array: Array, begin: int, end: int) -> Array:
    """The columns begin … end − 1 of a matrix."""
    return array.view((array.shape[0], end - begin), array.strides, array.offset + begin * array.strides[1])


def _rows(array: Array, begin: int, end: int) -> Array:
    """The rows begin … end − 1 of an array."""
    return array.view((end - begin, *array.shape[1:]), array.strides, array.offset + begin * array.strides[0])


def _transposed(matrix: Array) -> Array:
    return matrix.view(matrix.shape[::-1], matrix.strides[::-1])


def recurrent(
    program, out, h_n, c_n, gates, cells, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, mode, reverse
):
    reason = float32_contiguous(out, h_n, c_n, gates, cells, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh)
    if reason is not None or 0 in (out.size, x.size):
        return reason or "empty"
    steps, batch, hidden = out.shape
    kind = mode.removesuffix("_reset_before")
    columns, cut = GATES[kind] * hidden, _Cut(batch, hidden, GATES[kind])
    products = _columns(_flat(out if gates is None else gates), 0, columns)
    program.matmul(products, _flat(x), _transposed(weight_ih), bias_ih)
    packed_n, first = None, columns
    if kind != mode:
        first = 2 * hidden
        packed_n = packed_weight(program, weight_hh, hidden, hidden, 1, hidden, first * hidden)
    packed = packed_weight(program, weight_hh, hidden, first, 1, hidden)
    args = Steps(
        out, h_n, c_n, gates, cells, h0, c0, bias_hh, packed, packed_n, lengths, steps, batch, hidden, cut.rows,
        cut.large, cut.small, cut.state_row, cut.gate_row, int(reverse), int(mode == "rnn_relu"),
    )  # fmt: skip
    states = 1 if packed_n is None else 2
    program.append(FORWARD[kind], cut.tasks, args, scratch=cut.tile_rows * (states * cut.state_row + cut.gate_row))
    return None


def recurrent_backward(
    program, x_out, h0_out, c0_out, weight_ih_out, weight_hh_out, bias_ih_out, bias_hh_out, grad, grad_h, grad_c, out,
    gates, cells, x, h0, c0, weight_ih, weight_hh, lengths, mode, reverse,
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
    count = GATES[kind]
    cut, lines = _Cut(batch, hidden, count), steps * batch
    width = (4 if mode == "gru" else count) * hidden
    dgates, previous = program.workspace((lines, width + PAD)), program.workspace((lines, hidden))
    dgates = _columns(dgates, 0, width)
    packed_n, depth = None, count * hidden
    if kind != mode:
        depth = 2 * hidden
        packed_n = packed_weight(program, weight_hh, hidden, hidden, hidden, 1, depth * hidden)
    packed = packed_weight(program, weight_hh, depth, hidden, hidden, 1)
    last_h = program.workspace(h0.shape) if h0_out is None else h0_out
    last_c = program.workspace(h0.shape) if c0_out is None and c0 is not None else c0_out
    args = BackSteps(
        last_h, last_c, dgates, previous, grad, grad_h, grad_c, out, gates, cells, h0, c0, packed, packed_n, lengths,
        steps, batch, hidden, cut.rows, cut.large, cut.small, cut.state_row, cut.gate_row,
        width + PAD, int(reverse), int(mode == "rnn_relu"),
    )  # fmt: skip
    program.append(BACKWARD[kind], cut.tasks, args, scratch=cut.tile_rows * (cut.gate_row + 2 * cut.state_row))
    blocks = _input_blocks(dgates, mode, hidden)
    if x_out is not None:
        for number, (columns, begin, end) in enumerate(blocks):
            program.matmul(_flat(x_out), columns, _rows(weight_ih, begin, end), accumulate=number > 0)
    if weight_ih_out is not None:
        for columns, begin, end in blocks:
            program.matmul(_rows(weight_ih_out, begin, end), _transposed(columns), _flat(x))
    if weight_hh_out is not None:
        first = depth if kind != mode else count * hidden
        program.matmul(_rows(weight_hh_out, 0, first), _transposed(_columns(dgates, 0, first)), previous)
        if kind != mode:
            resets = _columns(_flat(gates), 3 * hidden, 4 * hidden)
            candidates = _transposed(_columns(dgates, first, width))
            program.matmul(_rows(weight_hh_out, first, width), candidates, resets)
    _biases(program, bias_ih_out, bias_hh_out, dgates, blocks)
    return None


def _input_blocks(dgates: Array, mode: str, hidden: int) -> list[tuple[Array, int, int]]:
    """What the gradients for the inputs' side are made of: columns of dgates and the rows of the weights they meet."""
    if mode != "gru":
        return [(dgates, 0, dgates.shape[1])]
    n = _columns(dgates, 3 * hidden, 4 * hidden)
    return [(_columns(dgates, 0, 2 * hidden), 0, 2 * hidden), (n, 2 * hidden, 3 * hidden)]


def _biases(program, bias_ih_out, bias_hh_out, dgates: Array, blocks: list) -> None:
    """The sums over all lines, once for both biases."""
    wanted = bias_ih_out if bias_ih_out is not None else bias_hh_out
    if wanted is None:
        return
    total = program.workspace((1, dgates.shape[1]))
    program.reduce(total, dgates, (0,), "sum")
    sums = total.view(total.shape[1:])
    if bias_hh_out is not None:
        program.copy(bias_hh_out, _rows(sums, 0, bias_hh_out.size))
    if bias_ih_out is not None:
        for columns, begin, end in blocks:
            at = columns.offset - dgates.offset
            program.copy(_rows(bias_ih_out, begin, end), _rows(sums, at, at + end - begin))


FUNCTIONS = (recurrent, recurrent_backward)
