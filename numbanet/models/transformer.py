"""The Transformer for translation (LECTURE row L35)."""

from __future__ import annotations

import math

from numbanet import nn
from numbanet.models._parts import check_tokens, heads_fit, positive, share
from numbanet.models.gpt import GenerationState
from numbanet.models.registry import register_model
from numbanet.nn import functional as F
from numbanet.nn import init
from numbanet.tensor import Tensor


class TransformerModel(nn.Module):
    """An encoder reads the source, a decoder gives logits for the next token of the target, by the target embedding's
    own weights: (batch, n) and (batch, m) to (batch, m, target_vocab_size). Tokens ``padding`` are not looked at."""

    def __init__(
        self,
        source_vocab_size: int,
        target_vocab_size: int,
        max_length: int,
        d_model: int,
        num_layers: int,
        num_heads: int,
        dim_feedforward: int,
        dropout: float,
        norm_first: bool,
        share_embeddings: bool,
        base: float,
        padding: int,
    ) -> None:
        super().__init__()
        positive(
            source_vocab_size=source_vocab_size, target_vocab_size=target_vocab_size, max_length=max_length,
            d_model=d_model, num_layers=num_layers, num_heads=num_heads, dim_feedforward=dim_feedforward,
        )  # fmt: skip
        heads_fit(d_model, num_heads)
        share("dropout", dropout)
        if share_embeddings and source_vocab_size != target_vocab_size:
            raise ValueError(
                f"share_embeddings needs one vocabulary, not {source_vocab_size} and {target_vocab_size} words"
            )
        self.padding = padding
        self.scale = math.sqrt(d_model)
        self.target = nn.Embedding(target_vocab_size, d_model, padding)
        self.source = self.target if share_embeddings else nn.Embedding(source_vocab_size, d_model, padding)
        self.positions = nn.SinusoidalPositionalEncoding(d_model, max_length, base)
        self.dropout = nn.Dropout(dropout)
        self.transformer = nn.Transformer(
            d_model,
            num_heads,
            num_layers,
            num_layers,
            dim_feedforward,
            dropout,
            batch_first=True,
            norm_first=norm_first,
        )
        for embedding in {id(self.source): self.source, id(self.target): self.target}.values():
            init.normal_(embedding.weight, std=1 / self.scale)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        hidden = self._hidden(source)
        memory = self._encode(source, hidden)
        x = self._embedded(self.target, target, None)
        x = self.transformer.decoder(x, memory, memory_key_padding_mask=hidden, tgt_is_causal=True)
        return F.linear(x, self.target.weight)

    def _hidden(self, source: Tensor) -> Tensor:
        check_tokens("transformer", source, "token numbers of the source")
        return source == self.padding

    def _encode(self, source: Tensor, hidden: Tensor) -> Tensor:
        x = self._embedded(self.source, source, None)
        return self.transformer.encoder(x, src_key_padding_mask=hidden)

    def _embedded(self, embedding: nn.Embedding, tokens: Tensor, places: Tensor | None) -> Tensor:
        check_tokens("transformer", tokens)
        return self.dropout(self.positions(embedding(tokens) * self.scale, places))

    # --- generation ---
    def start(self, source: Tensor) -> GenerationState:
        """The state before the first token of the translations of ``source`` (batch, n)."""
        hidden = self._hidden(source)
        progress = nn.Progress(source.shape[0], self.positions.max_len)
        attention = self.transformer.decoder.layers[0].self_attn
        caches = [
            (
                nn.KeyValueCache(source.shape[0], attention.num_heads, attention.head_dim, progress),
                nn.FixedKeyValues(),
            )
            for _ in self.transformer.decoder.layers
        ]
        return GenerationState(progress, caches, self._encode(source, hidden), hidden)

    def step(self, tokens: Tensor, state: GenerationState) -> Tensor:
        """Logits (batch, target_vocab_size) for the token behind ``tokens`` (batch, m), the new ones since ``state``,
        which is moved on. ValueError beyond max_length. Call it under ``no_grad``, in evaluation."""
        check_tokens("transformer", tokens)
        state.progress.reserve(tokens.shape[1])
        return state.run(self, tokens)

    def _next(self, tokens: Tensor, state: GenerationState) -> Tensor:
        """What of a step is the same however long the texts are: it may be recorded and replayed."""
        places = state.progress.advance(tokens.shape[1])
        x = self._embedded(self.target, tokens, places)
        x = self.transformer.decoder(x, state.memory, memory_key_padding_mask=state.hidden, caches=state.caches)
        return F.linear(x[:, -1], self.target.weight)


@register_model(
    source='Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser and Polosukhin 2017, "Attention is all you need"',
    input_shape=(32,),
    parameters=4_466_688,
    flops=277_479_424,
    kind="translation",
)
def transformer(
    source_vocab_size: int = 1000,
    target_vocab_size: int = 1000,
    max_length: int = 512,
    d_model: int = 256,
    num_layers: int = 3,
    num_heads: int = 8,
    dim_feedforward: int = 512,
    dropout: float = 0.1,
    norm_first: bool = True,
    share_embeddings: bool = False,
    base: float = 10_000.0,
    padding: int = 0,
) -> TransformerModel:
    """Encoder–decoder Transformer: attention instead of recurrence, from a source text to a target text.

    ``num_layers`` is that of either side, ``base`` the k of the positional encoding, ``padding`` the token that is
    none. Embeddings are scaled by √d_model, and the target's weights give the logits.
    """
    return TransformerModel(
        source_vocab_size, target_vocab_size, max_length, d_model, num_layers, num_heads, dim_feedforward, dropout,
        norm_first, share_embeddings, base, padding,
    )  # fmt: skip
