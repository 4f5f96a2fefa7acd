"""GPT: a decoder-only Transformer language model (LECTURE row L35)."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable

import numpy as np

from numbanet import changes, nn
from numbanet.autograd import is_grad_enabled
from numbanet.graph import compile
from numbanet.models._parts import check_tokens, heads_fit, positive, share
from numbanet.models.registry import register_model
from numbanet.nn import functional as F
from numbanet.nn import init
from numbanet.tensor import Tensor


class GenerationState:
    """What a model remembers of the texts that it is writing: how long they are, and each layer's keys and values.

    Steps of one token a text are recorded and replayed (``numbanet.compile``): the arithmetic of a token is a fraction
    of what Python takes for it."""

    def __init__(self, progress: nn.Progress, caches: list, memory: Tensor | None = None, hidden: Tensor | None = None):
        self.progress = progress
        self.caches = caches
        self.memory = memory  # of the encoder, if there is one
        self.hidden = hidden  # which places of it are padding
        self._recorded: Callable[[Tensor], Tensor] | None = None
        self._is_recordable = True
        self._looked_at = -1

    def run(self, model: nn.Module, tokens: Tensor) -> Tensor:
        """``model._next(tokens, self)``, replayed where a step is what the last one was."""
        # the first step makes what later ones find; a module's hooks want to be called
        if tokens.shape[1] > 1 or self.progress.longest == 1 or is_grad_enabled() or not self._is_recordable:
            return model._next(tokens, self)
        if self._looked_at != changes.count:
            if any(module.has_call_hooks for module in model.modules()):
                return model._next(tokens, self)
            self._looked_at = changes.count
        if self._recorded is None:
            state = weakref.proxy(self)  # a state must not keep itself, and so its caches, alive
            self._recorded = compile(lambda tokens: model._next(tokens, state))
        return self._recorded(tokens)

    def __getstate__(self) -> dict[str, object]:
        """What a copy takes along: it records its own steps, for a recording is of this state's memory."""
        return {**self.__dict__, "_recorded": None}

    def select(self, rows: np.ndarray | Tensor) -> None:
        """Go on with the texts of these numbers, in this order; beam search repeats and drops some."""
        self._is_recordable, self._recorded = False, None  # the caches move with each selection
        rows = rows if isinstance(rows, Tensor) else self.progress.before.new_tensor(np.asarray(rows, np.int64))
        self.progress.select(rows)
        for cache in self.caches:
            for one in cache if isinstance(cache, tuple) else (cache,):
                one.select(rows)
        self.memory, self.hidden = (None if one is None else one[rows] for one in (self.memory, self.hidden))


class GPT(nn.Module):
    """Embeddings of tokens and positions, layers of causal self-attention with the norm in front, and logits for the
    next token by the embedding's own weights (Press, Wolf 2017): (batch, length) to (batch, length, vocab_size)."""

    def __init__(
        self,
        vocab_size: int,
        max_length: int,
        d_model: int,
        num_layers: int,
        num_heads: int,
        dim_feedforward: int | None,
        dropout: float,
        bias: bool,
    ) -> None:
        super().__init__()
        dim_feedforward = 4 * d_model if dim_feedforward is None else dim_feedforward
        positive(
            vocab_size=vocab_size, max_length=max_length, d_model=d_model, num_layers=num_layers, num_heads=num_heads,
            dim_feedforward=dim_feedforward,
        )  # fmt: skip
        heads_fit(d_model, num_heads)
        share("dropout", dropout)
        self.tokens = nn.Embedding(vocab_size, d_model)
        self.positions = nn.LearnedPositionalEncoding(d_model, max_length)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            d_model, num_heads, dim_feedforward, dropout, "gelu", batch_first=True, norm_first=True, bias=bias
        )
        self.blocks = nn.TransformerEncoder(layer, num_layers, nn.LayerNorm(d_model, bias=bias))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """GPT-2's: N(0, 0.02²), those that add to the residual stream smaller by √(2 · layers), biases 0."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                narrow = name.endswith(("out_proj.weight", "linear2.weight"))
                init.normal_(parameter, std=0.02 / math.sqrt(2 * self.blocks.num_layers) if narrow else 0.02)
            elif name.endswith("bias"):
                init.zeros_(parameter)

    def forward(self, tokens: Tensor) -> Tensor:
        check_tokens("gpt", tokens)
        x = self.dropout(self.positions(self.tokens(tokens)))
        return F.linear(self.blocks(x, is_causal=True), self.tokens.weight)

    # --- generation ---
    def start(self, batch: int = 1) -> GenerationState:
        """The state before the first token of ``batch`` texts."""
        progress = nn.Progress(batch, self.positions.max_len)
        attention = self.blocks.layers[0].self_attn
        caches = [
            nn.KeyValueCache(batch, attention.num_heads, attention.head_dim, progress) for _ in self.blocks.layers
        ]
        return GenerationState(progress, caches)

    def step(self, tokens: Tensor, state: GenerationState) -> Tensor:
        """Logits (batch, vocab_size) for the token behind ``tokens`` (batch, m), the new ones since ``state``, which is
        moved on. ValueError beyond max_length. Call it under ``no_grad``, in evaluation."""
        check_tokens("gpt", tokens)
        state.progress.reserve(tokens.shape[1])
        return state.run(self, tokens)

    def _next(self, tokens: Tensor, state: GenerationState) -> Tensor:
        """What of a step is the same however long the texts are: it may be recorded and replayed."""
        places = state.progress.advance(tokens.shape[1])
        x = self.positions(self.tokens(tokens), places)
        x = self.blocks(x, caches=state.caches)[:, -1]
        return F.linear(x, self.tokens.weight)


@register_model(
    source='Radford, Wu, Child, Luan, Amodei and Sutskever 2019, "Language models are unsupervised multitask learners"',
    input_shape=(64,),
    parameters=809_856,
    flops=110_116_864,
    kind="language",
)
def gpt(
    vocab_size: int = 65,
    max_length: int = 64,
    d_model: int = 128,
    num_layers: int = 4,
    num_heads: int = 4,
    dim_feedforward: int | None = None,
    dropout: float = 0.0,
    bias: bool = True,
) -> GPT:
    """Decoder-only Transformer language model: each token sees itself and those before it.

    GPT-2's layers in the size of nanoGPT's setting for CPUs; ``dim_feedforward`` is 4 · ``d_model`` by default, and
    ``bias`` is that of linear layers and norms.
    """
    return GPT(vocab_size, max_length, d_model, num_layers, num_heads, dim_feedforward, dropout, bias)
