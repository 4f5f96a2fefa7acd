"""Residual networks (LECTURE row L22): the blocks, the shortcuts, and the network that is made of them."""

from __future__ import annotations

from collections.abc import Sequence

from numbanet import nn
from numbanet.models._parts import Parts, check_pictures, positive, sides, with_norm
from numbanet.nn import functional as F
from numbanet.nn import init
from numbanet.nn.fusion import normalised
from numbanet.tensor import Tensor

SHORTCUTS = ("A", "B", "none")


class PadShortcut(nn.Module):
    """He's option A: every second pixel, and zero channels, half of them in front, half behind. No parameters."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (outputs - inputs) // 2
        self.behind = outputs - inputs - self.before

    def forward(self, input: Tensor) -> Tensor:
        step = self.stride
        return F.pad(input[:, :, ::step, ::step], (0, 0, 0, 0, self.before, self.behind))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, zeros=({self.before}, {self.behind})"


def make_shortcut(option: str, inputs: int, outputs: int, stride: int, parts: Parts) -> nn.Module | None:
    """What brings a block's input to the shape of its output; None where they have the same.

    Option "B" is a 1×1 convolution with a norm, "A" a :class:`PadShortcut`; with "none" there are no shortcuts.
    """
    if option == "none" or (inputs == outputs and stride == 1):
        return None
    if option == "A":
        return PadShortcut(inputs, outputs, stride)
    conv = nn.Conv2d(inputs, outputs, 1, stride, bias=not parts.has_norm)
    return nn.Sequential(conv, parts.make_norm(outputs))


class _Block(nn.Module):
    """What blocks share: ``activation(main(x) + shortcut(x))``, or ``activation(main(x))`` without a shortcut."""

    expansion: int

    def __init__(self, inputs: int, width: int, stride: int, shortcut: str, parts: Parts) -> None:
        super().__init__()
        self.has_shortcut = shortcut != "none"
        self._make_layers(inputs, width, stride, parts)
        self.activation = parts.make_activation()
        self.downsample = make_shortcut(shortcut, inputs, width * self.expansion, stride, parts)

    def _make_layers(self, inputs: int, width: int, stride: int, parts: Parts) -> None:
        raise NotImplementedError

    @property
    def last_norm(self) -> nn.Module:
        """The norm before the sum."""
        raise NotImplementedError

    def _main(self, input: Tensor) -> Tensor:
        """All layers but the last norm."""
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        main, shortcut = self._main(input), None
        if self.has_shortcut:
            shortcut = input if self.downsample is None else self.downsample(input)
        return normalised(self.last_norm, main, shortcut, self.activation)


class BasicBlock(_Block):
    """Two 3×3 convolutions; the first has the stride."""

    expansion = 1

    def _make_layers(self, inputs: int, width: int, stride: int, parts: Parts) -> None:
        bias = not parts.has_norm
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=bias)
        self.bn1 = parts.make_norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=bias)
        self.bn2 = parts.make_norm(width)

    @property
    def last_norm(self) -> nn.Module:
        return self.bn2

    def _main(self, input: Tensor) -> Tensor:
        return self.conv2(with_norm(self.conv1, self.bn1, self.activation, input))


class Bottleneck(_Block):
    """1×1, 3×3 and 1×1 convolutions; the last has four times the channels, and the 3×3 one the stride (torchvision's
    form; in He's the first has it)."""

    expansion = 4

    def _make_layers(self, inputs: int, width: int, stride: int, parts: Parts) -> None:
        bias = not parts.has_norm
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=bias)
        self.bn1 = parts.make_norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=bias)
        self.bn2 = parts.make_norm(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=bias)
        self.bn3 = parts.make_norm(4 * width)

    @property
    def last_norm(self) -> nn.Module:
        return self.bn3

    def _main(self, input: Tensor) -> Tensor:
        x = with_norm(self.conv1, self.bn1, self.activation, input)
        return self.conv3(with_norm(self.conv2, self.bn2, self.activation, x))


class ResNet(nn.Module):
    """A stem, stages layer1, layer2, … of blocks, global average pooling and a fully connected layer, with the keys of
    torchvision's.

    ``widths`` and ``blocks`` are those of the stages, of which all but the first halve the picture. The stem is a 3×3
    convolution, or with ``large_stem`` a 7×7 one with stride 2 and a 3/2 max pool. ``zero_init_residual`` begins with
    a scale of 0 in each block's last norm, so that each block is the identity at first.
    """

    def __init__(
        self,
        name: str,
        num_classes: int,
        in_channels: int,
        image_size: int | tuple[int, int],
        block: type[_Block],
        widths: Sequence[int],
        blocks: Sequence[int],
        large_stem: bool,
        shortcut: str,
        zero_init_residual: bool,
        parts: Parts,
    ) -> None:
        super().__init__()
        positive(num_classes=num_classes, in_channels=in_channels)
        if shortcut not in SHORTCUTS:
            raise ValueError(f"unknown shortcut {shortcut!r}; use one of: {', '.join(SHORTCUTS)}")
        self.name = name
        self.in_channels = in_channels
        self.size = sides(image_size)
        kernel, stride = (7, 2) if large_stem else (3, 1)
        self.conv1 = nn.Conv2d(in_channels, widths[0], kernel, stride, kernel // 2, bias=not parts.has_norm)
        self.bn1 = parts.make_norm(widths[0])
        self.activation = parts.make_activation()
        self.maxpool = nn.MaxPool2d(3, 2, 1) if large_stem else nn.Identity()
        self.stages = [f"layer{number}" for number in range(1, len(widths) + 1)]
        inputs = widths[0]
        for stage, width, count in zip(self.stages, widths, blocks, strict=True):
            members = []
            for index in range(count):
                stride = 2 if index == 0 and stage != "layer1" else 1
                members.append(block(inputs, width, stride, shortcut, parts))
                inputs = width * block.expansion
            self.add_module(stage, nn.Sequential(*members))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = parts.make_dropout()
        self.fc = nn.Linear(inputs, num_classes)
        parts.start_weights_(self)
        if zero_init_residual:
            self._zero_last_norms()

    def _zero_last_norms(self) -> None:
        for module in self.modules():
            if isinstance(module, _Block):
                if isinstance(module.last_norm, nn.Identity):
                    raise ValueError("zero_init_residual needs a norm, whose scale begins as 0, but got norm='none'")
                init.zeros_(module.last_norm.weight)

    def forward(self, input: Tensor) -> Tensor:
        check_pictures(self.name, input, self.in_channels, self.size)
        x = self.maxpool(with_norm(self.conv1, self.bn1, self.activation, input))
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return self.fc(self.dropout(self.avgpool(x).flatten(1)))
