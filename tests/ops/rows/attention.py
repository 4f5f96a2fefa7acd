"""Rows of attention."""

from __future__ import annotations

import itertools

import numpy as np

from numbanet import autograd
from numbanet.nn import functional as F
from numbanet.ops import attention
from tests.ops import oracles
from tests.ops.row import Row
from tests.ops.samples import bools, given, integers, normal

BOTH = [attention.Attention, attention.AttentionBackward]
SHAPES = [(1, 1, 1, 1, 1, 1), (2, 3, 7, 7, 16, 16), (1, 2, 13, 30, 5, 3), (1, 1, 100, 101, 17, 2), (2, 1, 3, 97, 8, 8)]
"""batch, heads, queries, keys, depth, width."""


def _inputs(shape):
    batch, heads, queries, keys, depth, width = shape
    return [normal(batch, heads, queries, depth), normal(batch, heads, keys, depth), normal(batch, heads, keys, width)]


def _size(q, k, v, mask=None, **options):
    """A rounding error of a score counts relative to the sizes of its terms."""
    largest = (np.abs(q) @ np.abs(k).swapaxes(-1, -2)).max(initial=0) / np.sqrt(q.shape[-1])
    return np.broadcast_to((2 + largest) * np.abs(v).max(initial=0), (*q.shape[:-1], v.shape[-1]))


def _row(name, settings, cases, ops=BOTH, **options):
    return Row(
        name,
        ops,
        lambda q, k, v, mask=None: F.scaled_dot_product_attention(q, k, v, mask, **settings),
        lambda q, k, v, mask=None: oracles.attention(q, k, v, mask, **settings),
        cases,
        size=_size,
        twice=True,
        nan=False,  # of hidden keys: where it goes is left open
        **options,
    )


