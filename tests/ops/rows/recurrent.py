"""Rows of recurrent layers: every mode, both directions, lengths of 1 and less than all, T = 1, with and without
biases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from numbanet.nn._recurrent import walk
from numbanet.nn.functional import embedding
from numbanet.ops import recurrent
from tests.ops.recurrent_oracles import recurrent as oracle
from tests.ops.row import Row
from tests.ops.samples import normal

# t, b, i, h, lengths
SHAPES = [
    (4, 3, 2, 3, None),
    (1, 1, 1, 1, None),
    (1, 2, 3, 2, [1, 1]),
    (3, 4, 2, 2, [3, 1, 2, 3]),
    (2, 2, 1, 2, [2, 1]),
    (5, 2, 3, 17, [2, 4]),
]
TWICE = SHAPES[4]
TABLES = [(SHAPES[1], 1), (SHAPES[3], 3), (SHAPES[0], 4)]


def _row(mode: str, reverse: bool, shape: tuple, biases: bool) -> Row:
    t, b, i, h, lengths = shape
    rows, states = recurrent.GATES[mode] * h, 2 if mode == "lstm" else 1
    outputs = states + 1
    lengths = None if lengths is None else np.array(lengths)

    def function(x, weight_ih, weight_hh, *rest):
        given = None if lengths is None else x.new_tensor(lengths)
        parameters = (weight_ih, weight_hh, *rest[states:])
        return walk(mode, x, rest[:states], parameters, given, reverse)[:outputs]

    def wanted(*arrays):
        return oracle(mode, reverse, *arrays, biases=biases, lengths=lengths)

    def size(*arrays):
        return [1 + np.abs(value).max() for value in wanted(*arrays)]

    samplers = [normal(t, b, i), normal(rows, i, scale=0.5), normal(rows, h, scale=0.5), *[normal(b, h)] * states]
    samplers += [normal(rows)] * 2 if biases else []
    name = f"recurrent {mode} {'reverse ' if reverse else ''}{shape[:4]}{'' if biases else ', no biases'}"
    return Row(
        f"{name}{'' if lengths is None else f', lengths {lengths.tolist()}'}",
        [recurrent.Recurrent, recurrent.RecurrentBackward],
        function,
        wanted,
        [samplers],
        size=size,
        twice=shape is TWICE,
    )


def _table_row(mode: str, reverse: bool, shape: tuple, rows: int) -> Row:
    """x looked up in a table with more rows than tokens name."""
    t, b, i, _, lengths = shape
    plain = _row(mode, reverse, shape, biases=True)
    tokens = np.random.default_rng(t).integers(0, max(rows - 1, 1), (t, b))
    given = None if lengths is None else np.array(lengths)
    states, outputs = (2, 3) if mode == "lstm" else (1, 2)

    def function(table, weight_ih, weight_hh, *rest):
        numbers = table.new_tensor(tokens)
        parameters = (weight_ih, weight_hh, *rest[states:])
        lengths = None if given is None else table.new_tensor(given)
        lookup = (table, numbers)
        return walk(mode, embedding(numbers, table), rest[:states], parameters, lengths, reverse, lookup)[:outputs]

    def wanted(table, *arrays):
        return plain.oracle(table[tokens], *arrays)

    def size(*arrays):
        return [1 + np.abs(value).max() for value in wanted(*arrays)]

    samplers = [normal(rows, i), *plain.cases[0][1:]]
    return replace(
        plain, name=f"{plain.name}, {rows} rows", function=function, oracle=wanted, size=size, cases=[samplers],
        twice=True,
    )  # fmt: skip


def _rows():
    for mode in recurrent.GATES:
        for number, shape in enumerate(SHAPES):
            yield _row(mode, number % 2 == 1, shape, biases=True)
        yield _row(mode, True, SHAPES[0], biases=False)
        yield _row(mode, True, TWICE, biases=True)
        for number, (shape, rows) in enumerate(TABLES):
            yield _table_row(mode, number % 2 == 1, shape, rows)


ROWS = list(_rows())
