"""Multi-layer perceptron (LECTURE row L1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from numbanet import nn
from numbanet.models._parts import Parts, positive, sides, with_norm
from numbanet.models.registry import register_model
from numbanet.tensor import Tensor


class MLP(nn.Module):
    """Fully connected layers fc1, fc2, … with norm, activation and dropout between them; gives logits (batch,
    num_classes)."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int | tuple[int, int],
        hidden: int | Sequence[int],
        parts: Parts,
    ) -> None:
        super().__init__()
        hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        positive(num_classes=num_classes, in_channels=in_channels)
        for width in hidden:
            positive(hidden=width)
        height, width = sides(image_size)
        self.in_features = in_channels * height * width
        self.depth = len(hidden) + 1
        for number, (inputs, outputs) in enumerate(pairwise((self.in_features, *hidden)), start=1):
            self.add_module(f"fc{number}", nn.Linear(inputs, outputs, bias=not parts.has_norm))
            self.add_module(f"norm{number}", parts.make_vector_norm(outputs))
        self.add_module(f"fc{self.depth}", nn.Linear((self.in_features, *hidden)[-1], num_classes))
        self.activation = parts.make_activation()
        self.dropout = parts.make_dropout()
        parts.start_weights_(self)

    def forward(self, input: Tensor) -> Tensor:
        shape = tuple(input.shape)
        x = input.flatten(1) if len(shape) > 2 else input
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ValueError(
                f"mlp takes a batch of samples with {self.in_features} values each, but got shape {shape}; build it "
                "with in_channels and image_size so that in_channels · image_size² is the size of a sample"
            )
        for number in range(1, self.depth):
            layer, norm = getattr(self, f"fc{number}"), getattr(self, f"norm{number}")
            x = self.dropout(with_norm(layer, norm, self.activation, x))
        return getattr(self, f"fc{self.depth}")(x)


@register_model(
    source='Rumelhart, Hinton and Williams 1986, "Learning representations by back-propagating errors"',
    input_shape=(1, 28, 28),
    parameters=535_818,
    flops=1_070_080,
)
def mlp(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: int | tuple[int, int] = 28,
    hidden: Sequence[int] = (512, 256),
    activation: str = "relu",
    norm: str = "none",
    dropout: float = 0.0,
    classic_dropout: bool = True,
    init: str = "lecture",
    init_scale: float = 1.0,
) -> MLP:
    """Multi-layer perceptron: the picture as one vector through fully connected layers.

    ``hidden`` are the widths of all but the last; behind each of these come a norm (of vectors, so "instance" is none),
    the activation and dropout.
    """
    parts = Parts(norm, activation, dropout, classic_dropout, init, init_scale)
    return MLP(num_classes, in_channels, image_size, hidden, parts)
