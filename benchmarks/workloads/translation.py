"""A training step of the encoder–decoder with additive attention (Bahdanau et al. 2014), ours the registered model.

256 features everywhere, GRUs in PyTorch's form, 5,000 words, batch 32, sentences of 20 words on either side: a long
sentence of Multi30k. A step is zero_grad, forward, cross-entropy, backward, AdamW; no dropout.
"""

from __future__ import annotations

from collections.abc import Iterator

from workloads.libraries import labels
from workloads.networks import set_weights
from workloads.transformers import training_step
from workloads.workload import Step, Workload, sides_of

WORDS, SIZE, BATCH, LENGTH = 5000, 256, 32, 20


def twin() -> object:
    """The same in PyTorch, step by step, as its tutorials have it; the keys are projected once."""
    import torch
    from torch import nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.score = nn.Linear(SIZE, SIZE, bias=False), nn.Linear(SIZE, 1, bias=False)
            self.key = nn.Linear(2 * SIZE, SIZE)

        def forward(self, state: object, memory: object, projected: object) -> object:
            scores = self.score(torch.tanh(self.query(state).unsqueeze(1) + projected)).squeeze(2)
            return torch.bmm(scores.softmax(1).unsqueeze(1), memory).squeeze(1)

    class Translator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.source, self.target = nn.Embedding(WORDS, SIZE), nn.Embedding(WORDS, SIZE)
            self.encoder, self.first = nn.GRU(SIZE, SIZE, bidirectional=True), nn.Linear(SIZE, SIZE)
            self.attention, self.decoder = Attention(), nn.GRUCell(3 * SIZE, SIZE)
            self.merge, self.fc = nn.Linear(4 * SIZE, SIZE), nn.Linear(SIZE, WORDS)

        def forward(self, source: object, target: object) -> object:
            memory, last = self.encoder(self.source(source.T))
            memory, state = memory.transpose(0, 1).contiguous(), torch.tanh(self.first(last[1]))
            projected, words, states, contexts = self.attention.key(memory), self.target(target.T), [], []
            for word in words:
                context = self.attention(state, memory, projected)
                state = self.decoder(torch.cat([word, context], 1), state)
                states.append(state)
                contexts.append(context)
            merged = torch.tanh(self.merge(torch.cat([words, torch.stack(states), torch.stack(contexts)], 2)))
            return self.fc(merged).transpose(0, 1)

    return Translator()


def translator_step(library: object) -> Step:
    """A step on one batch, in which no sentence is padded."""
    options = {
        "source_vocab_size": WORDS, "target_vocab_size": WORDS, "embedding_dim": SIZE, "hidden_size": SIZE,
        "dropout": 0.0, "reset_after": True,
    }  # fmt: skip
    model = set_weights(library, library.network("seq2seq_attention", options, twin))
    source = 1 + labels(BATCH * LENGTH, WORDS - 1).reshape(BATCH, LENGTH)
    target = 1 + labels(BATCH * (LENGTH + 1), WORDS - 1).reshape(BATCH, LENGTH + 1)
    return training_step(library, model, [source, target[:, :-1].copy()], target[:, 1:].copy())


def workloads() -> Iterator[Workload]:
    """The training step."""
    yield Workload("training/seq2seq_attention", sides_of(translator_step, pictures=False))
