"""LeNet-5 (LECTURE row L6)."""

from __future__ import annotations

from numbanet import nn
from numbanet.models._parts import Parts, check_pictures, choose, positive, sides
from numbanet.models.registry import register_model
from numbanet.nn.fusion import activated, pooled
from numbanet.tensor import Tensor

POOLS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


class LeNet5(nn.Module):
    """layer – pool – activation, twice, and three fully connected layers; gives logits (batch, num_classes).

    The layers' windows reach ``radius`` pixels to each side; the first is padded, the second not.
    """

    name = "lenet5"

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int | tuple[int, int],
        pool: str,
        parts: Parts,
        radius: int = 2,
    ) -> None:
        super().__init__()
        positive(num_classes=num_classes, in_channels=in_channels, radius=radius)
        size = sides(image_size)
        height, width = ((side // 2 - 2 * radius) // 2 for side in size)
        if min(height, width) < 1:
            least = 4 * radius + 4
            raise ValueError(f"{self.name} needs pictures of at least {least}×{least}, but got image_size={image_size}")
        self.in_channels = in_channels
        self.size = size
        self.conv1 = self.make_layer(in_channels, 6, size, radius, radius, not parts.has_norm)
        self.norm1 = parts.make_norm(6)
        self.conv2 = self.make_layer(6, 16, (size[0] // 2, size[1] // 2), radius, 0, not parts.has_norm)
        self.norm2 = parts.make_norm(16)
        self.fc1 = nn.Linear(16 * height * width, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)
        self.pool = choose("pool", pool, POOLS)(2)
        self.activation = parts.make_activation()
        self.dropout = parts.make_dropout()
        parts.start_weights_(self)

    @staticmethod
    def make_layer(
        inputs: int, outputs: int, size: tuple[int, int], radius: int, padding: int, bias: bool
    ) -> nn.Module:
        """What looks at the pictures of this size: here a convolution."""
        return nn.Conv2d(inputs, outputs, 2 * radius + 1, padding=padding, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        check_pictures(self.name, input, self.in_channels, self.size)
        x = self.stage(self.conv1, self.norm1, input)
        x = self.stage(self.conv2, self.norm2, x)
        x = self.dropout(activated(self.fc1, self.activation, x.flatten(1)))
        x = self.dropout(activated(self.fc2, self.activation, x))
        return self.fc3(x)

    def stage(self, conv: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
        """Convolution, norm, pool and activation: LeCun's order, pool before activation. A maximum commutes with a
        rising function, to the bit, and there is a quarter of the elements left to activate."""
        if type(norm) is nn.Identity and not norm.has_call_hooks:
            return pooled(conv, self.pool, self.activation, x)
        return self.activation(self.pool(norm(conv(x))))


@register_model(
    source='LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition"',
    input_shape=(1, 28, 28),
    parameters=61_706,
    flops=833_040,
)
def lenet5(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: int | tuple[int, int] = 28,
    activation: str = "relu",
    pool: str = "max",
    norm: str = "none",
    dropout: float = 0.0,
    classic_dropout: bool = True,
    init: str = "lecture",
    init_scale: float = 1.0,
) -> LeNet5:
    """LeNet-5: two 5×5 convolutions with pools, three fully connected layers.

    The layer sizes of 1998 with today's parts: ReLU ("tanh", "sigmoid" and "gelu" on request), max pools ("avg" on
    request), every feature map of the second convolution sees all of the first (so there are 61,706 parameters, where
    1998 had 60,000), and softmax cross-entropy instead of RBF units. A norm comes behind each convolution, dropout
    behind the first two fully connected layers.
    """
    return LeNet5(
        num_classes,
        in_channels,
        image_size,
        pool,
        Parts(norm, activation, dropout, classic_dropout, init, init_scale),
    )
