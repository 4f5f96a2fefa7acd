"""Attention: tiles, parts and blocks that are whole or not, everything that hides keys, and few queries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from numbanet.kernels.cpu.attention import BLOCKS_A_PART
from numbanet.kernels.cpu.attention_few import MOST_QUERIES
from numbanet.kernels.cpu.attention_forward import PART
from numbanet.kernels.cpu.attention_tiles import BLOCK
from numbanet.kernels.numpy import KERNELS
from tests.kernels_cpu.cases.case import Case, random, unset
from tests.kernels_cpu.helpers import EPSILON

SHAPES = (
    (1, 1, 7, 7, 16, 16), (2, 3, 24, 33, 8, 8), (1, 1, PART + 9, BLOCK + 1, 17, 1), (1, 2, 30, BLOCK, 1, 33),
    (1, 1, BLOCK + 13, 2 * BLOCK + 5, 32, 48), (1, 1, 5, 2 * BLOCKS_A_PART * BLOCK + 50, 4, 128),
)  # fmt: skip
"""batch, heads, queries, keys, depth, width."""
FEW = ((2, 2, 1, 37, 16, 16), (1, 1, MOST_QUERIES, 2 * BLOCK + 1, 5, 40), (1, 1, 2, 1, 1, 1))
DROPPED = {"p": 0.3, "seed": 2**63 + 9, "stream": 1, "offset": 12}


def errors(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """Rounding errors of the scores count relative to the sizes of their terms, and all of it to the largest result."""
    at = 2 if case.function == "attention" else 6
    query, key, scale = case.args[at], case.args[at + 1], abs(case.args[at + 5])
    largest = (np.abs(query) @ np.abs(key).swapaxes(2, 3)).max() * scale
    sizes = [np.abs(value[np.isfinite(value)]).max(initial=1) for value in expected]
    return [np.full(v.shape, 2 * EPSILON * (4 + largest) * size) for v, size in zip(expected, sizes, strict=True)]


def _both(name: str, shape: tuple, mask=None, lengths=None, causal=None, dropout=None, scale=0.4):
    """The forward and the backward case."""
    batch, heads, queries, keys, depth, width = shape
    name = f"{name}, {' x '.join(map(str, shape))}"
    query = random(f"q {name}", batch, heads, queries, depth)
    key, value = random(f"k {name}", batch, heads, keys, depth), random(f"v {name}", batch, heads, keys, width)
    out, logsumexp = unset(batch, heads, queries, width), unset(batch, heads, queries)
    options = dropout or {}
    args = (query, key, value, mask, lengths, scale, causal)
    yield Case(f"attention {name}", "attention", (out, logsumexp, *args), (0, 1), errors, options)
    if queries > MOST_QUERIES:
        out, logsumexp = out.astype(np.float64), logsumexp.astype(np.float64)
        wide = [x.astype(np.float64) if x is not None and x.dtype.kind == "f" else x for x in args[:5]]
        KERNELS["attention"](out, logsumexp, *wide, scale, causal, **options)
        outputs = tuple(unset(*x.shape) for x in (query, key, value))
        grad, out, logsumexp = random(f"g {name}", *out.shape), out.astype("f"), logsumexp.astype("f")
        args = (*outputs, grad, out, logsumexp, *args)
        yield Case(f"attention_backward {name}", "attention_backward", args, (0, 1, 2), errors, options)


def _hidden(shape: tuple):
    """What hides keys: masks of both kinds, some of whose rows and blocks hide all of them, and lengths."""
    batch, heads, queries, keys = shape[:4]
    rng = np.random.default_rng(5)
    bits = rng.random((batch, heads, queries, keys)) < 0.5
    bits[:, :, queries // 3] = False
    bits[..., BLOCK:] &= np.arange(queries)[:, None] > queries // 2
    bias = rng.standard_normal(bits.shape).astype(np.float32)
    bias[~bits] = -np.inf
    yield from _both("bool mask", shape, bits)
    yield from _both("float mask", shape, bias, dropout=DROPPED)
    yield from _both("nothing seen", shape, np.zeros_like(bits), causal="start")
    lengths = rng.integers(0, keys, batch)
    yield from _both("lengths", shape, lengths=lengths, scale=-0.3)
    yield from _both("lengths, causal", shape, lengths=lengths + 2, causal="end")
    yield from _both("causal mask", shape, bits, causal="start")


def _strided():
    """Heads that lie between the tokens of one projection, and masks that are repeated."""
    shape = (2, 3, 40, 40, 8, 8)
    packed = random("packed", 2, 40, 3, 3, 8).transpose(2, 0, 3, 1, 4)
    seen = np.random.default_rng(2).random((2, 1, 1, 40)) < 0.6
    seen[1] = False
    for causal in (None, "start"):
        mask = np.broadcast_to(seen, (2, 3, 40, 40))
        for case in _both(f"packed {causal}", shape, mask, causal=causal):
            at = 2 if case.function == "attention" else 6
            yield replace(case, args=(*case.args[:at], *packed, *case.args[at + 3 :]))


def _appends():
    """Rows of several sizes, some of which find no place."""
    for rows, capacity, size, count in ((4, 9, 16, 2), (3, 5, 21, 5)):
        lengths = np.array([0, capacity - 1, capacity, 2])
        args = (random("cache", 4, rows, capacity, size), random("new", 4, count, rows, size), lengths)
        yield Case(f"append_rows {count} of {size}", "append_rows", args)
        args = (unset(4, count, dtype=np.int64), unset(4, dtype=np.int64), lengths)
        yield Case(f"advance by {count}", "advance", args, (0, 1, 2))


ATTENTION = [
    *_appends(),
    *_strided(),
    *(
        case
        for shape in (*SHAPES, *FEW)
        for cases in (
            _both("all seen", shape),
            _both("causal", shape, causal="start"),
            _both("causal from the end", shape, causal="end", dropout=DROPPED),
            _both("dropped", shape, dropout={**DROPPED, "p": 1.0}),
        )
        for case in cases
    ),
    *(case for shape in (SHAPES[1], SHAPES[4], FEW[1]) for case in _hidden(shape)),
]
