"""The networks for 32×32 pictures: ResNet-20 … 1202, and the plain networks without shortcuts (LECTURE row L22)."""

from __future__ import annotations

from collections.abc import Callable

from numbanet.models._parts import Parts
from numbanet.models.registry import register_model
from numbanet.models.residual import BasicBlock, ResNet

SOURCE = 'He, Zhang, Ren and Sun 2015, "Deep residual learning for image recognition", section 4.2'
WIDTHS = (16, 32, 64)


def _enter(build: Callable[..., ResNet], name: str, depth: int, doc: str, parameters: int, flops: int) -> Callable:
    """Register ``build`` under a name, its docstring filled in."""
    build.__name__ = build.__qualname__ = name
    build.__doc__ = doc.format(depth=depth, blocks=(depth - 2) // 6)
    return register_model(source=SOURCE, input_shape=(3, 32, 32), parameters=parameters, flops=flops)(build)


def _residual(depth: int, parameters: int, flops: int) -> Callable[..., ResNet]:
    def build(
        num_classes: int = 10,
        in_channels: int = 3,
        image_size: int | tuple[int, int] = 32,
        norm: str = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        classic_dropout: bool = True,
        zero_init_residual: bool = False,
        shortcut: str = "A",
        init: str = "lecture",
        init_scale: float = 1.0,
    ) -> ResNet:
        parts = Parts(norm, activation, dropout, classic_dropout, init, init_scale)
        blocks = [(depth - 2) // 6] * 3
        return ResNet(
            build.__name__, num_classes, in_channels, image_size, BasicBlock, WIDTHS, blocks, False, shortcut,
            zero_init_residual, parts,
        )  # fmt: skip

    doc = """ResNet-{depth} for small pictures: three stages of {blocks} residual blocks with 16, 32 and 64 channels.

    Shortcuts that change the shape take every second pixel and zero channels (option A; "B" is a 1×1 convolution,
    "none" is the plain network). Dropout comes before the last layer; with zero_init_residual each block begins as the
    identity.
    """
    return _enter(build, f"resnet{depth}", depth, doc, parameters, flops)


def _plain(depth: int, parameters: int, flops: int) -> Callable[..., ResNet]:
    def build(
        num_classes: int = 10,
        in_channels: int = 3,
        image_size: int | tuple[int, int] = 32,
        norm: str = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        classic_dropout: bool = True,
        init: str = "lecture",
        init_scale: float = 1.0,
    ) -> ResNet:
        parts = Parts(norm, activation, dropout, classic_dropout, init, init_scale)
        blocks = [(depth - 2) // 6] * 3
        return ResNet(
            build.__name__,
            num_classes,
            in_channels,
            image_size,
            BasicBlock,
            WIDTHS,
            blocks,
            False,
            "none",
            False,
            parts,
        )

    doc = """Plain network of {depth} layers: ResNet-{depth} without its shortcuts.

    Three stages of {blocks} pairs of 3×3 convolutions with 16, 32 and 64 channels. The deeper, the worse it trains,
    which is what shortcuts are for. Dropout comes before the last layer.
    """
    return _enter(build, f"plain{depth}", depth, doc, parameters, flops)


plain20 = _plain(20, 269_722, 81_102_080)
plain32 = _plain(32, 464_154, 137_725_184)
plain44 = _plain(44, 658_586, 194_348_288)
plain56 = _plain(56, 853_018, 250_971_392)
plain110 = _plain(110, 1_727_962, 505_775_360)
resnet20 = _residual(20, 269_722, 81_102_080)
resnet32 = _residual(32, 464_154, 137_725_184)
resnet44 = _residual(44, 658_586, 194_348_288)
resnet56 = _residual(56, 853_018, 250_971_392)
resnet110 = _residual(110, 1_727_962, 505_775_360)
resnet1202 = _residual(1202, 19_421_274, 5_658_477_824)
