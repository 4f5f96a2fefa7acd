"""Rows of the decoder with additive attention: both forms of the GRU, one word, one place to look at, padding at the
end, texts of padding alone, with and without biases."""

from __future__ import annotations

import numpy as np

from numbanet.autograd import apply
from numbanet.ops.additive_decoder import AdditiveDecoder, AdditiveDecoderBackward
from tests.ops.recurrent_oracles import additive_decoder as oracle
from tests.ops.row import Row
from tests.ops.samples import normal

# t, b, n, e, m, d, f, lengths of the memory
SHAPES = [
    (3, 2, 4, 2, 3, 2, 3, None),
    (1, 1, 1, 1, 1, 1, 1, None),
    (1, 3, 5, 2, 2, 3, 2, [5, 1, 3]),
    (4, 2, 1, 1, 2, 2, 1, [1, 1]),
    (2, 3, 3, 2, 1, 2, 2, [2, 0, 3]),
    (5, 2, 7, 3, 18, 17, 19, [7, 4]),
]
TWICE = SHAPES[4]


def _row(mode: str, shape: tuple, biases: int) -> Row:
    t, b, n, e, m, d, f, lengths = shape
    hidden = None if lengths is None else np.arange(n) >= np.array(lengths)[:, None]
    names = ("hidden",) * (hidden is not None) + ("bias_ih", "bias_hh")[:biases]

    def function(*arrays):
        inputs, given = arrays[:8], arrays[8:]
        masks = () if hidden is None else (inputs[0].new_tensor(hidden),)
        return apply(AdditiveDecoder(mode, names), *inputs, *masks, *given)[:3]

    def wanted(*arrays):
        return oracle(mode, hidden, *arrays)

    def size(*arrays):
        return [1 + np.abs(value).max() for value in wanted(*arrays)]

    samplers = [normal(t, b, e), normal(b, n, m), normal(b, n, f), normal(b, d), normal(f, d), normal(1, f)]
    samplers += [normal(3 * d, e + m, scale=0.5), normal(3 * d, d, scale=0.5), *[normal(3 * d)] * biases]
    name = f"additive_decoder {mode} {shape[:7]}, {biases} biases"
    return Row(
        f"{name}{'' if lengths is None else f', lengths {lengths}'}",
        [AdditiveDecoder, AdditiveDecoderBackward],
        function,
        wanted,
        [samplers],
        size=size,
        twice=shape is TWICE,
        nan=lengths is None,
    )


ROWS = [
    _row(mode, shape, biases)
    for mode in ("gru", "gru_reset_before")
    for number, shape in enumerate(SHAPES)
    for biases in ((0, 1, 2) if number in (0, 4) else (2,))
]
