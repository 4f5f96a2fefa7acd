"""Recurrent layers: all cells, both directions, lengths, more and fewer rows than a tile, blocks of the sums, several
tasks, and every choice of gradients."""

from __future__ import annotations

import itertools

import numpy as np

from numbanet.kernels.numpy.recurrent import recurrent as in_numpy
from tests.kernels_cpu.cases.case import Case, random, unset
from tests.kernels_cpu.helpers import EPSILON

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3, "gru_reset_before": 3}
# (t, b, i, h), lengths
SHAPES = {
    "one of all": ((1, 1, 1, 1), None),
    "one row": ((5, 1, 3, 17), None),
    "few rows": ((3, 5, 4, 16), (1, 3, 2, 3, 1)),
    "rows of tiles": ((4, 23, 7, 33), None),
    "lengths of one": ((3, 11, 2, 5), (1,) * 11),
    "falling lengths": ((6, 14, 5, 20), (6, 6, 5, 5, 4, 3, 3, 3, 2, 2, 1, 1, 1, 1)),
    "two blocks of a sum": ((2, 9, 3, 259), None),
}
TABLES = {"one of all": 1, "rows of tiles": 6, "falling lengths": 3, "two blocks of a sum": 2}
"""Rows of the table in which the inputs of a shape are looked up."""
SMALL_TASKS = (("recurrent_cut", "SCRATCH", 1),)
PARTS = (("recurrent", "PART", 1), ("recurrent", "MOST_PARTS", 3))
BLOCKS = [(), (("recurrent_table", "BLOCK", 1), ("recurrent_table", "PLACES_A_ROW", 2))]
BOTH = ("bias_ih", "bias_hh")


def _bound(scale: float):
    def tolerance(case: Case, expected: list) -> list:
        """Sums of terms around 1, through functions of slope at most 1, step after step."""
        return [scale * EPSILON * (1 + np.abs(value).max()) * np.ones_like(value) for value in expected]

    return tolerance


def _inputs(name: str, mode: str, shape: tuple, lengths: tuple | None, biases: tuple, table: int = 0) -> dict:
    """``table``: x is a table of that many rows, of which tokens name all but the last, which holds no numbers."""
    t, b, i, h = shape
    x = random(f"x {name}", table, i) if table else random(f"x {name}", t, b, i)
    if table > 1:
        x[-1] = np.nan
    rows, scale = GATES[mode] * h, np.float32(1 / np.sqrt(h))
    return {
        "x": x,
        "h0": random(f"h0 {name}", b, h),
        "c0": random(f"c0 {name}", b, h) if mode == "lstm" else None,
        "weight_ih": random(f"weight_ih {name}", rows, i) * np.float32(1 / np.sqrt(i)),
        "weight_hh": random(f"weight_hh {name}", rows, h) * scale,
        **{one: random(f"{one} {name}", rows) if one in biases else None for one in BOTH},
        "lengths": None if lengths is None else np.array(lengths),
        "tokens": np.arange(t * b).reshape(t, b) * 7 % max(table - 1, 1) if table else None,
    }


def _outputs(mode: str, shape: tuple) -> list:
    t, b, _, h = shape
    lstm, gated = mode == "lstm", not mode.startswith("rnn")
    return [
        unset(t, b, h), unset(b, h), unset(b, h) if lstm else None, unset(t, b, 4 * h) if gated else None,
        unset(t, b, h) if lstm else None,
    ]  # fmt: skip


def _forward(
    name: str, mode: str, shape: tuple, lengths: tuple | None, reverse: bool, biases: tuple, patches=(), table=0
) -> Case:
    args = (*_outputs(mode, shape), *_inputs(name, mode, shape, lengths, biases, table).values())
    title = f"recurrent {mode} {name}{' reverse' if reverse else ''}, {len(biases)} biases"
    title += f"{f', {table} rows' if table else ''}{', cut' if patches else ''}"
    return Case(title, "recurrent", (*args, mode, reverse), tuple(range(5)), _bound(64), patches=patches)


