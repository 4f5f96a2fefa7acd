"""Scaled dot-product attention as a function: what ``nn.functional`` shows of it."""

from __future__ import annotations

import math

from numbanet import random
from numbanet.ops.attention import attention, numbers_of, rows_adjacent
from numbanet.ops.base import FLOAT32, broadcast_shapes
from numbanet.tensor import Tensor


def drawn_dropout(p: float, batch: int, heads: int, queries: int, keys: int) -> tuple[float, int, int, int] | None:
    """p and a place in the dropout stream with as many words as there are weights; None without dropout."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if p == 0:
        return None
    return p, *random.draw(random.DROPOUT, numbers_of(batch, heads, queries, keys), FLOAT32)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(scale · query keyᵀ + attn_mask) value: query (…, h, m, d), key (…, h, n, d), value (…, h, n, e).

    attn_mask broadcasts to (…, h, m, n): float, added, or bool, True where a query sees a key. With is_causal query i
    sees the keys up to i. scale is 1/√d by default; 1 is dot attention (LECTURE row L34). The weights are dropped with
    probability dropout_p (always: there is no ``training`` here, as in PyTorch). With enable_gqa a head of key and
    value serves several of query, side by side. A query that sees no key gives 0. Memory grows with m and n, not with
    m · n.

    RuntimeError for shapes that do not fit, and for attn_mask together with is_causal."""
    if attn_mask is not None and is_causal:
        raise RuntimeError("Explicit attn_mask should not be set when is_causal=True")
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            "scaled_dot_product_attention needs tensors of 2 or more dimensions, (…, length, features), got "
            f"{query.shape}, {key.shape} and {value.shape}"
        )
    if enable_gqa:
        key, value = (_repeat_heads(one, query.shape[-3]) for one in (key, value))
    lead = broadcast_shapes(query.shape[:-2], broadcast_shapes(key.shape[:-2], value.shape[:-2]))
    query, key, value = (one.expand((*lead, *one.shape[-2:])) for one in (query, key, value))
    four = (*(1,) * (4 - query.ndim), *lead) if query.ndim <= 4 else (math.prod(lead[:-1]), lead[-1])
    four = four[:2]
    queries, keys = query.shape[-2], key.shape[-2]
    if attn_mask is not None:
        attn_mask = _mask(attn_mask, lead, four, queries, keys)
    parts = [rows_adjacent(one.reshape((*four, *one.shape[-2:]))).transpose(1, 2) for one in (query, key, value)]
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    dropout = drawn_dropout(dropout_p, *four, queries, keys)
    result = attention(parts, attn_mask, None, float(scale), "start" if is_causal else None, dropout)
    return result.transpose(1, 2).reshape((*lead, queries, value.shape[-1]))


def _repeat_heads(x: Tensor, heads: int) -> Tensor:
    """(…, h, n, d) with each head several times, to be as many as ``heads``."""
    if x.ndim < 3 or heads % x.shape[-3]:
        raise RuntimeError(f"enable_gqa: {heads} heads of the query are no multiple of those of {x.shape}")
    times = heads // x.shape[-3]
    shape = (*x.shape[:-2], times, *x.shape[-2:])
    return x.unsqueeze(-3).expand(shape).reshape((*x.shape[:-3], heads, *x.shape[-2:]))


def _mask(mask: Tensor, lead: tuple, four: tuple, queries: int, keys: int) -> Tensor:
    """A mask in four dimensions, each of them whole or 1, its last one side by side."""
    if mask.ndim < 2 or mask.ndim > len(lead) + 2:
        raise RuntimeError(f"attn_mask of shape {mask.shape} does not broadcast to {(*lead, queries, keys)}")
    if mask.shape[-1] != keys:
        mask = mask.expand((*mask.shape[:-1], keys))
    if len(lead) <= 2:
        mask = mask.reshape((*(1,) * (4 - mask.ndim), *mask.shape))
    elif all(extent == 1 for extent in mask.shape[:-2]):
        mask = mask.reshape((1, 1, *mask.shape[-2:]))
    else:
        mask = mask.expand((*lead, *mask.shape[-2:])).reshape((*four, *mask.shape[-2:]))
    return rows_adjacent(mask)
