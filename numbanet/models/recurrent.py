"""Recurrent language models, of characters and of words, and a classifier of texts (LECTURE rows L29, L31, L32)."""

from __future__ import annotations

from numbanet import nn
from numbanet.creation import cat
from numbanet.models._parts import check_tokens, choose, positive, share
from numbanet.models._recurrent import CELLS, RecurrentState, as_given, as_tuple, lengths_of
from numbanet.models.registry import register_model
from numbanet.nn import functional as F
from numbanet.nn import init
from numbanet.tensor import Tensor


class RecurrentLanguageModel(nn.Module):
    """Embeddings, recurrent layers and a linear layer: tokens (batch, length) and a state, or None at the beginning of
    the texts, to (logits (batch, length, vocab_size), the state after them).

    A long text is read window by window: ``logits, state = model(tokens, state)`` with ``state.detach()`` in between.
    """

    def __init__(
        self,
        cell: str,
        vocab_size: int,
        embedding_dim: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        tie_weights: bool,
    ) -> None:
        super().__init__()
        positive(
            vocab_size=vocab_size, embedding_dim=embedding_dim, hidden_size=hidden_size, num_layers=num_layers
        )  # fmt: skip
        share("dropout", dropout)
        if tie_weights and embedding_dim != hidden_size:
            raise ValueError(f"tie_weights needs equal sizes, not {embedding_dim} (embedding_dim) and {hidden_size}")
        layer = choose("cell", cell, CELLS)
        self.tie_weights = tie_weights
        self.tokens = nn.Embedding(vocab_size, embedding_dim)
        self.dropout = nn.Dropout(dropout)
        between = dropout if num_layers > 1 else 0.0
        self.layers = layer(embedding_dim, hidden_size, num_layers=num_layers, dropout=between)
        self.fc = None if tie_weights else nn.Linear(hidden_size, vocab_size)
        init.normal_(self.tokens.weight, std=0.1)

    def forward(self, tokens: Tensor, state: RecurrentState | None = None) -> tuple[Tensor, RecurrentState]:
        check_tokens("a recurrent language model", tokens)
        x = self.dropout(self.tokens(tokens.T))
        x, states = self.layers(x, None if state is None else as_given(state.layers))
        x = self.dropout(x).transpose(0, 1)  # before the logits, which are far larger
        logits = F.linear(x, self.tokens.weight) if self.tie_weights else self.fc(x)
        return logits, RecurrentState(as_tuple(states))

    # --- generation ---
    def start(self, batch: int = 1) -> RecurrentState:
        """The state before the first token of ``batch`` texts."""
        layers = self.layers
        shape = (layers.num_layers, batch, layers.hidden_size)
        return RecurrentState((self.tokens.weight.new_zeros(shape),) * (2 if layers.mode == "lstm" else 1))

    def step(self, tokens: Tensor, state: RecurrentState) -> Tensor:
        """Logits (batch, vocab_size) for the token behind ``tokens`` (batch, m), the new ones since ``state``, which is
        moved on. Call it under ``no_grad``, in evaluation."""
        logits, after = self(tokens, state)
        state.layers = after.layers
        return logits[:, -1]


