"""LeNet-5 (LECTURE row L6)."""

from __future__ import annotations

from numbanet import nn
from numbanet.models._parts import ACTIVATIONS, check_pictures, choose, lecture_init_, positive
from numbanet.models.registry import register_model
from numbanet.nn.fusion import activated
from numbanet.tensor import Tensor

POOLS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


class LeNet5(nn.Module):
    """convolution – pool – activation, twice, and three fully connected layers; gives logits (batch, num_classes)."""

    def __init__(self, num_classes: int, in_channels: int, image_size: int, activation: str, pool: str) -> None:
        super().__init__()
        positive(num_classes=num_classes, in_channels=in_channels, image_size=image_size)
        # What the two convolutions and the two pools leave of a side.
        side = (image_size // 2 - 4) // 2
        if side < 1:
            raise ValueError(f"lenet5 needs pictures of at least 12×12, but got image_size={image_size}")
        self.in_channels = in_channels
        self.image_size = image_size
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)
        self.activation = choose("activation", activation, ACTIVATIONS)()
        self.pool = choose("pool", pool, POOLS)(2)
        lecture_init_(self, activation)

    def forward(self, input: Tensor) -> Tensor:
        check_pictures("lenet5", input, self.in_channels, self.image_size)
        # LeCun's order, pool before activation. A maximum commutes with a rising function, to the bit, and there is a
        # quarter of the elements left to activate.
        x = self.activation(self.pool(self.conv1(input)))
        x = self.activation(self.pool(self.conv2(x)))
        x = activated(self.fc1, self.activation, x.flatten(1))
        x = activated(self.fc2, self.activation, x)
        return self.fc3(x)


@register_model(
    source='LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition"',
    input_shape=(1, 28, 28),
    parameters=61_706,
)
def lenet5(
    num_classes: int = 10, in_channels: int = 1, image_size: int = 28, activation: str = "relu", pool: str = "max"
) -> LeNet5:
    """LeNet-5: two 5×5 convolutions with pools, three fully connected layers.

    The layer sizes of 1998 with today's parts: ReLU ("tanh" and "sigmoid" on request), max pools ("avg" on request),
    every feature map of the second convolution sees all of the first, and softmax cross-entropy instead of RBF units.
    Weights start as in LECTURE row L11.
    """
    return LeNet5(num_classes, in_channels, image_size, activation, pool)
