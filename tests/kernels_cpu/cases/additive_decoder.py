"""The decoder with additive attention: both forms of the GRU, more and fewer rows than a tile, blocks of the sums,
masks with holes and rows of nothing, several tasks, and every choice of gradients."""

from __future__ import annotations

import itertools

import numpy as np

from numbanet.kernels.numpy.additive_decoder import additive_decoder as in_numpy
from tests.kernels_cpu.cases.case import Case, random, unset
from tests.kernels_cpu.helpers import EPSILON

# t, b, n, e, m, d, a; what is hidden
SHAPES = {
    "one of all": ((1, 1, 1, 1, 1, 1, 1), None),
    "one row": ((5, 1, 3, 2, 33, 17, 16), None),
    "few rows": ((3, 5, 17, 4, 80, 16, 31), "end"),
    "rows of tiles": ((4, 23, 7, 5, 64, 33, 20), "holes"),
    "one place": ((3, 11, 1, 2, 5, 5, 7), "end"),
    "two blocks of a sum": ((2, 9, 5, 3, 259, 90, 261), "end"),
}
SMALL_TASKS = (("recurrent_cut", "SCRATCH", 1), ("additive_decoder", "FEWEST", 1))
NAMES = ("words", "memory", "keys", "h0", "weight_query", "weight_score", "weight_ih", "weight_hh")
BIASES = ("bias_ih", "bias_hh")
GRADS = ("grad", "grad_contexts", "grad_weights")


def _bound(scale: float):
    def tolerance(case: Case, expected: list) -> list:
        """Sums of terms around 1, through functions of slope at most 1, step after step."""
        return [scale * EPSILON * (1 + np.abs(value).max()) * np.ones_like(value) for value in expected]

    return tolerance


def _hidden(how: str | None, batch: int, length: int) -> np.ndarray | None:
    """Row 0 has nothing to look at, row 1 a single place, the others some."""
    if how is None:
        return None
    rng = np.random.default_rng(batch + length)
    hidden = np.arange(length) >= rng.integers(1, length + 1, batch)[:, None]
    if how == "holes":
        hidden = rng.random((batch, length)) < 0.5
    hidden[0], hidden[1] = True, np.arange(length) > 0
    return hidden


def _inputs(name: str, shape: tuple, how: str | None, biases: tuple) -> dict:
    t, b, n, e, m, d, a = shape
    shapes = ((t, b, e), (b, n, m), (b, n, a), (b, d), (a, d), (1, a), (3 * d, e + m), (3 * d, d))
    scaled = {"weight_query": d, "weight_score": a, "weight_ih": e + m, "weight_hh": d}
    values = {
        one: random(f"{one} {name}", *size) * np.float32(1 / np.sqrt(scaled.get(one, 1)))
        for one, size in zip(NAMES, shapes, strict=True)
    }
    values |= {one: random(f"{one} {name}", 3 * d) if one in biases else None for one in BIASES}
    return {**values, "hidden": _hidden(how, b, n)}


def _outputs(shape: tuple) -> list:
    t, b, n, _, m, d, a = shape
    return [unset(t, b, size) for size in (d, m, n, a, 4 * d)]


def _given(by: dict, *names: str) -> tuple:
    return tuple(by[name] for name in names)


FORWARD = (*NAMES[:3], "hidden", *NAMES[3:], *BIASES)
BACKWARD = (*NAMES[:3], "hidden", *NAMES[3:])


def _forward(name: str, mode: str, biases: tuple = BIASES, patches=()) -> Case:
    shape, how = SHAPES[name]
    args = (*_outputs(shape), *_given(_inputs(name, shape, how, biases), *FORWARD), mode)
    title = f"additive_decoder {mode} {name}, {len(biases)} biases{', cut' if patches else ''}"
    return Case(title, "additive_decoder", args, tuple(range(5)), _bound(64), patches=patches)


def _backward(name: str, mode: str, wanted: tuple, given: tuple = GRADS, patches=()) -> Case:
    shape, how = SHAPES[name]
    by, results = _inputs(name, shape, how, BIASES), _outputs(shape)
    in_numpy(*results, *_given(by, *FORWARD), mode)
    outs = [unset(*by[one].shape) if one in wanted else None for one in (*NAMES, *BIASES)]
    grads = [
        random(f"{kind} {name}", *like.shape) if kind in given else None
        for kind, like in zip(GRADS, results[:3], strict=True)
    ]
    title = f"additive_decoder_backward {mode} {name}, {len(wanted)} from {len(given)}{', cut' if patches else ''}"
    args = (*outs, *grads, *results, *_given(by, *BACKWARD), mode)
    return Case(title, "additive_decoder_backward", args, tuple(range(10)), _bound(256), patches=patches)


def _cases():
    for mode, name in itertools.product(("gru", "gru_reset_before"), SHAPES):
        yield _forward(name, mode)
        yield _backward(name, mode, (*NAMES, *BIASES))
    for mode in ("gru", "gru_reset_before"):
        yield _forward("few rows", mode, ())
        yield _forward("few rows", mode, BIASES[:1])
        yield _backward("few rows", mode, ("weight_ih", "bias_hh", "keys"), GRADS[:1])
        yield _backward("few rows", mode, ("memory", "bias_ih"), GRADS[1:2])
        yield _forward("rows of tiles", mode, BIASES, SMALL_TASKS)
        yield _backward("rows of tiles", mode, (*NAMES, *BIASES), GRADS, SMALL_TASKS)


ADDITIVE_DECODER = list(_cases())
