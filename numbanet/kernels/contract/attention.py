"""Attention, and what a cache of keys and values needs."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare(strided=("out", "query", "key", "value", "mask"), writes=("logsumexp",))
def attention(
    out,
    logsumexp,
    query,
    key,
    value,
    mask,
    lengths,
    scale: float,
    causal: str | None,
    p: float = 0.0,
    seed: int = 0,
    stream: int = 0,
    offset: int = 0,
):
    """out (b, h, m, e) = weights · value with weights = softmax(scale · query keyᵀ + mask) over the keys.

    query (b, h, m, d), key (b, h, n, d), value (b, h, n, e); logsumexp (b, h, m). mask (b, h, m, n) or None: float,
    added, or bool, True where a query sees a key. lengths (b,) int64 or None: keys from there on are hidden (numbers
    beyond 0 … n count as these). causal "start": query i sees the keys up to i; "end": up to i + length − m. With p the
    weights are dropped after the softmax, as ``dropout`` drops (b, h, m, n rounded up to 32). A query that sees no key
    gives 0, and logsumexp +∞."""


@declare(strided=("query_out", "key_out", "value_out", "grad", "out", "query", "key", "value", "mask"))
def attention_backward(
    query_out,
    key_out,
    value_out,
    grad,
    out,
    logsumexp,
    query,
    key,
    value,
    mask,
    lengths,
    scale: float,
    causal: str | None,
    p: float = 0.0,
    seed: int = 0,
    stream: int = 0,
    offset: int = 0,
):
    """Gradients of attention for query, key and value, from grad and out (b, h, m, e); weights are computed again."""


@declare(writes=("before", "lengths"))
def advance(out, before, lengths):
    """before = lengths, lengths += m, and out (b, m) = before + 0 … m − 1: the places of m new tokens; all int64."""


@declare()
def append_rows(out, x, lengths):
    """out[i, :, lengths[i] : lengths[i] + m] = x[i] for out (b, r, n, d), x (b, m, r, d) and lengths (b,) int64.

    Rows that out has no place for are left out."""
