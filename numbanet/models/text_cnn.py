"""Convolutions over words that classify sentences (LECTURE row L28)."""

from __future__ import annotations

from collections.abc import Sequence

from numbanet import nn
from numbanet.creation import cat
from numbanet.models._parts import check_tokens, positive, share
from numbanet.models.registry import register_model
from numbanet.nn import init
from numbanet.nn.fusion import activated
from numbanet.tensor import Tensor


class TextCNN(nn.Module):
    """Embeddings, convolutions over windows of several widths with a ReLU, the maximum of each over time, dropout and
    a linear layer: (batch, length) to logits (batch, num_classes)."""

    def __init__(
        self,
        num_classes: int,
        vocab_size: int,
        embedding_dim: int,
        widths: Sequence[int],
        channels: int,
        dropout: float,
        padding: int,
    ) -> None:
        super().__init__()
        widths = (widths,) if isinstance(widths, int) else tuple(widths)
        positive(num_classes=num_classes, vocab_size=vocab_size, embedding_dim=embedding_dim, channels=channels)
        for width in widths:
            positive(width=width)
        share("dropout", dropout)
        self.padding = padding
        self.widths = widths
        self.tokens = nn.Embedding(vocab_size, embedding_dim, padding)
        # zeros on both sides, so that every window with a word in it counts and a sentence may be of one word
        self.convolutions = nn.ModuleList(
            [nn.Conv1d(embedding_dim, channels, width, padding=width - 1) for width in widths]
        )
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels * len(widths), num_classes)
        init.uniform_(self.tokens.weight, -0.25, 0.25)

    def forward(self, tokens: Tensor) -> Tensor:
        check_tokens("text_cnn", tokens)
        shown = (tokens != self.padding).to(self.tokens.weight.dtype)
        x = (self.tokens(tokens) * shown.unsqueeze(-1)).transpose(1, 2)
        ends = tokens.new_arange(tokens.shape[1] + max(self.widths) - 1)
        lengths = (shown * (ends[: tokens.shape[1]] + 1)).amax(1, keepdim=True)
        found = []
        for width, convolution in zip(self.widths, self.convolutions, strict=True):
            # windows beyond the sentence hold nothing but padding, and what they give is no more than a bias
            inside = ends[: tokens.shape[1] + width - 1] < lengths + (width - 1)
            maps = activated(convolution, self.relu, x)
            found.append((maps * inside.to(maps.dtype).unsqueeze(1)).amax(2))
        return self.fc(self.dropout(cat(found, 1)))


@register_model(
    source='Kim 2014, "Convolutional neural networks for sentence classification"',
    input_shape=(32,),
    parameters=660_902,
    flops=25_321_200,
    kind="text classes",
)
def text_cnn(
    num_classes: int = 2,
    vocab_size: int = 1000,
    embedding_dim: int = 300,
    widths: Sequence[int] = (3, 4, 5),
    channels: int = 100,
    dropout: float = 0.5,
    padding: int = 0,
) -> TextCNN:
    """Convolutions over 3, 4 and 5 words, the maximum of each feature over the sentence, and a linear layer.

    Embeddings begin in U(−0.25, 0.25) (CNN-rand of the paper); ``padding`` is the token that is none, and how many of
    them follow a sentence changes nothing.
    """
    return TextCNN(num_classes, vocab_size, embedding_dim, widths, channels, dropout, padding)
