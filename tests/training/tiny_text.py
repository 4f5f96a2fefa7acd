"""The smallest models of each kind that text tasks know, to test everything around models."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import numpy as np
import pytest

import numbanet
from numbanet import nn
from numbanet.models import registry


class TinyLanguage(nn.Module):
    """h_t = h_{t−1} / 2 + embedding of the token; logits of h_t. ``carries_state`` as a recurrent network's."""

    def __init__(self, vocab_size: int, width: int, carries_state: bool, max_length: int | None = None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.output = nn.Linear(width, vocab_size)
        self.dropout = nn.Dropout(0.1)
        self.carries_state = carries_state
        self.max_length = max_length

    def forward(self, tokens, state=None):
        h = (numbanet.zeros(tokens.shape[0], self.output.in_features),) if state is None else state
        h, outputs = h[0], []
        embedded = self.dropout(self.embedding(tokens))
        for t in range(tokens.shape[1]):
            h = h * 0.5 + embedded[:, t]
            outputs.append(h)
        return self.output(numbanet.stack(outputs, 1)), (h,)


class TinyClassifier(nn.Module):
    """Logits of the sum of a text's embeddings; padding is left out."""

    def __init__(self, vocab_size: int, num_classes: int, padding_idx: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 8, padding_idx=padding_idx)
        self.output = nn.Linear(8, num_classes)

    def forward(self, tokens, lengths):
        shown = (np.arange(tokens.shape[1]) < lengths.numpy()[:, None]).astype(np.float32)
        return self.output((self.embedding(tokens) * numbanet.tensor(shown).unsqueeze(2)).sum(1))


class TinyTranslator(nn.Module):
    """The decoder sees the sum of the source's embeddings by position, the last token and the number of tokens made."""

    def __init__(self, source_vocab_size: int, target_vocab_size: int, max_length: int, padding_idx: int) -> None:
        super().__init__()
        width = 16
        self.source = nn.Embedding(source_vocab_size * max_length, width)
        self.target = nn.Embedding(target_vocab_size, width)
        self.position = nn.Embedding(max_length, width)
        self.output = nn.Linear(width, target_vocab_size)
        self.max_length = max_length

    def encode(self, source, lengths):
        places = numbanet.tensor(np.arange(source.shape[1]))
        shown = (np.arange(source.shape[1]) < lengths.numpy()[:, None]).astype(np.float32)
        embedded = self.source(source * self.max_length + places) * numbanet.tensor(shown).unsqueeze(2)
        return embedded.sum(1), 0

    def step(self, tokens, state):
        context, made = state
        places = numbanet.tensor(np.arange(made, made + tokens.shape[1]))
        hidden = (context.unsqueeze(1) + self.target(tokens) + self.position(places)).tanh()
        return self.output(hidden), (context, made + tokens.shape[1])

    def reorder(self, state, rows):
        return numbanet.tensor(state[0].numpy()[rows]), state[1]

    def forward(self, source, lengths, inputs):
        return self.step(inputs, self.encode(source, lengths))[0]


def tiny_recurrent(vocab_size: int = 8, width: int = 8) -> TinyLanguage:
    return TinyLanguage(vocab_size, width, carries_state=True)


def tiny_windows(vocab_size: int = 8, max_length: int = 8, width: int = 8) -> TinyLanguage:
    return TinyLanguage(vocab_size, width, False, max_length)


def tiny_classifier(vocab_size: int = 8, num_classes: int = 2, padding_idx: int = 0) -> TinyClassifier:
    return TinyClassifier(vocab_size, num_classes, padding_idx)


def tiny_translator(
    source_vocab_size: int = 8, target_vocab_size: int = 8, max_length: int = 8, padding_idx: int = 0
) -> TinyTranslator:
    return TinyTranslator(source_vocab_size, target_vocab_size, max_length, padding_idx)


@pytest.fixture
def tiny_models(monkeypatch):
    """The functions above as registered models."""
    models = dict(registry._MODELS)
    for build in (tiny_recurrent, tiny_windows, tiny_classifier, tiny_translator):
        options = {option.name: option.default for option in inspect.signature(build).parameters.values()}
        models[build.__name__] = SimpleNamespace(name=build.__name__, options=options, build=build)
    monkeypatch.setattr(registry, "_MODELS", models)
