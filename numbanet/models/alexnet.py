"""AlexNet (LECTURE row L13), for pictures of 224×224 and for small ones."""

from __future__ import annotations

from numbanet import nn
from numbanet.models._parts import Parts, check_pictures, positive, sides
from numbanet.models.registry import register_model
from numbanet.tensor import Tensor


class AlexNet(nn.Module):
    """Five convolutions with three overlapping pools, and three fully connected layers of ``width`` units.

    ``features`` and ``classifier`` have the keys of torchvision's; norms, where there are any, come behind the
    convolutions. The features are averaged to ``pooled`` × ``pooled`` positions. ``stride`` and ``padding`` are those
    of the first convolution, with which pictures may not be smaller than ``least``.
    """

    def __init__(
        self,
        name: str,
        num_classes: int,
        in_channels: int,
        image_size: int | tuple[int, int],
        first: tuple[int, int],
        least: int,
        pooled: int,
        width: int,
        parts: Parts,
    ) -> None:
        super().__init__()
        positive(num_classes=num_classes, in_channels=in_channels)
        self.name = name
        self.in_channels = in_channels
        self.size = sides(image_size)
        if min(self.size) < least:
            raise ValueError(f"{name} needs pictures of at least {least}×{least}, but got image_size={image_size}")
        self.features = _features(in_channels, *first, parts)
        self.avgpool = nn.AdaptiveAvgPool2d(pooled)
        self.classifier = nn.Sequential(
            parts.make_dropout(),
            nn.Linear(256 * pooled * pooled, width),
            parts.make_activation(),
            parts.make_dropout(),
            nn.Linear(width, width),
            parts.make_activation(),
            nn.Linear(width, num_classes),
        )
        parts.start_weights_(self)

    def forward(self, input: Tensor) -> Tensor:
        check_pictures(self.name, input, self.in_channels, self.size)
        return self.classifier(self.avgpool(self.features(input)).flatten(1))


def _features(in_channels: int, stride: int, padding: int, parts: Parts) -> nn.Sequential:
    """The convolutions and pools."""

    def convolution(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=not parts.has_norm)
        return [conv, *([parts.make_norm(outputs)] if parts.has_norm else []), parts.make_activation()]

    return nn.Sequential(
        *convolution(in_channels, 64, 11, stride, padding), nn.MaxPool2d(3, 2),
        *convolution(64, 192, 5, 1, 2), nn.MaxPool2d(3, 2),
        *convolution(192, 384, 3, 1, 1),
        *convolution(384, 256, 3, 1, 1),
        *convolution(256, 256, 3, 1, 1), nn.MaxPool2d(3, 2),
    )  # fmt: skip


@register_model(
    source='Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", in the form of '
    "torchvision; Krizhevsky, Sutskever and Hinton 2012, "
    '"ImageNet classification with deep convolutional neural networks"',
    input_shape=(3, 224, 224),
    parameters=61_100_840,
    flops=1_428_376_960,
)
def alexnet(
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: int | tuple[int, int] = 224,
    activation: str = "relu",
    norm: str = "none",
    dropout: float = 0.5,
    classic_dropout: bool = False,
    init: str = "lecture",
    init_scale: float = 1.0,
) -> AlexNet:
    """AlexNet in one tower: five convolutions, overlapping pools, three fully connected layers with dropout.

    torchvision's layers and keys, so its weights load, and its form of dropout, with which they were trained. The
    network of 2012 had two towers and local response normalisation (60.97 million parameters).
    """
    parts = Parts(norm, activation, dropout, classic_dropout, init, init_scale)
    return AlexNet("alexnet", num_classes, in_channels, image_size, (4, 2), 63, 6, 4096, parts)


@register_model(
    source="AlexNet (Krizhevsky 2014) for small pictures: the same features, fully connected layers of 1024 units",
    input_shape=(3, 32, 32),
    parameters=3_792_714,
    flops=81_687_936,
)
def alexnet_small(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int | tuple[int, int] = 32,
    activation: str = "relu",
    norm: str = "none",
    dropout: float = 0.5,
    classic_dropout: bool = True,
    init: str = "lecture",
    init_scale: float = 1.0,
) -> AlexNet:
    """AlexNet for pictures of 32×32 or 64×64, with fully connected layers of 1024 units.

    The first convolution makes 15×15 positions of either: from 63×63 on it has AlexNet's stride of 4 and padding of 2,
    below a stride of 2 and a padding of 4. The weights have the same shapes for all sizes.
    """
    first = (4, 2) if min(sides(image_size)) >= 63 else (2, 4)
    parts = Parts(norm, activation, dropout, classic_dropout, init, init_scale)
    return AlexNet("alexnet_small", num_classes, in_channels, image_size, first, 31, 1, 1024, parts)
