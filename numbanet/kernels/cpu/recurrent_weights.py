"""The gradients of weights, biases and inputs of a recurrent walk: products and sums over all its steps."""

from __future__ import annotations

from typing import NamedTuple

from numbanet.kernels.array import Array
from numbanet.kernels.cpu.views import columns_of, flat, rows_of, transposed


class StepGradients(NamedTuple):
    """The gradients before the gates and the states before the steps of some steps, from the line ``first`` on; or the
    former alone, for the rows of a table of inputs."""

    dgates: Array
    previous: Array | None
    first: int
    adds: bool
    mode: str
    hidden: int

    def _lines(self, array: Array) -> Array:
        """Those of the part, of an array (t, b, n)."""
        return rows_of(flat(array), self.first, self.first + self.dgates.shape[0])

    def to_inputs(self, program, x_out, weight_ih) -> None:
        """x_out = dgates · weight_ih."""
        if x_out is not None:
            for number, (at, begin, end) in enumerate(input_blocks(self.dgates.shape[1], self.mode, self.hidden)):
                columns = columns_of(self.dgates, at, at + end - begin)
                program.matmul(self._lines(x_out), columns, rows_of(weight_ih, begin, end), accumulate=number > 0)

    def to_input_weights(self, program, weight_ih_out, x) -> None:
        """weight_ih_out (+)= dgatesᵀ · x."""
        if weight_ih_out is not None:
            for at, begin, end in input_blocks(self.dgates.shape[1], self.mode, self.hidden):
                columns = transposed(columns_of(self.dgates, at, at + end - begin))
                program.matmul(rows_of(weight_ih_out, begin, end), columns, self._lines(x), accumulate=self.adds)

    def to_state_weights(self, program, weight_hh_out, gates) -> None:
        """weight_hh_out (+)= dgatesᵀ · previous."""
        if weight_hh_out is not None:
            rows = weight_hh_out.shape[0]
            cut = 2 * self.hidden if self.mode == "gru_reset_before" else rows
            columns = transposed(columns_of(self.dgates, 0, cut))
            program.matmul(rows_of(weight_hh_out, 0, cut), columns, self.previous, accumulate=self.adds)
            if cut < rows:
                resets = columns_of(self._lines(gates), 3 * self.hidden, 4 * self.hidden)
                columns = transposed(columns_of(self.dgates, cut, rows))
                program.matmul(rows_of(weight_hh_out, cut, rows), columns, resets, accumulate=self.adds)


def input_blocks(width: int, mode: str, hidden: int) -> list[tuple[int, int, int]]:
    """What the gradients for the inputs' side are made of: where columns of dgates begin, and the rows of the weights
    that they meet."""
    return [(0, 0, 2 * hidden), (3 * hidden, 2 * hidden, 3 * hidden)] if mode == "gru" else [(0, 0, width)]


def bias_gradients(program, bias_ih_out, bias_hh_out, sums: Array | None, blocks: list) -> None:
    """The sums of all parts, once for both biases."""
    if sums is None:
        return
    total = program.workspace((1, sums.shape[1]))
    program.reduce(total, sums, (0,), "sum")
    total = total.view(total.shape[1:])
    if bias_hh_out is not None:
        program.copy(bias_hh_out, rows_of(total, 0, bias_hh_out.size))
    if bias_ih_out is not None:
        for at, begin, end in blocks:
            program.copy(rows_of(bias_ih_out, begin, end), rows_of(total, at, at + end - begin))
