"""Encoder and decoder for translation: one context vector, or attention (LECTURE rows L33, L34)."""

from __future__ import annotations

from numbanet import nn
from numbanet.creation import cat
from numbanet.models._parts import check_tokens, choose, positive, share
from numbanet.models._recurrent import CELLS, RecurrentState, as_given, as_tuple, lengths_of
from numbanet.models.registry import register_model
from numbanet.tensor import Tensor

REVERSALS = ("none", "source")


class Seq2Seq(nn.Module):
    """An encoder reads the source, and the decoder begins with its last states: source (batch, n) and target (batch, m)
    to logits (batch, m, target_vocab_size). Tokens ``padding`` behind a source change nothing.

    With ``reverse`` "source" the encoder reads from the last word to the first (Sutskever et al. 2014).
    """

    def __init__(
        self,
        cell: str,
        source_vocab_size: int,
        target_vocab_size: int,
        embedding_dim: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        reverse: str,
        padding: int,
    ) -> None:
        super().__init__()
        positive(
            source_vocab_size=source_vocab_size, target_vocab_size=target_vocab_size, embedding_dim=embedding_dim,
            hidden_size=hidden_size, num_layers=num_layers,
        )  # fmt: skip
        share("dropout", dropout)
        layer = choose("cell", cell, CELLS)
        choose("reverse", reverse, dict.fromkeys(REVERSALS))
        self.padding = padding
        self.reverse = reverse
        self.source = nn.Embedding(source_vocab_size, embedding_dim, padding)
        self.target = nn.Embedding(target_vocab_size, embedding_dim, padding)
        self.dropout = nn.Dropout(dropout)
        between = dropout if num_layers > 1 else 0.0
        self.encoder = layer(embedding_dim, hidden_size, num_layers=num_layers, dropout=between)
        self.decoder = layer(embedding_dim, hidden_size, num_layers=num_layers, dropout=between)
        self.fc = nn.Linear(hidden_size, target_vocab_size)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self._decode(target, self.start(source).layers)[0]

    def _decode(self, target: Tensor, layers: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        check_tokens("seq2seq", target)
        x, states = self.decoder(self.dropout(self.target(target.T)), as_given(layers))
        return self.fc(self.dropout(x).transpose(0, 1)), as_tuple(states)

    # --- generation ---
    def start(self, source: Tensor) -> RecurrentState:
        """The state before the first token of the translations of ``source`` (batch, n)."""
        check_tokens("seq2seq", source, "token numbers of the source")
        x = self.dropout(self.source(source.T))
        lengths = lengths_of(source, self.padding)
        _, states = self.encoder(x, None, lengths, reverse=self.reverse == "source")
        return RecurrentState(as_tuple(states))

    def step(self, tokens: Tensor, state: RecurrentState) -> Tensor:
        """Logits (batch, target_vocab_size) for the token behind ``tokens`` (batch, m), the new ones since ``state``,
        which is moved on. Call it under ``no_grad``, in evaluation."""
        logits, state.layers = self._decode(tokens, state.layers)
        return logits[:, -1]


class Seq2SeqAttention(nn.Module):
    """A bidirectional encoder, and a decoder that looks at all its states h in each step: source (batch, n) and target
    (batch, m) to logits (batch, m, target_vocab_size).

    s_t = f(s_{t−1}, y_{t−1}, c_t) by a GRU, c_t = Σ_i a_{t,i} h_i by additive attention with s_{t−1}, and
    s_0 = tanh(W ←h_1); the logits are of y_{t−1}, s_t and c_t. Tokens ``padding`` of a source are not looked at.
    """

    def __init__(
        self,
        source_vocab_size: int,
        target_vocab_size: int,
        embedding_dim: int,
        hidden_size: int,
        dropout: float,
        padding: int,
        reset_after: bool,
    ) -> None:
        super().__init__()
        positive(
            source_vocab_size=source_vocab_size, target_vocab_size=target_vocab_size, embedding_dim=embedding_dim,
            hidden_size=hidden_size,
        )  # fmt: skip
        share("dropout", dropout)
        self.padding = padding
        self.source = nn.Embedding(source_vocab_size, embedding_dim, padding)
        self.target = nn.Embedding(target_vocab_size, embedding_dim, padding)
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.GRU(embedding_dim, hidden_size, bidirectional=True, reset_after=reset_after)
        self.first = nn.Linear(hidden_size, hidden_size)
        self.attention = nn.BahdanauAttention(hidden_size, 2 * hidden_size, hidden_size)
        self.decoder = nn.GRUCell(embedding_dim + 2 * hidden_size, hidden_size, reset_after=reset_after)
        self.merge = nn.Linear(embedding_dim + 3 * hidden_size, embedding_dim)
        self.fc = nn.Linear(embedding_dim, target_vocab_size)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self._decode(target, self.start(source))[0]

    def alignments(self, source: Tensor, target: Tensor) -> Tensor:
        """The weights a (batch, m, n): at which words of the source the decoder looks before it reads on."""
        return self._decode(target, self.start(source))[1]

    def _decode(self, target: Tensor, state: RecurrentState) -> tuple[Tensor, Tensor]:
        """Logits and weights; the state is moved on."""
        check_tokens("seq2seq_attention", target)
        memory, projected, hidden = state.memory
        words = self.dropout(self.target(target.T))
        states, contexts, weights = self.attention.decode(
            self.decoder, words, state.layers[0][0], memory, hidden, projected=projected
        )
        state.layers = (states[-1:],)
        merged = self.merge(cat([words, states, contexts], 2)).tanh()
        return self.fc(self.dropout(merged).transpose(0, 1)), weights.transpose(0, 1)

    # --- generation ---
    def start(self, source: Tensor) -> RecurrentState:
        """The state before the first token of the translations of ``source`` (batch, n)."""
        check_tokens("seq2seq_attention", source, "token numbers of the source")
        x = self.dropout(self.source(source.T))
        memory, last = self.encoder(x, None, lengths_of(source, self.padding))
        memory = memory.transpose(0, 1).contiguous()
        first = self.first(last[1]).tanh().unsqueeze(0)
        return RecurrentState((first,), (memory, self.attention.key(memory), source == self.padding))

    def step(self, tokens: Tensor, state: RecurrentState) -> Tensor:
        """Logits (batch, target_vocab_size) for the token behind ``tokens`` (batch, m), the new ones since ``state``,
        which is moved on. Call it under ``no_grad``, in evaluation."""
        return self._decode(tokens, state)[0][:, -1]


@register_model(
    source='Sutskever, Vinyals and Le 2014, "Sequence to sequence learning with neural networks"',
    input_shape=(32,),
    parameters=1_821_672,
    flops=83_492_864,
    kind="translation",
)
def seq2seq(
    source_vocab_size: int = 1000,
    target_vocab_size: int = 1000,
    embedding_dim: int = 256,
    hidden_size: int = 256,
    num_layers: int = 1,
    dropout: float = 0.2,
    cell: str = "lstm",
    reverse: str = "none",
    padding: int = 0,
) -> Seq2Seq:
    """Encoder–decoder: all that the decoder knows of the source is the encoder's last state.

    ``reverse`` is none or source, which is then read from its end; a target is reversed by the one who feeds it, as
    ``numbanet train --reverse target`` does. ``cell`` is lstm, rnn, gru (the lecture's) or gru_reset_after; ``padding``
    is the token that is none.
    """
    return Seq2Seq(
        cell, source_vocab_size, target_vocab_size, embedding_dim, hidden_size, num_layers, dropout, reverse, padding
    )


@register_model(
    source='Bahdanau, Cho and Bengio 2014, "Neural machine translation by jointly learning to align and translate"',
    input_shape=(32,),
    parameters=2_869_480,
    flops=148_111_360,
    kind="translation",
)
def seq2seq_attention(
    source_vocab_size: int = 1000,
    target_vocab_size: int = 1000,
    embedding_dim: int = 256,
    hidden_size: int = 256,
    dropout: float = 0.2,
    padding: int = 0,
    reset_after: bool = False,
) -> Seq2SeqAttention:
    """Encoder–decoder with attention: every word of the source can be looked at in every step.

    GRUs in the lecture's form (``reset_after``: PyTorch's), a bidirectional encoder, additive attention; ``padding`` is
    the token that is none.
    """
    return Seq2SeqAttention(
        source_vocab_size, target_vocab_size, embedding_dim, hidden_size, dropout, padding, reset_after
    )
