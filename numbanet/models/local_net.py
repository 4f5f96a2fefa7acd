"""LeNet-5 without weight sharing (LECTURE row L2)."""

from __future__ import annotations

from numbanet import nn
from numbanet.models._parts import Parts
from numbanet.models.lenet import LeNet5
from numbanet.models.registry import register_model


class LocalNet(LeNet5):
    """LeNet-5 with locally connected layers in the place of its convolutions, under the same names."""

    name = "local_net"

    @staticmethod
    def make_layer(
        inputs: int, outputs: int, size: tuple[int, int], radius: int, padding: int, bias: bool
    ) -> nn.Module:
        """A layer that has weights of its own at each position."""
        return nn.LocallyConnected2d(inputs, outputs, size, 2 * radius + 1, padding=padding, bias=bias)


@register_model(
    source='LeCun 1989, "Generalization and network design strategies" (Net-3), with the layers of LeNet-5',
    input_shape=(1, 28, 28),
    parameters=423_038,
    flops=833_040,
)
def local_net(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: int | tuple[int, int] = 28,
    radius: int = 2,
    activation: str = "relu",
    pool: str = "max",
    norm: str = "none",
    dropout: float = 0.0,
    classic_dropout: bool = True,
    init: str = "lecture",
    init_scale: float = 1.0,
) -> LocalNet:
    """Locally connected network: LeNet-5 whose filters differ from position to position.

    As many operations as LeNet-5 and seven times its parameters: what a convolution saves by using its filters
    everywhere. With equal filters at all positions it computes what LeNet-5 computes. Windows are 2 · radius + 1 wide.
    """
    return LocalNet(
        num_classes,
        in_channels,
        image_size,
        pool,
        Parts(norm, activation, dropout, classic_dropout, init, init_scale),
        radius,
    )