def _masks():
    for shape in SHAPES:
        batch, heads, queries, keys = shape[:4]
        hidden = np.ones((1, 1, queries, keys), bool)
        hidden[..., queries // 2, :] = False
        padding = np.arange(keys) < np.array([keys, (keys + 1) // 2])[:batch, None, None, None]
        yield [*_inputs(shape), bools(batch, heads, queries, keys)]
        yield [*_inputs(shape), given(hidden)]
        yield [*_inputs(shape), given(padding)]


def _infinite(rng):
    mask = rng.normal(0, 1, (7, 9))
    mask[rng.random(mask.shape) < 0.4] = -np.inf
    mask[3] = -np.inf
    return mask


def _packed(*tensors, causal=None, dropout=None):
    return attention.attention(tensors, None, None, 0.3, causal, dropout)


def _of_packed(*arrays, causal=None, dropout=None):
    parts = attention._split(arrays, len(arrays))
    return oracles.attention(
        *(part.swapaxes(1, 2) for part in parts), scale=0.3, is_causal=causal == "start", dropped=dropout
    ).swapaxes(1, 2)


def _packed_size(*arrays, **options):
    return 4 * np.abs(_of_packed(*map(np.abs, arrays))).max(initial=1)


def _packed_rows():
    no_keys = [(2, 7, 2, 5), (2, 0, 2, 5), (2, 0, 2, 5)]
    shapes = {
        1: [[(2, 11, 3, 2, 5)]], 2: [[(2, 3, 2, 5), (2, 11, 2, 2, 5)]], 3: [[(2, 7, 2, 5)] * 3, no_keys]
    }  # fmt: skip
    for (packing, cases), causal in itertools.product(shapes.items(), (None, "start")):
        for dropout in (None, (0.3, 2**63 + 5, 1, 8)):
            settings = {"causal": causal, "dropout": dropout}
            kinds = BOTH if dropout is None else [attention.DroppedAttention, attention.DroppedAttentionBackward]
            yield Row(
                f"attention packed {packing} {causal} {'dropped' if dropout else ''}",
                kinds,
                lambda *x, k=settings: _packed(*x, **k),
                lambda *x, k=settings: _of_packed(*x, **k),
                [[normal(*shape) for shape in parts] for parts in cases],
                size=lambda *x, k=settings: np.broadcast_to(_packed_size(*x), _of_packed(*x, **k).shape),
                twice=True,
                nan=False,
            )


def _lengths(causal):
    """Keys of each sample: none, some, all."""
    lengths = np.array([0, 4, 9])

    def function(q, k, v):
        parts = [one.transpose(1, 2) for one in (q, k, v)]
        return attention.attention(parts, None, q.new_tensor(lengths), 0.5, causal, None).transpose(1, 2)

    def oracle(q, k, v):
        i, j = np.arange(q.shape[2])[:, None], np.arange(k.shape[2])
        last = lengths[:, None, None, None]
        seen = j < last if causal is None else (j < last) & (j <= i + last - q.shape[2])
        return oracles.attention(q, k, v, np.broadcast_to(seen, (3, 1, q.shape[2], k.shape[2])), scale=0.5)

    shapes = [(3, 2, 6, 9, 4, 4), (3, 1, 1, 9, 5, 2)]
    return Row(
        f"attention by lengths {causal}", BOTH, function, oracle, [_inputs(shape) for shape in shapes], size=_size,
        twice=True, nan=False,
    )  # fmt: skip


LENGTHS = np.array([0, 3, 6])


def _appended(cache, x):
    cache = cache.detach().clone()
    attention.append_rows(cache, x.detach(), x.new_tensor(LENGTHS))
    return cache


def _append_oracle(cache, x):
    cache = cache.copy()
    for sample, length in enumerate(LENGTHS):
        rows = x[sample, : cache.shape[3] - length]
        cache[sample, :, :, length : length + len(rows)] = np.moveaxis(rows, 0, 2)
    return cache


def _advanced(lengths):
    before, lengths = lengths.zeros_like(), lengths.clone()
    places = autograd.apply(attention.Advance(3), before, lengths)
    return before, lengths, places


ROWS = [
    Row(
        "advance", [attention.Advance], _advanced, lambda n: (n, n + 3, n[:, None] + np.arange(3)),
        [[integers(0, 50, 5)], [integers(0, 50, 1)]], differentiable=False,
    ),
    Row(
        "append_rows", [attention.AppendRows], _appended, _append_oracle,
        [[normal(3, 2, 2, 7, 5), normal(3, 2, 2, 2, 5)], [normal(3, 2, 1, 6, 17), normal(3, 1, 2, 1, 17)]],
        differentiable=False,
    ),
    _row("attention", {}, [_inputs(shape) for shape in SHAPES]),
    _row("attention, causal", {"is_causal": True}, [_inputs(shape) for shape in SHAPES]),
    _row("attention, scaled", {"scale": -1.5}, [_inputs(shape) for shape in SHAPES[:2]]),
    _row("attention, bool mask", {}, list(_masks())),
    _row("attention, no key is seen", {}, [[*_inputs((1, 2, 5, 7, 4, 4)), given(np.zeros((5, 7), bool))]]),
    Row(
        "attention, float mask", [attention.Attention],
        F.scaled_dot_product_attention, oracles.attention,
        [[*_inputs((2, 2, 7, 9, 4, 4)), normal(7, 9)], [*_inputs((2, 2, 7, 9, 4, 4)), normal(2, 1, 1, 9)]],
        size=_size, twice=True, nan=False,
    ),
    Row(
        "attention, float mask with infinities", [attention.Attention],
        lambda q, k, v, mask: F.scaled_dot_product_attention(q, k, v, mask.detach()),
        oracles.attention, [[*_inputs((2, 2, 7, 9, 4, 4)), _infinite]], size=_size, nan=False, differentiable=False,
    ),
    *_packed_rows(),
    *map(_lengths, (None, "end")),
]  # fmt: skip
