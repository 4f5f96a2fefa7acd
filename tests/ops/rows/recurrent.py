"""Rows of recurrent layers: every mode, both directions, lengths of 1 and less than all, T = 1, with and without
biases."""

from __future__ import annotations

import numpy as np

from numbanet.nn._recurrent import walk
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


def _rows():
    for mode in recurrent.GATES:
        for number, shape in enumerate(SHAPES):
            yield _row(mode, number % 2 == 1, shape, biases=True)
        yield _row(mode, True, SHAPES[0], biases=False)
        yield _row(mode, True, TWICE, biases=True)


ROWS = list(_rows())
