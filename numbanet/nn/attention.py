"""Multi-head attention (LECTURE row L35) and what it remembers of earlier tokens while text is generated."""

from __future__ import annotations

import math

import numpy as np

from numbanet.autograd import apply
from numbanet.creation import cat, empty, zeros
from numbanet.nn import functional as F
from numbanet.nn import init
from numbanet.nn._attention import drawn_dropout
from numbanet.nn.linear import Linear
from numbanet.nn.module import Module
from numbanet.nn.parameter import Parameter
from numbanet.ops.attention import Advance, append_rows, attention, attention_weights, drop_factors
from numbanet.ops.base import BOOL
from numbanet.ops.random import Dropout
from numbanet.tensor import Tensor


class Progress:
    """How many tokens the texts have: ``before`` and with the ones (b,) of this step, shared by all layers' caches.

    They are tensors that the kernels read, so a step is the same calls however long the texts have become."""

    def __init__(self, batch: int, capacity: int) -> None:
        self.before, self.lengths = zeros(batch, dtype=np.int64), zeros(batch, dtype=np.int64)
        self.capacity, self.longest = capacity, 0

    def reserve(self, count: int) -> None:
        """Note that ``count`` more tokens a text come. ValueError if there is no room for them."""
        if self.longest + count > self.capacity:
            raise ValueError(
                f"{self.longest} tokens and {count} more are more than the {self.capacity} that the model can look "
                "back on; make the text shorter, or build the model with more positions"
            )
        self.longest += count

    def advance(self, count: int) -> Tensor:
        """The step with these tokens begins; their places (b, count). It works in place, so a recorded step may be
        replayed."""
        return apply(Advance(count), self.before, self.lengths)

    def select(self, rows: Tensor) -> None:
        """Go on with these texts (their numbers)."""
        self.before, self.lengths = self.before[rows], self.lengths[rows]


class KeyValueCache:
    """The keys and values of the tokens so far, for self-attention that is shown only the new ones.

    The place for all tokens that ``progress`` allows is taken once; how many there are it knows: its ``advance`` is
    called once a step, before the layers."""

    def __init__(self, batch: int, heads: int, size: int, progress: Progress) -> None:
        self.memory = zeros(batch, 2, heads, progress.capacity, size)
        self.progress = progress

    def append(self, pairs: Tensor) -> Tensor:
        """Write keys and values (b, m, 2, h, d) of new tokens behind the earlier ones; all as (b, n, 2, h, d)."""
        append_rows(self.memory, pairs, self.progress.before)
        return self.memory.permute(0, 3, 1, 2, 4)

    def select(self, rows: Tensor) -> None:
        """Go on with these texts (their numbers), as beam search does."""
        self.memory = self.memory[rows]


class FixedKeyValues:
    """The keys and values of a memory that does not change, as the encoder's while a decoder writes, and the mask of
    its padding: made once, by the first step."""

    pairs: Tensor | None = None
    mask: Tensor | None = None

    def select(self, rows: Tensor) -> None:
        """Go on with these texts (their numbers)."""
        self.pairs, self.mask = (None if one is None else one[rows] for one in (self.pairs, self.mask))


