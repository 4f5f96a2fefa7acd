"""The gradients of a recurrent walk whose inputs were looked up in a table.

W x_t = (table Wᵀ)[tokens_t]: what reaches the products of one row of the table is added first, and the gradients of
weights, biases and table are made of these sums, of which there are as many as rows. Sums are cut into blocks of
places, so that rows that come often lose no digits.
"""

from __future__ import annotations

from numbanet.kernels.array import Array
from numbanet.kernels.cpu.embedding import add_rows, take_named_rows
from numbanet.kernels.cpu.recurrent_product import PAD
from numbanet.kernels.cpu.recurrent_weights import StepGradients
from numbanet.kernels.cpu.views import columns_of, rows_of

BLOCK, PLACES_A_ROW = 1024, 4
"""Places of a block of the sums, at least, and for each row of the table: adding a block up costs as much as a place a
row."""


class TableGradients:
    """Sums of the gradients before the gates, ``width`` of them, by the row of the table that a place's token names."""

    def __init__(self, program, table: Array, tokens: Array, width: int) -> None:
        self.program, self.table, self.width = program, table, width
        self.tokens = tokens.view((tokens.size,))
        self.sums = self._zeros()
        self.block: Array | None = None  # sums of a block of places, which are added to the others; not for the first
        self.places, self.most = 0, max(BLOCK, PLACES_A_ROW * table.shape[0])

    def _zeros(self) -> Array:
        sums = columns_of(self.program.workspace((self.table.shape[0], self.width + PAD)), 0, self.width)
        self.program.fill(sums, 0)
        return sums

    def add(self, dgates: Array, first: int) -> None:
        """Add those of the places from ``first`` on, (places, width)."""
        begin, count = 0, dgates.shape[0]
        while begin < count:
            if self.places == self.most:
                self._end_block()
            end = min(count, begin + self.most - self.places)
            tokens = rows_of(self.tokens, first + begin, first + end)
            add_rows(self.program, self.sums if self.block is None else self.block, rows_of(dgates, begin, end), tokens)
            self.places += end - begin
            begin = end

    def _end_block(self) -> None:
        """The places from here on are added up apart."""
        self.places = 0
        if self.block is None:
            self.block = self._zeros()
        else:
            self.program.binary(self.sums, self.sums, self.block, "add")
            self.program.fill(self.block, 0)

    def finish(self, table_out, weight_ih, weight_ih_out, mode: str, hidden: int) -> Array:
        """The gradients for the table and the weights of the inputs; gives the sums, from which those of the biases
        are.

        Rows that no token names count for nothing, not even if they are not finite."""
        program, table = self.program, self.table
        if self.block is not None:
            program.binary(self.sums, self.sums, self.block, "add")
        gradients = StepGradients(self.sums, None, 0, False, mode, hidden)
        gradients.to_inputs(program, table_out, weight_ih)
        if weight_ih_out is not None:
            named = program.workspace(table.shape)
            take_named_rows(program, named, table, self.tokens)
            gradients.to_input_weights(program, weight_ih_out, named)
        return self.sums
