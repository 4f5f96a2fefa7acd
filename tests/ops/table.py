"""The table of operations: every op class has a row (test_table.py looks), and all tests of ops are made from it.

To add an op, add a row in ``rows``: a function of tensors, an oracle in float64, inputs of awkward sizes.
"""

from __future__ import annotations

from tests.ops.row import Row
from tests.ops.rows import (
    additive_decoder,
    attention,
    binary,
    local,
    lookups,
    losses,
    norms,
    pointwise,
    pooling,
    products,
    recurrent,
    reduce,
    shapes,
    updates,
)

TABLE: list[Row] = [
    row
    for module in (
        pointwise,
        binary,
        reduce,
        shapes,
        lookups,
        products,
        attention,
        local,
        pooling,
        norms,
        recurrent,
        additive_decoder,
        losses,
        updates,
    )
    for row in module.ROWS
]
