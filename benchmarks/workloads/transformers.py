"""Training steps of Transformers, from either library's ``nn``, with the same weights and batches.

- ``gpt-d128``: nanoGPT's setting for CPUs: 4 layers of 4 heads, 64 tokens, batch 12, 65 characters.
- ``gpt-d256``: 4 layers of 8 heads, 256 tokens, batch 16.
- ``transformer-d256``: encoder and decoder of 3 layers each, 8 heads, 512 features inside, 32 tokens on either side,
  batch 32, 5,000 words.

PyTorch's GPT is written as nanoGPT is (one projection, ``scaled_dot_product_attention``), ours with
``MultiheadAttention``, which is that. A step is zero_grad, forward, cross-entropy, backward, AdamW; no dropout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from workloads.libraries import labels
from workloads.networks import set_weights
from workloads.workload import Step, Workload, sides_of

GPTS = {"gpt-d128": (128, 4, 4, 64, 12, 65), "gpt-d256": (256, 4, 8, 256, 16, 65)}
"""Width, layers, heads, tokens, batch, vocabulary."""


def gpt(library: object, width: int, layers: int, heads: int, tokens: int, vocabulary: int) -> object:
    """A decoder-only Transformer with the norms in front and tied embeddings."""
    nn, functional = library.nn, library.functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attention = library.self_attention(width, heads)
            self.linear1, self.linear2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: object) -> object:
            x = x + self.attention(self.norm1(x))
            return x + self.linear2(functional.gelu(self.linear1(self.norm2(x))))

    class Gpt(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(tokens, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
            self.norm = nn.LayerNorm(width)

        def forward(self, x: object) -> object:
            hidden = self.blocks(self.tokens(x) + self.positions.weight)
            return functional.linear(self.norm(hidden), self.tokens.weight)

    return set_weights(library, Gpt())


def translator(library: object, width: int, layers: int, heads: int, inside: int, vocabulary: int) -> object:
    """Encoder and decoder, and logits by the target embedding's weights."""
    nn, functional = library.nn, library.functional

    class Translator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.source, self.target = nn.Embedding(vocabulary, width), nn.Embedding(vocabulary, width)
            self.transformer = nn.Transformer(
                width, heads, layers, layers, inside, 0.0, batch_first=True, norm_first=True
            )

        def forward(self, source: object, target: object) -> object:
            x = library.causal_transformer(self.transformer, self.source(source), self.target(target))
            return functional.linear(x, self.target.weight)

    return set_weights(library, Translator())


def training_step(library: object, model: object, inputs: list[np.ndarray], outputs: np.ndarray) -> Step:
    """One step on one batch of token numbers."""
    inputs, outputs = [library.tensor(one) for one in inputs], library.tensor(outputs.reshape(-1))
    optimizer = library.optimizer("AdamW", list(model.parameters()), lr=1e-4)
    cross_entropy = library.functional.cross_entropy

    def step() -> object:
        optimizer.zero_grad()
        logits = model(*inputs)
        loss = cross_entropy(logits.reshape(-1, logits.shape[-1]), outputs)
        loss.backward()
        optimizer.step()
        return loss

    return Step(step)


def gpt_step(library: object, name: str) -> Step:
    """A step of one of GPTS."""
    width, layers, heads, tokens, batch, vocabulary = GPTS[name]
    text = labels(batch * (tokens + 1), vocabulary).reshape(batch, tokens + 1)
    model = gpt(library, width, layers, heads, tokens, vocabulary)
    return training_step(library, model, [text[:, :-1].copy()], text[:, 1:].copy())


def translator_step(library: object) -> Step:
    """A step of ``transformer-d256``."""
    source, target = labels(32 * 32, 5000).reshape(32, 32), labels(32 * 33, 5000).reshape(32, 33)
    model = translator(library, 256, 3, 8, 512, 5000)
    return training_step(library, model, [source, target[:, :-1].copy()], target[:, 1:].copy())


def workloads() -> Iterator[Workload]:
    """All training steps."""
    steps: dict[str, Callable] = {name: lambda library, name=name: gpt_step(library, name) for name in GPTS}
    steps["transformer-d256"] = translator_step
    for name, make in steps.items():
        yield Workload(f"training/{name}", sides_of(make, pictures=False))