def _backward(
    name: str, mode: str, shape: tuple, lengths: tuple | None, reverse: bool, wanted: tuple, given: tuple, patches=(),
    table=0,
) -> Case:  # fmt: skip
    inputs = _inputs(name, mode, shape, lengths, BOTH, table)
    results = _outputs(mode, shape)
    in_numpy(*results, *inputs.values(), mode, reverse)
    out, h_n, c_n, gates, cells = results
    names = ("x", "h0", "c0", "weight_ih", "weight_hh", *BOTH)
    outs = [None if inputs[one] is None or one not in wanted else unset(*inputs[one].shape) for one in names]
    grads = [
        None if like is None or kind not in given else random(f"{kind} {name}", *like.shape)
        for kind, like in (("grad", out), ("grad_h", h_n), ("grad_c", c_n))
    ]
    rest = [inputs[one] for one in ("x", "h0", "c0", "weight_ih", "weight_hh", "lengths", "tokens")]
    kind = "all" if wanted is ALL else " ".join(wanted)
    title = f"recurrent_backward {mode} {name}{' reverse' if reverse else ''}, {kind} from {len(given)}"
    return Case(
        f"{title}{f', {table} rows' if table else ''}{f', {len(patches)} cuts' if patches else ''}",
        "recurrent_backward",
        (*outs, *grads, out, gates, cells, *rest, mode, reverse), tuple(range(7)), _bound(256), patches=patches,
    )  # fmt: skip


ALL = ("x", "h0", "c0", "weight_ih", "weight_hh", *BOTH)
GRADS = ("grad", "grad_h", "grad_c")


def _cases():
    for mode, (number, (name, (shape, lengths))) in itertools.product(GATES, enumerate(SHAPES.items())):
        for reverse in (False, True) if lengths else (number % 2 == 0,):
            yield _forward(name, mode, shape, lengths, reverse, BOTH)
            yield _backward(name, mode, shape, lengths, reverse, ALL, GRADS)
    for mode in GATES:
        shape, lengths = SHAPES["few rows"]
        yield _forward("few rows", mode, shape, lengths, False, ())
        yield _forward("few rows", mode, shape, lengths, False, BOTH[:1])
        yield _backward("few rows", mode, shape, lengths, False, ("weight_hh", "bias_hh"), ("grad",))
        yield _backward("few rows", mode, shape, lengths, True, ("x", "bias_ih"), ("grad_h",))
        shape, lengths = SHAPES["falling lengths"]
        yield _forward("falling lengths", mode, shape, lengths, False, BOTH, SMALL_TASKS)
        yield _backward("falling lengths", mode, shape, lengths, True, ALL, GRADS, (*SMALL_TASKS, *PARTS))
        yield _backward("rows of tiles", mode, *SHAPES["rows of tiles"], False, ALL, GRADS[:1], PARTS)
        for name, rows in TABLES.items():
            reverse = rows % 2 == 0
            yield _forward(name, mode, *SHAPES[name], reverse, BOTH, table=rows)
            yield _backward(name, mode, *SHAPES[name], reverse, ALL, GRADS, table=rows)
        name = "rows of tiles"
        yield _forward(name, mode, *SHAPES[name], False, (), SMALL_TASKS, TABLES[name])
        for blocks in BLOCKS:
            cuts = (*SMALL_TASKS, *PARTS, *blocks)
            yield _backward(name, mode, *SHAPES[name], False, ALL, GRADS, cuts, TABLES[name])
        yield _backward(name, mode, *SHAPES[name], True, ("weight_hh", "bias_hh"), GRADS, PARTS, TABLES[name])
        yield _backward(name, mode, *SHAPES[name], False, ("x",), GRADS, PARTS, TABLES[name])


RECURRENT = list(_cases())
