"""Multi-layer perceptron (LECTURE row L1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from numbanet import nn
from numbanet.models._parts import ACTIVATIONS, choose, lecture_init_, positive
from numbanet.models.registry import register_model
from numbanet.nn.fusion import activated
from numbanet.tensor import Tensor


class MLP(nn.Module):
    """Fully connected layers fc1, fc2, … with an activation between them; gives logits (batch, num_classes)."""

    def __init__(
        self, num_classes: int, in_channels: int, image_size: int, hidden: Sequence[int], activation: str
    ) -> None:
        super().__init__()
        hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        positive(num_classes=num_classes, in_channels=in_channels, image_size=image_size)
        for width in hidden:
            positive(hidden=width)
        self.in_features = in_channels * image_size * image_size
        self.depth = len(hidden) + 1
        for number, (inputs, outputs) in enumerate(pairwise((self.in_features, *hidden, num_classes)), start=1):
            self.add_module(f"fc{number}", nn.Linear(inputs, outputs))
        self.activation = choose("activation", activation, ACTIVATIONS)()
        lecture_init_(self, activation)

    def forward(self, input: Tensor) -> Tensor:
        shape = tuple(input.shape)
        x = input.flatten(1) if len(shape) > 2 else input
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ValueError(
                f"mlp takes a batch of samples with {self.in_features} values each, but got shape {shape}; build it "
                "with in_channels and image_size so that in_channels · image_size² is the size of a sample"
            )
        for number in range(1, self.depth):
            x = activated(getattr(self, f"fc{number}"), self.activation, x)
        return getattr(self, f"fc{self.depth}")(x)


@register_model(
    source='Rumelhart, Hinton and Williams 1986, "Learning representations by back-propagating errors"',
    input_shape=(1, 28, 28),
    parameters=535_818,
)
def mlp(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: int = 28,
    hidden: Sequence[int] = (512, 256),
    activation: str = "relu",
) -> MLP:
    """Multi-layer perceptron: the picture as one vector, through fully connected layers of the widths ``hidden``.

    Weights start as in LECTURE row L11.
    """
    return MLP(num_classes, in_channels, image_size, hidden, activation)