class RecurrentClassifier(nn.Module):
    """Embeddings, recurrent layers and a linear layer on the last states of the uppermost one, of both directions:
    (batch, length) to logits (batch, num_classes). Tokens ``padding`` behind a text change nothing."""

    def __init__(
        self,
        cell: str,
        num_classes: int,
        vocab_size: int,
        embedding_dim: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        dropout: float,
        padding: int,
    ) -> None:
        super().__init__()
        positive(
            num_classes=num_classes, vocab_size=vocab_size, embedding_dim=embedding_dim, hidden_size=hidden_size,
            num_layers=num_layers,
        )  # fmt: skip
        share("dropout", dropout)
        layer = choose("cell", cell, CELLS)
        self.padding = padding
        self.tokens = nn.Embedding(vocab_size, embedding_dim, padding)
        self.dropout = nn.Dropout(dropout)
        self.layers = layer(
            embedding_dim, hidden_size, num_layers=num_layers, bidirectional=bidirectional,
            dropout=dropout if num_layers > 1 else 0.0,
        )  # fmt: skip
        self.fc = nn.Linear(hidden_size * (2 if bidirectional else 1), num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        check_tokens("a recurrent classifier", tokens)
        x = self.dropout(self.tokens(tokens.T))
        _, states = self.layers(x, None, lengths_of(tokens, self.padding))
        last = as_tuple(states)[0]
        ends = [last[-2], last[-1]] if self.layers.bidirectional else [last[-1]]
        return self.fc(self.dropout(cat(ends, 1)))


@register_model(
    source='Elman 1990, "Finding structure in time"',
    input_shape=(64,),
    parameters=164_929,
    flops=18_907_136,
    kind="language",
)
def char_rnn(
    vocab_size: int = 65,
    embedding_dim: int = 256,
    hidden_size: int = 256,
    num_layers: int = 1,
    dropout: float = 0.0,
    tie_weights: bool = False,
) -> RecurrentLanguageModel:
    """Language model of characters: h ← tanh(W x + U h), and from h the next character.

    ``tie_weights`` takes the embedding's weights for the logits.
    """
    return RecurrentLanguageModel("rnn", vocab_size, embedding_dim, hidden_size, num_layers, dropout, tie_weights)


@register_model(
    source='Hochreiter and Schmidhuber 1997, "Long short-term memory"',
    input_shape=(64,),
    parameters=559_681,
    flops=69_238_784,
    kind="language",
)
def char_lstm(
    vocab_size: int = 65,
    embedding_dim: int = 256,
    hidden_size: int = 256,
    num_layers: int = 1,
    dropout: float = 0.0,
    tie_weights: bool = False,
) -> RecurrentLanguageModel:
    """Language model of characters with an LSTM: gates decide what its cell keeps.

    ``tie_weights`` takes the embedding's weights for the logits.
    """
    return RecurrentLanguageModel("lstm", vocab_size, embedding_dim, hidden_size, num_layers, dropout, tie_weights)


@register_model(
    source='Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder"',
    input_shape=(64,),
    parameters=427_329,
    flops=52_461_568,
    kind="language",
)
def char_gru(
    vocab_size: int = 65,
    embedding_dim: int = 256,
    hidden_size: int = 256,
    num_layers: int = 1,
    dropout: float = 0.0,
    tie_weights: bool = False,
    reset_after: bool = False,
) -> RecurrentLanguageModel:
    """Language model of characters with a GRU, in the lecture's form: the reset gate acts before the product.

    ``reset_after`` takes PyTorch's form; ``tie_weights`` takes the embedding's weights for the logits.
    """
    cell = "gru_reset_after" if reset_after else "gru"
    return RecurrentLanguageModel(cell, vocab_size, embedding_dim, hidden_size, num_layers, dropout, tie_weights)


@register_model(
    source='Zaremba, Sutskever and Vinyals 2014, "Recurrent neural network regularization"',
    input_shape=(35,),
    parameters=4_653_200,
    flops=184_800_000,
    kind="language",
)
def word_lstm(
    vocab_size: int = 10_000,
    embedding_dim: int = 200,
    hidden_size: int = 200,
    num_layers: int = 2,
    dropout: float = 0.2,
    tie_weights: bool = False,
    cell: str = "lstm",
) -> RecurrentLanguageModel:
    """Language model of words: two layers of 200, dropout between them and around them.

    ``cell`` is lstm, rnn, gru (the lecture's) or gru_reset_after; ``tie_weights`` takes the embedding's weights for the
    logits.
    """
    return RecurrentLanguageModel(cell, vocab_size, embedding_dim, hidden_size, num_layers, dropout, tie_weights)


@register_model(
    source='Graves and Schmidhuber 2005, "Framewise phoneme classification with bidirectional LSTM"',
    input_shape=(32,),
    parameters=336_034,
    flops=14_943_232,
    kind="text classes",
)
def lstm_classifier(
    num_classes: int = 2,
    vocab_size: int = 1000,
    embedding_dim: int = 100,
    hidden_size: int = 128,
    num_layers: int = 1,
    bidirectional: bool = True,
    dropout: float = 0.5,
    padding: int = 0,
) -> RecurrentClassifier:
    """LSTM in both directions for texts: what it knows at either end is classified.

    ``padding`` is the token that is none, and how many of them follow a text changes nothing.
    """
    return RecurrentClassifier(
        "lstm", num_classes, vocab_size, embedding_dim, hidden_size, num_layers, bidirectional, dropout, padding
    )