class MultiheadAttention(Module):
    """Attention in ``num_heads`` subspaces: heads softmax(q kᵀ/√d) v of projections of query, key and value, joined
    and projected again (Vaswani et al. 2017). Names, shapes and ``state_dict`` keys are PyTorch's.

    ``is_causal`` needs no ``attn_mask`` here. Unless ``need_weights``, memory grows with the lengths and not with their
    product; self-attention is one projection. A query that sees no key gives the output of a zero."""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        dtype: np.dtype | type | None = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        if embed_dim % num_heads:
            raise AssertionError("embed_dim must be divisible by num_heads")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        self.is_packed = self.kdim == self.vdim == embed_dim
        shapes = {
            "in_proj_weight": (3 * embed_dim, embed_dim) if self.is_packed else None,
            "q_proj_weight": None if self.is_packed else (embed_dim, embed_dim),
            "k_proj_weight": None if self.is_packed else (embed_dim, self.kdim),
            "v_proj_weight": None if self.is_packed else (embed_dim, self.vdim),
            "in_proj_bias": (3 * embed_dim,) if bias else None,
            "bias_k": (1, 1, embed_dim) if add_bias_kv else None,
            "bias_v": (1, 1, embed_dim) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            self.register_parameter(name, None if shape is None else Parameter(empty(*shape, dtype=dtype)))
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the projections anew: Glorot's uniform distribution, biases 0, the output as a linear layer's."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        if self.bias_k is not None:
            init.xavier_normal_(self.bias_k)
            init.xavier_normal_(self.bias_v)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        cache: KeyValueCache | FixedKeyValues | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """(output, weights): query (m, b, e), key and value (n, b, e), or (b, m, e) with batch_first, or without b.

        key_padding_mask (b, n) and attn_mask (m, n) or (b · heads, m, n) are bool, True where a key is **not** seen, or
        float and added. The weights (b, m, n), with average_attn_weights=False (b, heads, m, n), cost that much
        memory; None without need_weights. ``cache``: the tokens are those that come next."""
        is_batched = query.ndim == 3
        if query.ndim not in (2, 3):
            raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query")
        same = key is query, value is key
        if not is_batched:
            query, key, value = (one.unsqueeze(0) for one in (query, key, value))
        elif not self.batch_first:
            query, key, value = (one.transpose(0, 1) for one in (query, key, value))
        self._check(query, key, value)
        tensors = self._project(query, key, value, same, cache)
        if key_padding_mask is not None and key_padding_mask.ndim == 1:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        causal, lengths = ("start" if is_causal else None), None
        if isinstance(cache, KeyValueCache):
            causal, lengths = "end", cache.progress.lengths
        if isinstance(cache, FixedKeyValues) and cache.mask is not None:
            mask = cache.mask
        else:
            mask = self._mask(None if is_causal else attn_mask, key_padding_mask, query, tensors[-1].shape[1])
        if isinstance(cache, FixedKeyValues):
            cache.mask = mask
        output, weights = self._attend(tensors, mask, lengths, causal, need_weights)
        output = self.out_proj(output.reshape((*output.shape[:2], self.embed_dim)))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not is_batched:
            return output.squeeze(0), None if weights is None else weights.squeeze(0)
        return output if self.batch_first else output.transpose(0, 1), weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        for name, one, size in (("query", query, self.embed_dim), ("key", key, self.kdim), ("value", value, self.vdim)):
            if one.ndim != 3 or one.shape[-1] != size:
                raise RuntimeError(
                    f"MultiheadAttention: a {name} of shape {one.shape} does not fit; its last dimension should be "
                    f"{size}"
                )

    def _project(self, query: Tensor, key: Tensor, value: Tensor, same: tuple, cache: object) -> list[Tensor]:
        """One to three tensors of the heads' query, key and value, as ``ops.attention`` takes them."""
        e, bias = self.embed_dim, self.in_proj_bias
        extended = self.bias_k is not None or self.add_zero_attn
        if self.is_packed and all(same) and not extended and not isinstance(cache, FixedKeyValues):
            packed = self._heads(F.linear(query, self.in_proj_weight, bias), 3)
            if cache is None:
                return [packed]
            return [packed[:, :, 0], cache.append(packed[:, :, 1:])]
        if self.is_packed and same[1] and not extended:
            weight = self.in_proj_weight
            query = self._heads(F.linear(query, weight[:e], None if bias is None else bias[:e]))
            if isinstance(cache, FixedKeyValues) and cache.pairs is not None:
                return [query, cache.pairs]
            pairs = self._heads(F.linear(key, weight[e:], None if bias is None else bias[e:]), 2)
            if isinstance(cache, FixedKeyValues):
                cache.pairs = pairs
            return [query, pairs]
        return self._separate(query, key, value)

    def _separate(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        e = self.embed_dim
        if self.is_packed:
            weights = [self.in_proj_weight[i * e : (i + 1) * e] for i in range(3)]
        else:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        biases = [None if self.in_proj_bias is None else self.in_proj_bias[i * e : (i + 1) * e] for i in range(3)]
        query, key, value = map(F.linear, (query, key, value), weights, biases)
        if self.bias_k is not None:
            one = (key.shape[0], 1, e)
            key, value = cat([key, self.bias_k.expand(one)], 1), cat([value, self.bias_v.expand(one)], 1)
        if self.add_zero_attn:
            nothing = key.new_zeros((key.shape[0], 1, e), key.dtype)
            key, value = cat([key, nothing], 1), cat([value, nothing], 1)
        return [self._heads(one) for one in (query, key, value)]

    def _heads(self, x: Tensor, parts: int = 1) -> Tensor:
        """(b, t, parts · e) as (b, t, h, d), or (b, t, parts, h, d) for several parts."""
        shape = (*x.shape[:2], parts, self.num_heads, self.head_dim)
        return x.reshape(shape if parts > 1 else (*shape[:2], *shape[3:]))

    def _mask(self, attn_mask: Tensor | None, padding: Tensor | None, query: Tensor, keys: int) -> Tensor | None:
        """Both masks in one that broadcasts to (b, h, m, n), bool (True: seen) or float."""
        batch, queries = query.shape[:2]
        known = keys - (self.bias_k is not None) - self.add_zero_attn
        masks = []
        if padding is not None:
            if padding.shape != (batch, known):
                raise AssertionError(f"expecting key_padding_mask shape of {(batch, known)}, but got {padding.shape}")
            masks.append(padding.reshape((batch, 1, 1, known)))
        if attn_mask is not None:
            shapes = (queries, known), (batch * self.num_heads, queries, known)
            if attn_mask.shape not in shapes:
                raise RuntimeError(
                    f"The shape of the attn_mask is {attn_mask.shape}, but should be {shapes[0]} or {shapes[1]}"
                )
            lead = (1, 1) if attn_mask.ndim == 2 else (batch, self.num_heads)
            masks.append(attn_mask.reshape((*lead, queries, known)))
        masks = [_widened(mask, keys - known) for mask in masks]
        if all(mask.dtype == BOOL for mask in masks):
            seen = [~mask for mask in masks]
            return seen[0] & seen[1] if len(seen) == 2 else seen[0] if seen else None
        masks = [_additive(mask, query) for mask in masks]
        return masks[0] + masks[1] if len(masks) == 2 else masks[0]

    def _attend(
        self, tensors: list[Tensor], mask: Tensor | None, lengths: Tensor | None, causal: str | None, in_full: bool
    ) -> tuple[Tensor, Tensor | None]:
        """The heads' results (b, m, h, d), and the weights if they are wanted ``in_full``."""
        query = tensors[0] if len(tensors) > 1 else tensors[0][:, :, 0]
        batch, queries, heads, size = query.shape
        rate = self.dropout if self.training else 0.0
        dropout = drawn_dropout(rate, batch, heads, queries, tensors[-1].shape[1])
        scale = 1 / math.sqrt(size)
        if not in_full:
            return attention(tensors, mask, lengths, scale, causal, dropout), None
        if len(tensors) == 1:
            key, value = tensors[0][:, :, 1], tensors[0][:, :, 2]
        elif len(tensors) == 2:
            key, value = tensors[1][:, :, 0], tensors[1][:, :, 1]
        else:
            key, value = tensors[1:]
        query, key, value = (one.transpose(1, 2) for one in (query, key, value))
        weights = attention_weights(query, key, mask, lengths, scale, causal)
        if dropout is not None:
            p, *place = dropout
            weights = weights * drop_factors(weights, Dropout(*place, p, 0.0 if p == 1 else 1 / (1 - p)))
        return (weights @ value).transpose(1, 2), weights


def _widened(mask: Tensor, more: int) -> Tensor:
    """A mask with columns for ``more`` keys behind the others, which are seen."""
    if not more:
        return mask
    return cat([mask, mask.new_zeros((*mask.shape[:-1], more), mask.dtype)], -1)


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask as a float one: −∞ where it was True."""
    return mask.where(-math.inf, like.new_zeros((), like.dtype)) if mask.dtype == BOOL else mask
