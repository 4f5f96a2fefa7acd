"""The smallest models of each kind that text tasks know, to test everything around models."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import numpy as np
import pytest

import numbanet
from numbanet import nn
from numbanet.models import registry


class State:
    """What a model keeps from one part of a text to the next, its rows along the second axis."""

    def __init__(self, layers: tuple, made: int = 0) -> None:
        self.layers = layers
        self.made = made

    def detach(self) -> State:
        return State(tuple(layer.detach() for layer in self.layers), self.made)

    def select(self, rows) -> None:
        self.layers = tuple(numbanet.tensor(layer.numpy()[:, rows]) for layer in self.layers)


class TinyRecurrent(nn.Module):
    """h_t = h_{t−1} / 2 + embedding of the token; logits of h_t."""

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.output = nn.Linear(width, vocab_size)
        self.dropout = nn.Dropout(0.1)

    def start(self, batch):
        return State((numbanet.zeros(1, batch, self.output.in_features),))

    def forward(self, tokens, state=None):
        h = (self.start(tokens.shape[0]) if state is None else state).layers[0][0]
        outputs, embedded = [], self.dropout(self.embedding(tokens))
        for t in range(tokens.shape[1]):
            h = h * 0.5 + embedded[:, t]
            outputs.append(h)
        return self.output(numbanet.stack(outputs, 1)), State((h.unsqueeze(0),))

    def step(self, tokens, state):
        logits, after = self(tokens, state)
        state.layers = after.layers
        return logits[:, -1]


class TinyWindows(nn.Module):
    """A recurrent model that looks like one that attends: it counts tokens and refuses more than it has places."""

    def __init__(self, vocab_size: int, max_length: int, width: int) -> None:
        super().__init__()
        self.inner = TinyRecurrent(vocab_size, width)
        self.positions = SimpleNamespace(max_len=max_length)

    def start(self, batch):
        return self.inner.start(batch)

    def forward(self, tokens):
        return self.inner(tokens)[0]

    def step(self, tokens, state):
        state.made += tokens.shape[1]
        if state.made > self.positions.max_len:
            raise ValueError("more tokens than positions")
        return self.inner.step(tokens, state)


class TinyClassifier(nn.Module):
    """Logits of the sum of a text's embeddings; padding is left out."""

    def __init__(self, vocab_size: int, num_classes: int, padding: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 8, padding_idx=padding)
        self.output = nn.Linear(8, num_classes)
        self.padding = padding

    def forward(self, tokens):
        shown = (tokens.numpy() != self.padding).astype(np.float32)
        return self.output((self.embedding(tokens) * numbanet.tensor(shown).unsqueeze(2)).sum(1))


class TinyTranslator(nn.Module):
    """The decoder sees the sum of the source's embeddings by position, the last token and the number of tokens made."""

    def __init__(self, source_vocab_size: int, target_vocab_size: int, max_length: int, padding: int) -> None:
        super().__init__()
        width = 16
        self.source = nn.Embedding(source_vocab_size * max_length, width)
        self.target = nn.Embedding(target_vocab_size, width)
        self.position = nn.Embedding(max_length, width)
        self.output = nn.Linear(width, target_vocab_size)
        self.max_length = max_length
        self.padding = padding

    def start(self, source):
        places = numbanet.tensor(np.arange(source.shape[1]))
        shown = numbanet.tensor((source.numpy() != self.padding).astype(np.float32))
        embedded = self.source(source * self.max_length + places) * shown.unsqueeze(2)
        return State((embedded.sum(1).unsqueeze(0),))

    def step(self, tokens, state):
        made, state.made = state.made, state.made + tokens.shape[1]
        return self._logits(state.layers[0][0], tokens, made)[:, -1]

    def forward(self, source, inputs):
        return self._logits(self.start(source).layers[0][0], inputs, 0)

    def _logits(self, context, tokens, made):
        places = numbanet.tensor(np.arange(made, made + tokens.shape[1]))
        return self.output((context.unsqueeze(1) + self.target(tokens) + self.position(places)).tanh())


def tiny_recurrent(vocab_size: int = 8, width: int = 8) -> TinyRecurrent:
    return TinyRecurrent(vocab_size, width)


def tiny_windows(vocab_size: int = 8, max_length: int = 8, width: int = 8) -> TinyWindows:
    return TinyWindows(vocab_size, max_length, width)


def tiny_classifier(vocab_size: int = 8, num_classes: int = 2, padding: int = 0) -> TinyClassifier:
    return TinyClassifier(vocab_size, num_classes, padding)


def tiny_translator(
    source_vocab_size: int = 8, target_vocab_size: int = 8, max_length: int = 8, padding: int = 0
) -> TinyTranslator:
    return TinyTranslator(source_vocab_size, target_vocab_size, max_length, padding)


def registered_tiny_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter the functions above into the registry."""
    models = dict(registry._MODELS)
    for build, kind in (
        (tiny_recurrent, "language"),
        (tiny_windows, "language"),
        (tiny_classifier, "text classes"),
        (tiny_translator, "translation"),
    ):
        options = {option.name: option.default for option in inspect.signature(build).parameters.values()}
        models[build.__name__] = SimpleNamespace(name=build.__name__, options=options, build=build, kind=kind)
    monkeypatch.setattr(registry, "_MODELS", models)


@pytest.fixture
def tiny_models(monkeypatch):
    registered_tiny_models(monkeypatch)
