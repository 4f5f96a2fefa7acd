"""Text by a decoder-only Transformer, one stream: each step sees the newest token, the earlier ones lie in a cache.

``generation/gpt-d256``: 4 layers of 8 heads, 65 characters; 100 tokens behind a first one, the most probable each time.
Ours is the registered ``gpt``. PyTorch's twin is written as its users write it: nanoGPT's layers, and a cache to which
keys and values are appended (as ``transformers`` does), under ``inference_mode``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from workloads.networks import set_weights
from workloads.workload import Step, Workload, sides_of

WIDTH, LAYERS, HEADS, POSITIONS, VOCABULARY = 256, 4, 8, 256, 65
TOKENS = 100


def twin() -> object:
    """The same in PyTorch: ``start`` gives an empty cache, ``step`` the logits behind the newest token."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.in_proj, self.out_proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

        def forward(self, x: object, cache: dict) -> object:
            batch, tokens, _ = x.shape
            query, key, value = [
                part.view(batch, tokens, HEADS, WIDTH // HEADS).transpose(1, 2)
                for part in self.in_proj(x).split(WIDTH, dim=2)
            ]
            if cache:
                key, value = torch.cat([cache["key"], key], 2), torch.cat([cache["value"], value], 2)
            cache["key"], cache["value"] = key, value
            y = functional.scaled_dot_product_attention(query, key, value)
            return self.out_proj(y.transpose(1, 2).reshape(batch, tokens, WIDTH))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2, self.attention = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), Attention()
            self.linear1, self.linear2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: object, cache: dict) -> object:
            x = x + self.attention(self.norm1(x), cache)
            return x + self.linear2(functional.gelu(self.linear1(self.norm2(x))))

    class Gpt(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(POSITIONS, WIDTH)
            self.blocks, self.norm = nn.ModuleList([Block() for _ in range(LAYERS)]), nn.LayerNorm(WIDTH)

        def start(self, batch: int) -> list[dict]:
            return [{} for _ in self.blocks]

        def step(self, tokens: object, caches: list[dict]) -> object:
            place = caches[0]["key"].shape[2] if caches[0] else 0
            x = self.tokens(tokens) + self.positions.weight[place : place + tokens.shape[1]]
            for block, cache in zip(self.blocks, caches, strict=True):
                x = block(x, cache)
            return functional.linear(self.norm(x[:, -1]), self.tokens.weight)

    return Gpt()


def gpt_text(library: object) -> Step:
    """TOKENS tokens; the result are the logits behind the last one."""
    options = {
        "vocab_size": VOCABULARY, "max_length": POSITIONS, "d_model": WIDTH, "num_layers": LAYERS, "num_heads": HEADS
    }  # fmt: skip
    model = set_weights(library, library.network("gpt", options, twin)).eval()
    first = library.tensor(np.array([[1]]))

    def call() -> object:
        state, token = model.start(1), first
        for _ in range(TOKENS):
            logits = model.step(token, state)
            token = logits.argmax(1, keepdim=True)
        return logits

    parameters = LAYERS * 12 * WIDTH * WIDTH + VOCABULARY * WIDTH
    return Step(call, library.inference, flops=2.0 * TOKENS * parameters)


def workloads() -> Iterator[Workload]:
    """The one."""
    yield Workload("generation/gpt-d256", sides_of(gpt_text, pictures=False))
