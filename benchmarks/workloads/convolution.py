"""Convolutions: forward and the gradients for input and weight, each by itself, on 24 shapes of real networks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workloads.libraries import normal
from workloads.workload import Workload, forward, gradient

Pair = tuple[int, int]


@dataclass(frozen=True)
class Convolution:
    """x (batch, channels, height, width) with weight (outputs, channels / groups, kernel…) and bias."""

    batch: int
    channels: int
    size: int | Pair
    outputs: int
    kernel: int | Pair
    stride: int = 1
    padding: int | Pair = 0
    dilation: int = 1
    groups: int = 1

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.batch, self.channels, *_pair(self.size))

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.outputs, self.channels // self.groups, *_pair(self.kernel))

    @property
    def out_shape(self) -> tuple[int, ...]:
        """(batch, outputs, oh, ow) with oh = (h + 2p − d(k − 1) − 1) // s + 1."""
        extents = zip(_pair(self.size), _pair(self.padding), _pair(self.kernel), strict=True)
        places = [(h + 2 * p - self.dilation * (k - 1) - 1) // self.stride + 1 for h, p, k in extents]
        return (self.batch, self.outputs, *places)

    @property
    def flops(self) -> float:
        return 2.0 * math.prod(self.out_shape) * math.prod(self.weight_shape[1:])

    @property
    def nbytes(self) -> float:
        return 4.0 * sum(map(math.prod, (self.x_shape, self.weight_shape, self.out_shape)))

    @property
    def has_peak_bar(self) -> bool:
        """Whether it is large enough to be asked for 60 % of the processor's peak."""
        return (
            self.channels >= 16 and self.outputs >= 16 and min(_pair(self.kernel)) >= 3 and self.batch >= 16
            and self.groups == 1
        )  # fmt: skip

    @property
    def shape(self) -> str:
        """All numbers, as a name has them."""
        text = f"n{self.batch}-c{self.channels}-{_text(self.size)}-o{self.outputs}-k{_text(self.kernel)}"
        named = (("s", self.stride, 1), ("p", self.padding, 0), ("d", self.dilation, 1), ("g", self.groups, 1))
        return text + "".join(f"-{letter}{_text(value)}" for letter, value, default in named if value != default)


def _pair(value: int | Pair) -> Pair:
    return value if isinstance(value, tuple) else (value, value)


def _text(value: int | Pair) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


SHAPES = {
    "lenet-1": Convolution(128, 1, 28, 6, 5, padding=2),
    "lenet-2": Convolution(128, 6, 14, 16, 5),
    "alexnet64-1": Convolution(64, 3, 64, 64, 11, stride=4, padding=2),
    "alexnet64-2": Convolution(64, 64, 7, 192, 5, padding=2),
    "alexnet64-3": Convolution(64, 192, 3, 384, 3, padding=1),
    "alexnet224-1": Convolution(16, 3, 224, 64, 11, stride=4, padding=2),
    "alexnet224-2": Convolution(16, 64, 27, 192, 5, padding=2),
    "resnet20-first": Convolution(128, 3, 32, 16, 3, padding=1),
    "resnet20-stage1": Convolution(128, 16, 32, 16, 3, padding=1),
    "resnet20-down2": Convolution(128, 16, 32, 32, 3, stride=2, padding=1),
    "resnet20-stage2": Convolution(128, 32, 16, 32, 3, padding=1),
    "resnet20-stage3": Convolution(128, 64, 8, 64, 3, padding=1),
    "resnet50-first": Convolution(16, 3, 224, 64, 7, stride=2, padding=3),
    "resnet50-stage1": Convolution(16, 64, 56, 64, 3, padding=1),
    "resnet50-stage1-1x1": Convolution(16, 64, 56, 256, 1),
    "resnet50-stage2": Convolution(16, 128, 28, 128, 3, padding=1),
    "resnet50-down3": Convolution(16, 256, 28, 256, 3, stride=2, padding=1),
    "resnet50-stage3-1x1": Convolution(16, 1024, 14, 256, 1),
    "resnet50-down4-1x1": Convolution(16, 1024, 14, 2048, 1, stride=2),
    "resnet50-stage4": Convolution(16, 512, 7, 512, 3, padding=1),
    "one-picture-stage1": Convolution(1, 64, 56, 64, 3, padding=1),
    "one-picture-stage3": Convolution(1, 256, 14, 256, 3, padding=1),
    "depthwise": Convolution(32, 128, 28, 128, 3, padding=1, groups=128),
    "odd": Convolution(7, 13, (29, 37), 19, (3, 5), padding=(1, 2)),
}


def arrays(shape: Convolution) -> list[np.ndarray]:
    """Input, weight (scaled so that outputs are about 1) and bias."""
    weight = normal(shape.weight_shape, 1) / np.float32(math.sqrt(math.prod(shape.weight_shape[1:])))
    return [normal(shape.x_shape), weight, normal((shape.outputs,), 2)]


def workloads_of(name: str, shape: Convolution) -> list[Workload]:
    """Forward, gradient for the input, gradients for weight and bias."""
    options = {
        "stride": shape.stride, "padding": shape.padding, "dilation": shape.dilation, "groups": shape.groups
    }  # fmt: skip

    def call(library: object, x: object, weight: object, bias: object) -> object:
        return library.functional.conv2d(x, weight, bias, **options)

    def inputs() -> list[np.ndarray]:
        return arrays(shape)

    directions = {
        "forward": forward(call, inputs, pictures=True),
        "input": gradient(call, inputs, (0,), pictures=True),
        "weight": gradient(call, inputs, (1, 2), pictures=True),
    }
    bars = ("peak",) if shape.has_peak_bar else ()
    return [
        Workload(f"convolution/{name}/{direction}", sides, shape.flops, shape.nbytes, bars=bars)
        for direction, sides in directions.items()
    ]


def workloads() -> Iterator[Workload]:
    """Three a shape."""
    for name, shape in SHAPES.items():
        yield from workloads_of(name, shape)
