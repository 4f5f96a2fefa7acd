"""Scaled dot-product attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from numbanet.autograd import apply, apply_mutating, is_grad_enabled
from numbanet.kernels.array import Array
from numbanet.ops.base import BOOL, INT64, Op, Spec, require_float, sum_to
from numbanet.ops.indexing import Concatenate
from numbanet.ops.random import Dropout

if TYPE_CHECKING:
    from numbanet.autograd import Node
    from numbanet.tensor import Tensor

PACKINGS = {3: (None, None, None), 2: (None, 0, 1), 1: (0, 1, 2)}
"""Where query, key and value lie, by the number of tensors that hold them: along dimension 2 of a common one."""
NUMBERS = 32
"""The random numbers of a query (halves of words) begin at a multiple of this."""


def numbers_of(batch: int, heads: int, queries: int, keys: int) -> int:
    """How many random numbers dropout draws."""
    return batch * heads * queries * (-(-keys // NUMBERS) * NUMBERS)


def _split(tensors: Sequence, packing: int) -> list:
    """Query, key and value, each (b, t, h, d), of the tensors that hold them."""
    holders = {3: (0, 1, 2), 2: (0, 1, 1), 1: (0, 0, 0)}[packing]
    return [_part(tensors[holder], part) for holder, part in zip(holders, PACKINGS[packing], strict=True)]


def _part(x: Array, part: int | None) -> Array:
    if part is None:
        return x
    if not isinstance(x, Array):
        return x[:, :, part]
    shape, strides = (*x.shape[:2], *x.shape[3:]), (*x.strides[:2], *x.strides[3:])
    return x.view(shape, strides, x.offset + part * x.strides[2])


def _by_heads(x: Array) -> Array:
    """(b, t, h, d) seen as (b, h, t, d)."""
    b, t, h, d = range(4)
    return x.view(tuple(x.shape[i] for i in (b, h, t, d)), tuple(x.strides[i] for i in (b, h, t, d)))


def rows_adjacent(x: Tensor) -> Tensor:
    """x, copied if the elements of a row do not lie side by side: the kernels take any other strides."""
    return x if x._array.strides[-1] == 1 or x._array.shape[-1] == 1 else x.contiguous()


def _over(mask: Array, shape: tuple[int, ...]) -> Array:
    """A mask of four dimensions seen with this shape."""
    return mask.view(shape, tuple(0 if n != m else s for n, m, s in zip(mask.shape, shape, mask.strides, strict=True)))


@dataclass(slots=True, eq=False)
class Attention(Op):
    """(y, logsumexp): y (b, m, h, e) = softmax(scale · q kᵀ + mask) v in each head; logsumexp (b, h, m).

    Inputs: q (b, m, h, d), k (b, n, h, d) and v (b, n, h, e) as ``packing`` 3 tensors; or q and (b, n, 2, h, d), or
    (b, m, 3, h, d). Then those that ``given`` names: mask, which broadcasts to (b, h, m, n), float to be added or bool,
    True where a query sees a key; lengths (b,) int64, the keys that a sample has. causal: None; "start", query i sees
    the keys up to i; "end", up to i + length − m. A query that sees nothing gives 0. Vaswani et al. 2017; never holds
    m × n numbers, nor does its gradient (Dao et al. 2022).

    With P the weights and g = ∂y: ∂v = Pᵀ g, ∂S = P·(g vᵀ − Σ g·y), ∂q = scale · ∂S k, ∂k = scale · ∂Sᵀ q, ∂mask = ∂S.
    """

    strided: ClassVar[bool] = True
    saves_outputs: ClassVar = (0, 1)
    packing: int
    given: tuple[str, ...]
    scale: float
    causal: str | None

    def infer(self, *arrays):
        require_float("attention", *arrays[: self.packing])
        query, key, value = _split(arrays, self.packing)
        named = dict(zip(self.given, arrays[self.packing :], strict=True))
        batch, queries, heads, depth = query.shape
        keys = key.shape[1]
        if key.shape != (batch, keys, heads, depth) or value.shape[:3] != (batch, keys, heads):
            raise RuntimeError(
                f"attention: a query of shape {query.shape}, a key of shape {key.shape} and a value of shape "
                f"{value.shape} do not fit: (batch, length, heads, features), of which key and value share the length"
            )
        mask, lengths = named.get("mask"), named.get("lengths")
        if mask is not None:
            wanted = (batch, heads, queries, keys)
            if any(n not in (1, m) for n, m in zip(mask.shape, wanted, strict=True)):
                raise RuntimeError(f"attention: a mask of shape {mask.shape} does not broadcast to {wanted}")
            if mask.dtype != BOOL and mask.dtype != query.dtype:
                raise RuntimeError(
                    f"attention: expected attn_mask dtype to be bool or {query.dtype}, as the query's, got {mask.dtype}"
                )
        if lengths is not None and (lengths.shape != (batch,) or lengths.dtype != INT64):
            raise RuntimeError(f"attention: lengths should be int64 of shape ({batch},), got {lengths}")
        return Spec((batch, queries, heads, value.shape[3]), query.dtype), Spec((batch, heads, queries), query.dtype)

    def arguments(self, arrays: Sequence[Array]) -> tuple:
        """What both kernels take from the inputs on."""
        query, key, value = map(_by_heads, _split(arrays, self.packing))
        named = dict(zip(self.given, arrays[self.packing :], strict=True))
        mask = named.get("mask")
        if mask is not None:
            mask = _over(mask, (*query.shape[:3], key.shape[2]))
        return query, key, value, mask, named.get("lengths"), self.scale, self.causal

    def forward(self, program, out, *arrays):
        program.attention(_by_heads(out[0]), out[1], *self.arguments(arrays))

    def gradients(self) -> AttentionBackward:
        """The op that computes the gradients in one go."""
        return AttentionBackward(self.packing, self.given, self.scale, self.causal)

    def saved_inputs(self, needs):
        return range(len(needs))

    def backward(self, node: Node, grad: Tensor | None, grad_logsumexp: Tensor | None):
        if grad_logsumexp is not None:
            raise RuntimeError("the second output of Attention has no gradient")
        inputs = [node.input(index) for index in range(len(node.needs))]
        if is_grad_enabled() or any(node.needs[self.packing :]):
            grads = _composed(self, inputs, grad)
        else:
            results = apply(self.gradients(), *inputs, rows_adjacent(grad), node.output(0), node.output(1))
            grads = results if type(results) is tuple else (results,)
        grads = [*grads, *[None] * (len(inputs) - len(grads))]
        return tuple([one if need else None for one, need in zip(grads, node.needs, strict=True)])


@dataclass(slots=True, eq=False)
class DroppedAttention(Attention):
    """Attention whose weights are dropped with probability p after the softmax, else divided by 1 − p.

    No factors M are kept: the gradient draws them again. ∂v = (P·M)ᵀ g and ∂S = P·(g vᵀ·M − Σ g·y), else as before."""

    repeats: ClassVar[bool] = False
    p: float
    seed: int
    stream: int
    offset: int

    @property
    def dropout(self) -> Dropout:
        """The op that draws the factors."""
        return Dropout(self.seed, self.stream, self.offset, self.p, 0.0 if self.p == 1 else 1 / (1 - self.p))

    def forward(self, program, out, *arrays):
        drawn = (self.p, self.seed, self.stream, self.offset)
        program.attention(_by_heads(out[0]), out[1], *self.arguments(arrays), *drawn)

    def gradients(self) -> AttentionBackward:
        return DroppedAttentionBackward(
            self.packing, self.given, self.scale, self.causal, self.p, self.seed, self.stream, self.offset
        )


@dataclass(slots=True, eq=False)
class AttentionBackward(Op):
    """The gradients of Attention for the tensors that hold query, key and value; the weights are computed again.

    Inputs: those of Attention, ∂y, y and logsumexp. It has no gradient of its own: Attention puts its gradient together
    from other ops where that will be differentiated."""

    strided: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False
    packing: int
    given: tuple[str, ...]
    scale: float
    causal: str | None

    def infer(self, *arrays):
        return tuple([Spec(array.shape, array.dtype) for array in arrays[: self.packing]])

    def forward(self, program, out, *arrays, drawn=()):
        *inputs, grad, y, logsumexp = arrays
        grads = map(_by_heads, _split(out if type(out) is tuple else (out,), self.packing))
        arguments = Attention.arguments(self, inputs)
        program.attention_backward(*grads, _by_heads(grad), _by_heads(y), logsumexp, *arguments, *drawn)


@dataclass(slots=True, eq=False)
class DroppedAttentionBackward(AttentionBackward):
    """The gradients of DroppedAttention."""

    repeats: ClassVar[bool] = False
    p: float
    seed: int
    stream: int
    offset: int

    def forward(self, program, out, *arrays):
        drawn = (self.p, self.seed, self.stream, self.offset)
        AttentionBackward.forward(self, program, out, *arrays, drawn=drawn)


@dataclass(slots=True, eq=False)
class AppendRows(Op):
    """cache[i, …, lengths[i] + k] = x[i, k] for the k = 0 … m − 1 that there is place for.

    Inputs: cache (b, 2, h, n, d), changed in place; x (b, m, 2, h, d), keys and values; lengths (b,) int64. No
    gradient: it serves generation."""

    differentiable: ClassVar[bool] = False
    mutates: ClassVar = (0,)

    def infer(self, cache, x, lengths):
        require_float("append_rows", cache, x)
        batch, rows, heads, _, size = cache.shape
        if x.ndim != 5 or (x.shape[0], *x.shape[2:]) != (batch, rows, heads, size) or lengths.shape != (batch,):
            raise RuntimeError(
                f"keys and values of shape {x.shape} and lengths of shape {lengths.shape} do not fit a cache of shape "
                f"{cache.shape}"
            )

    def forward(self, program, out, cache, x, lengths):
        batch, rows, heads, capacity, size = cache.shape
        x = x.view((batch, x.shape[1], rows * heads, size))
        program.append_rows(cache.view((batch, rows * heads, capacity, size)), x, lengths)


@dataclass(slots=True, eq=False)
class Advance(Op):
    """places (b, count) = lengths + 0 … count − 1, those of new tokens; before = lengths and then lengths += count, in
    place. Inputs: before and lengths (b,) int64. No gradient."""

    differentiable: ClassVar[bool] = False
    mutates: ClassVar = (0, 1)
    count: int

    def infer(self, before, lengths):
        if not before.dtype == lengths.dtype == INT64 or before.shape != lengths.shape or before.ndim != 1:
            raise RuntimeError(f"advance needs two int64 tensors of shape (b,), got {before} and {lengths}")
        return Spec((before.shape[0], self.count), INT64)

    def forward(self, program, out, before, lengths):
        program.advance(out, before, lengths)


def append_rows(cache: Tensor, x: Tensor, lengths: Tensor) -> None:
    """Write keys and values behind those that are there; see AppendRows."""
    apply_mutating(AppendRows(), cache, x, lengths)


def _composed(op: Attention, inputs: Sequence[Tensor], grad: Tensor) -> list[Tensor]:
    """The gradients of query, key and value, as they were packed, and of the mask, from ops that have gradients."""
    query, key, value = (part.transpose(1, 2) for part in _split(inputs, op.packing))
    named = dict(zip(op.given, inputs[op.packing :], strict=True))
    grad, dropped = grad.transpose(1, 2), None
    weights = attention_weights(query, key, named.get("mask"), named.get("lengths"), op.scale, op.causal)
    slopes = grad @ value.mT
    if isinstance(op, DroppedAttention):
        dropped = drop_factors(weights, op.dropout)
        slopes = slopes * dropped
    slopes = weights * (slopes - (weights * slopes).sum(-1, keepdim=True))
    kept = weights if dropped is None else weights * dropped
    grads = [slopes @ key * op.scale, slopes.mT @ query * op.scale, kept.mT @ grad]
    grads = _together([one.transpose(1, 2) for one in grads], op.packing)
    if "mask" in named and named["mask"].dtype != BOOL:
        grads.append(sum_to(slopes, named["mask"].shape))
    return grads


def _together(parts: list[Tensor], packing: int) -> list[Tensor]:
    """The reverse of _split."""
    if packing == 3:
        return parts
    separate, joined = parts[: packing - 1], parts[packing - 1 :]
    return [*separate, apply(Concatenate(2), *[part.unsqueeze(2) for part in joined])]


def attention_weights(
    query: Tensor, key: Tensor, mask: Tensor | None, lengths: Tensor | None, scale: float, causal: str | None
) -> Tensor:
    """softmax(scale · q kᵀ + mask) (b, h, m, n) in full, from query and key (b, h, t, d); see Attention.

    Zeros for a query that sees no key."""
    scores = (query * scale) @ key.mT
    seen = _causal(query, key, lengths, causal)
    if mask is not None:
        shown = mask if mask.dtype == BOOL else mask != -math.inf
        seen = shown if seen is None else seen & shown
        if mask.dtype != BOOL:
            scores = scores + shown.where(mask, 0.0)
    if seen is None:
        return scores.softmax(-1)
    some = seen.any(-1, keepdim=True)
    scores = (seen | ~some).where(scores, -math.inf)  # a row of −∞ alone would be NaN
    return (seen & some).where(scores.softmax(-1), 0.0)


def _causal(query: Tensor, key: Tensor, lengths: Tensor | None, causal: str | None) -> Tensor | None:
    """The keys that lengths and a causal mask leave, (b or 1, 1, m or 1, n)."""
    if lengths is None and causal is None:
        return None
    queries, keys = query.shape[2], key.shape[2]
    length = np.array(keys) if lengths is None else lengths.detach().numpy().clip(0, keys)[:, None, None, None]
    i, j = np.arange(queries)[:, None], np.arange(keys)
    seen = j < length
    if causal is not None:
        seen = seen & (j <= i + (0 if causal == "start" else length - queries))
    if seen.ndim > 1:
        seen = seen.reshape(seen.shape[0] if seen.ndim == 4 else 1, 1, *seen.shape[-2:])
    return query.new_tensor(seen if seen.ndim > 1 else seen[None])


def drop_factors(weights: Tensor, dropout: Dropout) -> Tensor:
    """What the weights (b, h, m, n) are multiplied by: 0 or 1/(1 − p), by the numbers that the kernels draw."""
    *lead, keys = weights.shape
    ones = weights.detach().new_ones((*lead, -(-keys // NUMBERS) * NUMBERS), weights.dtype)
    return apply(dropout, ones)[..., :keys]


def attention(
    tensors: Sequence[Tensor],
    mask: Tensor | None,
    lengths: Tensor | None,
    scale: float,
    causal: str | None,
    dropout: tuple[float, int, int, int] | None,
) -> Tensor:
    """y (b, m, h, e) of one to three tensors that hold query, key and value; see Attention.

    dropout: (p, seed, stream, offset), or None."""
    others = {"mask": mask, "lengths": lengths}
    given = tuple([name for name, value in others.items() if value is not None])
    settings = len(tensors), given, scale, causal
    op = Attention(*settings) if dropout is None else DroppedAttention(*settings, *dropout)
    return apply(op, *tensors, *[others[name] for name in given])[0]
