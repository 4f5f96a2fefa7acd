"""Attention: softmax(scale · q kᵀ + mask) v without ever holding the scores of more than a block of keys.

``attention_forward.py`` and ``attention_backward.py`` go by tiles, ``attention_few.py`` does few queries.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.array import Array
from numbanet.kernels.cpu import attention_backward as backward
from numbanet.kernels.cpu import attention_few as few
from numbanet.kernels.cpu import attention_forward as forward
from numbanet.kernels.cpu.attention_tiles import BLOCK, Attention
from numbanet.kernels.philox import half_threshold

FLOAT32 = np.dtype(np.float32)
FEWEST_TASKS = 16
"""Tasks that the backward pass is cut into where there are so many blocks of keys: by the shape alone, because the sum
over the parts of a head depends on how many there are."""
BLOCKS_A_PART = 2


def _declines(mask: Array | None, *arrays: Array | None) -> str | None:
    """Why the kernels cannot take these arrays."""
    for array in arrays:
        if array is None:
            continue
        if array.dtype is not FLOAT32:
            return f"dtype {array.dtype}"
        if array.shape[-1] > 1 and array.strides[-1] != 1:
            return "the elements of a head are not adjacent"
    if mask is not None and mask.shape[-1] > 1 and mask.strides[-1] != 1:
        return "the mask's columns are not adjacent"
    return None


def _row(out, logsumexp, query, key, value, mask, lengths, scale, causal, p, seed, stream, offset, **others):
    """The row of arguments; ``others`` are those of the backward pass."""
    is_bias = mask is not None and mask.dtype is FLOAT32
    strides = {}
    named = {"out": out, "query": query, "key": key, "value": value, "mask": mask, **others}
    for name in ("out", "query", "key", "value", "mask", "grad", "query_out", "key_out", "value_out"):
        array = named.get(name)
        along = (0, 0, 0) if array is None else _strides(array)
        strides.update(zip((f"{name}_batch", f"{name}_head", f"{name}_row"), along, strict=True))
    queries, keys = query.shape[2], key.shape[2]
    return Attention(
        out=out, logsumexp=logsumexp, query=query, key=key, value=value, bias=mask if is_bias else None,
        bits=None if is_bias else mask, lengths=lengths, grad=others.get("grad"), query_out=others.get("query_out"),
        key_out=others.get("key_out"), value_out=others.get("value_out"), heads=query.shape[1], queries=queries,
        keys=keys, depth=query.shape[3], width=value.shape[3],
        sight={None: keys, "start": 1, "end": 1 - queries}[causal], from_end=int(causal == "end"),
        parts=others.get("parts", 1), query_out_part=others.get("part", 0), threshold=half_threshold(p) if p else 0,
        seed=seed - (1 << 64) if seed >= 1 << 63 else seed, stream=stream, block=offset // 4,
        scale=float(scale), kept=0.0 if p == 1 else 1 / (1 - p), **strides,
    )  # fmt: skip


def _strides(array: Array) -> tuple[int, int, int]:
    """Strides between samples, heads and rows; 0 where there is but one, so that a mask of one row is seen as such."""
    return tuple(0 if n == 1 else s for n, s in zip(array.shape[:3], array.strides[:3], strict=True))


def attention(
    program, out, logsumexp, query, key, value, mask, lengths, scale, causal, p=0.0, seed=0, stream=0, offset=0
):
    reason = _declines(mask, out, query, key, value)
    if reason is not None or offset % 4:
        return reason or "an offset inside a block"
    batch, heads, queries, depth = query.shape
    args = _row(out, logsumexp, query, key, value, mask, lengths, scale, causal, p, seed, stream, offset)
    keys, width = key.shape[2], value.shape[3]
    if queries <= few.MOST_QUERIES:
        program.append(few.attention_few, batch * heads, args, scratch=few.scratch_size(keys, depth, width))
    else:
        tasks = batch * heads * -(-queries // forward.PART)
        program.append(forward.attention_forward, tasks, args, scratch=forward.scratch_size(depth, width))
    return None


def attention_backward(
    program, query_out, key_out, value_out, grad, out, logsumexp, query, key, value, mask, lengths, scale, causal,
    p=0.0, seed=0, stream=0, offset=0,
):  # fmt: skip
    reason = _declines(mask, out, query, key, value, grad, query_out, key_out, value_out)
    if reason is not None or offset % 4:
        return reason or "an offset inside a block"
    batch, heads, queries, depth = query.shape
    blocks = -(-key.shape[2] // BLOCK)
    parts = max(1, min(blocks // BLOCKS_A_PART, FEWEST_TASKS // max(batch * heads, 1)))
    others = {"grad": grad, "key_out": key_out, "value_out": value_out, "query_out": query_out, "parts": parts}
    if parts > 1:
        others["query_out"] = program.workspace((parts, batch, heads, queries, depth)).view(
            (batch, heads, queries, depth)
        )
        others["part"] = query.size
    args = _row(out, logsumexp, query, key, value, mask, lengths, scale, causal, p, seed, stream, offset, **others)
    scratch = backward.scratch_size(queries, depth, value.shape[3])
    program.append(backward.attention_backward, batch * heads * parts, args, scratch=scratch)
    if parts > 1:
        along = dict(zip(("out_batch", "out_head", "out_row"), _strides(query_out), strict=True))
        rows = batch * heads * queries
        args = args._replace(out=query_out, **along)
        program.append(backward.attention_sum_parts, rows, args, chunk=max(1, 4096 // depth))
    return None


def append_rows(program, out, x, lengths):
    reason = _declines(None, out, x)
    if reason is None:
        batch, rows, capacity, size = out.shape
        args = few.Append(out, x, lengths, rows, capacity, size, x.shape[1])
        program.append(few.append_rows, batch * rows, args, chunk=max(1, 4096 // (x.shape[1] * size)))
    return reason


def advance(program, out, before, lengths):
    batch, count = out.shape
    program.append(few.advance_lengths, batch, few.Advance(out, before, lengths, count), chunk=batch)


FUNCTIONS = (attention, attention_backward, append_rows, advance)
