"""Recurrent language models, built from either library's ``nn`` by the same lines, and the layers alone.

- ``char_rnn``, ``char_lstm``, ``char_gru``: an embedding of 65 characters, one layer, hidden size 256, batch 64, 64
  steps, and a linear layer to the logits; the GRU in PyTorch's form.
- ``word_lstm``: 10,000 words, two layers, hidden size 200, batch 20, 35 steps (Zaremba et al. 2014, the small one,
  without dropout, so that both sides compute the same numbers).

A step of ``training/…`` is zero_grad, forward, cross-entropy, backward, SGD. ``recurrent/…`` is a layer forward, or
forward and backward to all its parameters and its input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workloads.libraries import labels, normal
from workloads.networks import set_weights
from workloads.workload import Step, Workload, sides_of

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


@dataclass(frozen=True)
class Sequences:
    """A layer (``kind``: RNN, LSTM or GRU) and what goes through it."""

    kind: str
    steps: int
    batch: int
    size: int
    layers: int = 1
    vocabulary: int = 0

    @property
    def flops(self) -> float:
        """Of the products of a forward pass."""
        products = 2 * self.layers * GATES[self.kind] * self.size
        return 2.0 * self.steps * self.batch * self.size * (products + self.vocabulary)


MODELS = {
    "char_rnn": Sequences("RNN", 64, 64, 256, vocabulary=65),
    "char_lstm": Sequences("LSTM", 64, 64, 256, vocabulary=65),
    "char_gru": Sequences("GRU", 64, 64, 256, vocabulary=65),
    "word_lstm": Sequences("LSTM", 35, 20, 200, 2, vocabulary=10_000),
}
LAYERS = {
    **{kind.lower(): Sequences(kind, 64, 64, 256) for kind in GATES},
    **{f"{kind.lower()}-2-layers": Sequences(kind, 35, 20, 200, 2) for kind in GATES},
    **{f"{kind.lower()}-batch-1": Sequences(kind, 64, 1, 256) for kind in GATES},
}


def language_model(library: object, sizes: Sequences) -> object:
    """Embedding, recurrent layers, logits: token numbers (t, b) to (t, b, vocabulary)."""
    nn = library.nn

    class LanguageModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(sizes.vocabulary, sizes.size)
            self.layers = getattr(nn, sizes.kind)(sizes.size, sizes.size, sizes.layers)
            self.logits = nn.Linear(sizes.size, sizes.vocabulary)

        def forward(self, tokens: object) -> object:
            return self.logits(self.layers(self.embedding(tokens))[0])

    return set_weights(library, LanguageModel())


def training_step(library: object, sizes: Sequences) -> Step:
    """One step on one batch."""
    model = language_model(library, sizes)
    text = labels((sizes.steps + 1) * sizes.batch, sizes.vocabulary).reshape(sizes.steps + 1, sizes.batch)
    tokens, targets = (library.tensor(np.ascontiguousarray(one)) for one in (text[:-1], text[1:].reshape(-1)))
    optimizer = library.optimizer("SGD", list(model.parameters()), lr=0.1)
    cross_entropy = library.functional.cross_entropy

    def step() -> object:
        optimizer.zero_grad()
        loss = cross_entropy(model(tokens).reshape(-1, sizes.vocabulary), targets)
        loss.backward()
        optimizer.step()
        return loss

    return Step(step, flops=3 * sizes.flops)


def layer_forward(library: object, sizes: Sequences) -> Step:
    """A layer for inference."""
    layer = set_weights(library, getattr(library.nn, sizes.kind)(sizes.size, sizes.size, sizes.layers))
    x = library.tensor(normal((sizes.steps, sizes.batch, sizes.size)))
    return Step(lambda: layer(x)[0], library.inference)


def layer_both_ways(library: object, sizes: Sequences) -> Step:
    """A layer forward, and its gradients for input and parameters."""
    layer = set_weights(library, getattr(library.nn, sizes.kind)(sizes.size, sizes.size, sizes.layers))
    x = library.tensor(normal((sizes.steps, sizes.batch, sizes.size)), requires_grad=True)
    incoming = library.normal_like(x)
    leaves = [x, *layer.parameters()]
    return Step(lambda: library.gradients(layer(x)[0], leaves, incoming)[0])


def workloads() -> Iterator[Workload]:
    """Training steps, then layers."""
    for name, sizes in MODELS.items():
        sides = sides_of(lambda library, sizes=sizes: training_step(library, sizes), pictures=False)
        yield Workload(f"training/{name}", sides)
    for name, sizes in LAYERS.items():
        for way, make, passes in (("forward", layer_forward, 1), ("both", layer_both_ways, 3)):
            sides = sides_of(lambda library, sizes=sizes, make=make: make(library, sizes), pictures=False)
            yield Workload(f"recurrent/{name}/{way}", sides, flops=passes * sizes.flops)
