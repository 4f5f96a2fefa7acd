"""A Transformer encoder that classifies texts (LECTURE row L35)."""

from __future__ import annotations

from numbanet import nn
from numbanet.models._parts import check_tokens, heads_fit, positive, share
from numbanet.models.registry import register_model
from numbanet.nn import init
from numbanet.tensor import Tensor


class TransformerClassifier(nn.Module):
    """Embeddings, positions, an encoder, the mean over the tokens that are no padding, and a linear layer:
    (batch, length) to logits (batch, num_classes)."""

    def __init__(
        self,
        num_classes: int,
        vocab_size: int,
        max_length: int,
        d_model: int,
        num_layers: int,
        num_heads: int,
        dim_feedforward: int,
        dropout: float,
        padding: int,
    ) -> None:
        super().__init__()
        positive(
            num_classes=num_classes, vocab_size=vocab_size, max_length=max_length, d_model=d_model,
            num_layers=num_layers, num_heads=num_heads, dim_feedforward=dim_feedforward,
        )  # fmt: skip
        heads_fit(d_model, num_heads)
        share("dropout", dropout)
        self.padding = padding
        self.tokens = nn.Embedding(vocab_size, d_model, padding)
        self.positions = nn.LearnedPositionalEncoding(d_model, max_length)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            d_model, num_heads, dim_feedforward, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers, nn.LayerNorm(d_model))
        self.fc = nn.Linear(d_model, num_classes)
        for parameter in self.encoder.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)
        init.normal_(self.tokens.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        check_tokens("transformer_classifier", tokens)
        hidden = tokens == self.padding
        x = self.dropout(self.positions(self.tokens(tokens)))
        x = self.encoder(x, src_key_padding_mask=hidden)
        shown = (~hidden).to(x.dtype).unsqueeze(-1)
        mean = (x * shown).sum(1) / shown.sum(1).clamp(min=1)  # a text of padding alone has the mean 0
        return self.fc(self.dropout(mean))


@register_model(
    source='Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser and Polosukhin 2017, "Attention is all you need"',
    input_shape=(32,),
    parameters=426_242,
    flops=17_826_304,
    kind="text classes",
)
def transformer_classifier(
    num_classes: int = 2,
    vocab_size: int = 1000,
    max_length: int = 256,
    d_model: int = 128,
    num_layers: int = 2,
    num_heads: int = 4,
    dim_feedforward: int = 256,
    dropout: float = 0.1,
    padding: int = 0,
) -> TransformerClassifier:
    """Transformer encoder for texts: every token looks at all of them, and their mean is classified.

    ``padding`` is the token that is none; how many of them follow a text changes nothing.
    """
    return TransformerClassifier(
        num_classes, vocab_size, max_length, d_model, num_layers, num_heads, dim_feedforward, dropout, padding
    )
