"""Recurrent layers: one large product for all inputs, a walk over the steps, large products for the gradients.

The walk is one row of tasks, each a part of the batch (``recurrent_steps.py``), so a program does not grow with the
sequence. Its weights are packed once a call. The walk back keeps the gradients before the gates' functions for as many
steps as a cache holds, but in no more than a few parts; those of weights, biases and inputs are products and sums over
all steps of a part.
"""

from __future__ import annotations

from typing import NamedTuple

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
PART, MOST_PARTS = 1 << 19, 8
"""float32 of gradients that are kept from the walk back to the products for the weights, and into how many parts that
cuts the walk at most."""


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
    cut, depth = _Cut(batch, hidden, GATES[kind]), GATES[kind] * hidden
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
    sums = program.workspace((len(parts), width)) if bias_ih_out is not None or bias_hh_out is not None else None
    for number, (begin, end) in enumerate(reversed(parts)):
        first = batch * (steps - end if reverse else begin)  # line of the part that comes first in time
        args = BackSteps(
            last_h, last_c, _seen_from(dgates, -first), _seen_from(previous, -first), grad, grad_h, grad_c, out, gates,
            cells, h0, c0, packed, packed_n, lengths, steps, begin, end, batch, hidden, cut.rows, cut.large, cut.small,
            cut.state_row, cut.gate_row, width + PAD, int(reverse), int(mode == "rnn_relu"),
        )  # fmt: skip
        program.append(BACKWARD[kind], cut.tasks, args, scratch=cut.tile_rows * (cut.gate_row + 2 * cut.state_row))
        grad_h, grad_c = last_h, last_c
        lines = batch * (end - begin)
        part = _Part(
            _columns(_rows(dgates, 0, lines), 0, width), _rows(previous, 0, lines), first, number > 0, mode, hidden
        )
        part.to_inputs(program, x_out, weight_ih)
        part.to_weights(program, weight_ih_out, weight_hh_out, x, gates)
        if sums is not None:
            program.reduce(_rows(sums, number, number + 1), part.dgates, (0,), "sum")
    _biases(program, bias_ih_out, bias_hh_out, sums, _input_blocks(width, mode, hidden))
    return None


def _parts(steps: int, elements: int) -> list[tuple[int, int]]:
    """Parts of the walk back, by their first and last step: few, but each with gradients that a cache holds."""
    each = max(-(-steps // MOST_PARTS), min(steps, max(1, PART // elements)))
    return [(begin, min(begin + each, steps)) for begin in range(0, steps, each)]


def _seen_from(array: Array, line: int) -> Array:
    """The rows of a matrix counted from another line on, which may lie before or behind it."""
    return array.view(array.shape, array.strides, array.offset + line * array.strides[0])


class _Part(NamedTuple):
    """The gradients before the gates and the states before the steps of some steps, from the line ``first`` on."""

    dgates: Array
    previous: Array
    first: int
    adds: bool
    mode: str
    hidden: int

    def _lines(self, array: Array) -> Array:
        """Those of the part, of an array (t, b, n)."""
        return _rows(_flat(array), self.first, self.first + self.dgates.shape[0])

    def to_inputs(self, program, x_out, weight_ih) -> None:
        """x_out = dgates · weight_ih."""
        if x_out is not None:
            for number, (at, begin, end) in enumerate(_input_blocks(self.dgates.shape[1], self.mode, self.hidden)):
                columns = _columns(self.dgates, at, at + end - begin)
                program.matmul(self._lines(x_out), columns, _rows(weight_ih, begin, end), accumulate=number > 0)

    def to_weights(self, program, weight_ih_out, weight_hh_out, x, gates) -> None:
        """weight_ih_out (+)= dgatesᵀ · x and weight_hh_out (+)= dgatesᵀ · previous."""
        if weight_ih_out is not None:
            for at, begin, end in _input_blocks(self.dgates.shape[1], self.mode, self.hidden):
                columns = _transposed(_columns(self.dgates, at, at + end - begin))
                program.matmul(_rows(weight_ih_out, begin, end), columns, self._lines(x), accumulate=self.adds)
        if weight_hh_out is not None:
            rows = weight_hh_out.shape[0]
            cut = 2 * self.hidden if self.mode == "gru_reset_before" else rows
            columns = _transposed(_columns(self.dgates, 0, cut))
            program.matmul(_rows(weight_hh_out, 0, cut), columns, self.previous, accumulate=self.adds)
            if cut < rows:
                resets = _columns(self._lines(gates), 3 * self.hidden, 4 * self.hidden)
                columns = _transposed(_columns(self.dgates, cut, rows))
                program.matmul(_rows(weight_hh_out, cut, rows), columns, resets, accumulate=self.adds)


def _input_blocks(width: int, mode: str, hidden: int) -> list[tuple[int, int, int]]:
    """What the gradients for the inputs' side are made of: where columns of dgates begin, and the rows of the weights
    that they meet."""
    return [(0, 0, 2 * hidden), (3 * hidden, 2 * hidden, 3 * hidden)] if mode == "gru" else [(0, 0, width)]


def _biases(program, bias_ih_out, bias_hh_out, sums: Array | None, blocks: list) -> None:
    """The sums of all parts, once for both biases."""
    if sums is None:
        return
    total = program.workspace((1, sums.shape[1]))
    program.reduce(total, sums, (0,), "sum")
    total = total.view(total.shape[1:])
    if bias_hh_out is not None:
        program.copy(bias_hh_out, _rows(total, 0, bias_hh_out.size))
    if bias_ih_out is not None:
        for at, begin, end in blocks:
            program.copy(_rows(bias_ih_out, begin, end), _rows(total, at, at + end - begin))


FUNCTIONS = (recurrent, recurrent_backward)
