"""ResNet-18, 34 and 50, with the keys of torchvision's (LECTURE row L22)."""

from __future__ import annotations

from collections.abc import Callable

from numbanet.models._parts import Parts
from numbanet.models.registry import register_model
from numbanet.models.residual import BasicBlock, Bottleneck, ResNet

SOURCE = 'He, Zhang, Ren and Sun 2015, "Deep residual learning for image recognition", table 1'


def _enter(depth: int, block: type, blocks: tuple[int, ...], parameters: int, flops: int) -> Callable[..., ResNet]:
    """Register the network of this depth."""

    def build(
        num_classes: int = 1000,
        in_channels: int = 3,
        image_size: int | tuple[int, int] = 224,
        norm: str = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        classic_dropout: bool = False,
        zero_init_residual: bool = False,
        shortcut: str = "B",
        init: str = "lecture",
        init_scale: float = 1.0,
    ) -> ResNet:
        parts = Parts(norm, activation, dropout, classic_dropout, init, init_scale)
        return ResNet(
            build.__name__, num_classes, in_channels, image_size, block, (64, 128, 256, 512), blocks, True, shortcut,
            zero_init_residual, parts,
        )  # fmt: skip

    build.__name__ = build.__qualname__ = f"resnet{depth}"
    convolutions = "two" if block is BasicBlock else "three"
    build.__doc__ = (
        f"ResNet-{depth}: {sum(blocks)} residual blocks of {convolutions} convolutions.\n\n"
        "torchvision's layers and keys, so its weights load. Shortcuts that change the shape are 1×1 convolutions "
        '(option B; "A" is without parameters, "none" is the plain network), dropout comes before the last layer, and '
        "with zero_init_residual each block begins as the identity."
    )
    return register_model(source=SOURCE, input_shape=(3, 224, 224), parameters=parameters, flops=flops)(build)


resnet18 = _enter(18, BasicBlock, (2, 2, 2, 2), 11_689_512, 3_628_146_688)
resnet34 = _enter(34, BasicBlock, (3, 4, 6, 3), 21_797_672, 7_327_522_816)
resnet50 = _enter(50, Bottleneck, (3, 4, 6, 3), 25_557_032, 8_178_368_512)
