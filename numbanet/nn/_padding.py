"""Padding: values around a tensor, constant, mirrored, repeated, or from the other side."""

from __future__ import annotations

from collections.abc import Sequence

from numbanet.autograd import apply
from numbanet.creation import cat
from numbanet.ops.shape import Place
from numbanet.tensor import Tensor

MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """input with more around it: pad holds (before, after) for the last dimension, then the one before it, …

    ``mode`` says with what: "constant" with ``value`` or 0, "reflect" with what lies inside, mirrored at the outermost
    element, "replicate" with the outermost element, "circular" with what lies at the other end. Negative numbers cut
    off.

    Raises RuntimeError for a padding that the input is too small for: "reflect" takes at most its extent less one,
    "circular" its extent."""
    if mode not in MODES:
        raise NotImplementedError(f"pad: mode {mode!r} is not available; there are: {', '.join(map(repr, MODES))}")
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise RuntimeError(
            f"pad needs a (before, after) pair a dimension, at most {input.ndim} pairs, got {tuple(pad)}"
        )
    pairs = [(0, 0)] * (input.ndim - len(pad) // 2)
    pairs += [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    for extent, (before, after) in zip(input.shape, pairs, strict=True):
        if extent + before + after < 0:
            raise RuntimeError(f"pad {tuple(pad)} cuts off more than there is of shape {input.shape}")
    added = [(max(0, before), max(0, after)) for before, after in pairs]
    if mode == "constant":
        return _in_constant(_cut(input, pairs), added, 0.0 if value is None else value)
    if not any(map(any, added)):
        return _cut(input, pairs).clone()
    result = _cut(input, pairs) if mode == "circular" else input  # a mirror shows what is cut off, too
    for dim, (before, after) in enumerate(added):
        if before or after:
            result = _beside_itself(result, dim, before, after, mode)
    return result if mode == "circular" else _cut(result, pairs)


def _cut(x: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    """x without what negative numbers of the pairs cut off."""
    if all(before >= 0 and after >= 0 for before, after in pairs):
        return x
    inner = [slice(max(0, -a), extent - max(0, -b), 1) for extent, (a, b) in zip(x.shape, pairs, strict=True)]
    return x[tuple(inner)]


def _in_constant(kept: Tensor, added: list[tuple[int, int]], value: float) -> Tensor:
    shape = tuple(before + extent + after for extent, (before, after) in zip(kept.shape, added, strict=True))
    place = tuple(slice(before, before + extent, 1) for extent, (before, _) in zip(kept.shape, added, strict=True))
    return apply(Place(shape, place, value), kept)


def _beside_itself(x: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    """x between copies of its own elements along one dimension."""
    extent = x.shape[dim]
    most = {"reflect": extent - 1, "circular": extent, "replicate": max(before, after) if extent else 0}[mode]
    if max(before, after) > most:
        raise RuntimeError(
            f"pad: mode {mode!r} takes at most {max(0, most)} on a side of dimension {dim}, which has {extent} "
            f"elements; got {before} and {after}"
        )
    if mode == "reflect":
        first, last = x.narrow(dim, 1, before).flip(dim), x.narrow(dim, extent - 1 - after, after).flip(dim)
    elif mode == "circular":
        first, last = x.narrow(dim, extent - before, before), x.narrow(dim, 0, after)
    else:
        first, last = (
            x.narrow(dim, at, 1).expand(*x.shape[:dim], count, *x.shape[dim + 1 :])
            for at, count in ((0, before), (extent - 1, after))
        )
    return cat([part for part in (first, x, last) if part.shape[dim]], dim)
