"""A recurrent network for series of numbers, such as the adding problem's (LECTURE rows L29, L31, L32)."""

from __future__ import annotations

from numbanet import nn
from numbanet.models._parts import check_series, choose, positive, share
from numbanet.models._recurrent import CELLS, as_tuple
from numbanet.models.registry import register_model
from numbanet.nn import init
from numbanet.tensor import Tensor


class RecurrentSeries(nn.Module):
    """Recurrent layers over a series, and a linear layer on the last state of the uppermost one: (batch, length,
    input_size) to (batch, num_outputs)."""

    def __init__(
        self,
        cell: str,
        input_size: int,
        num_outputs: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        length: int,
    ) -> None:
        super().__init__()
        positive(input_size=input_size, num_outputs=num_outputs, hidden_size=hidden_size)
        positive(num_layers=num_layers, length=length)
        share("dropout", dropout)
        layer = choose("cell", cell, CELLS)
        self.dropout = nn.Dropout(dropout)
        between = dropout if num_layers > 1 else 0.0
        self.layers = layer(input_size, hidden_size, num_layers=num_layers, dropout=between)
        self.fc = nn.Linear(hidden_size, num_outputs)
        if cell == "lstm":
            self._spread_memories(length)

    def forward(self, series: Tensor) -> Tensor:
        check_series("series_lstm", series, self.layers.input_size)
        _, states = self.layers(series.transpose(0, 1))
        return self.fc(self.dropout(as_tuple(states)[0][-1]))

    def _spread_memories(self, length: int) -> None:
        """Let each cell forget at a rate of its own: biases log U(1, ``length`` − 1) more of the forget gates, and
        as much less of the input gates (Tallec and Ollivier 2018, "Can recurrent neural networks warp time?")."""
        size = self.layers.hidden_size
        for name, bias in self.layers.named_parameters():
            if name.startswith("bias_ih"):
                steps = bias.detach()[:size].clone()
                init.uniform_(steps, 1.0, max(1.0, length - 1.0))
                bias.data[size : 2 * size].add_(steps.log())
                bias.data[:size].sub_(steps.log())


@register_model(
    source='Hochreiter and Schmidhuber 1997, "Long short-term memory"',
    input_shape=(150, 2),
    parameters=17_473,
    flops=5_068_928,
    kind="series",
)
def series_lstm(
    input_size: int = 2,
    num_outputs: int = 1,
    hidden_size: int = 64,
    num_layers: int = 1,
    dropout: float = 0.0,
    cell: str = "lstm",
    length: int = 150,
) -> RecurrentSeries:
    """LSTM for series of numbers: what it knows at the end is the answer.

    ``cell`` is lstm, rnn, gru (the lecture's) or gru_reset_after. The cells of an LSTM begin with memories of 1 to
    ``length`` steps, without which no sum of two numbers survives a long series; series may have any length.
    """
    return RecurrentSeries(cell, input_size, num_outputs, hidden_size, num_layers, dropout, length)
