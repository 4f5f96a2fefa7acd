"""The networks once more, in PyTorch, as its own models are written: activations and the residual sum work in place."""

from __future__ import annotations

from collections.abc import Callable


def mlp() -> object:
    from torch.nn import Flatten, Linear, ReLU, Sequential

    return Sequential(
        Flatten(), Linear(784, 512), ReLU(inplace=True), Linear(512, 256), ReLU(inplace=True), Linear(256, 10)
    )


def dropped(p: float, classic: bool) -> list:
    """A layer of dropout, or none where nothing is dropped: PyTorch's, or (``classic``) the lecture's, which is
    PyTorch's times 1 − p: nothing is divided in training, and evaluation multiplies."""
    from torch import nn

    class ClassicDropout(nn.Dropout):
        def forward(self, x: object) -> object:
            return super().forward(x) * (1 - self.p)

    return [(ClassicDropout if classic else nn.Dropout)(p)] if p else []


def lenet5(channels: int = 1, side: int = 28, dropout: float = 0.0, classic: bool = False) -> object:
    """Pools before activations, as in the registry's."""
    from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential

    def activated() -> list:
        return [ReLU(inplace=True), *dropped(dropout, classic)]

    return Sequential(
        Conv2d(channels, 6, 5, padding=2), MaxPool2d(2), ReLU(inplace=True),
        Conv2d(6, 16, 5), MaxPool2d(2), ReLU(inplace=True), Flatten(),
        Linear(16 * ((side // 2 - 4) // 2) ** 2, 120), *activated(), Linear(120, 84), *activated(), Linear(84, 10),
    )  # fmt: skip


def alexnet_small(side: int = 64, dropout: float = 0.0, classic: bool = False) -> object:
    """The first layer's stride and padding go by the side of the pictures, as in the registry's."""
    from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential

    stride, padding = (4, 2) if side >= 63 else (2, 4)
    return Sequential(
        Conv2d(3, 64, 11, stride=stride, padding=padding), ReLU(inplace=True), MaxPool2d(3, 2),
        Conv2d(64, 192, 5, padding=2), ReLU(inplace=True), MaxPool2d(3, 2),
        Conv2d(192, 384, 3, padding=1), ReLU(inplace=True),
        Conv2d(384, 256, 3, padding=1), ReLU(inplace=True),
        Conv2d(256, 256, 3, padding=1), ReLU(inplace=True), MaxPool2d(3, 2),
        AdaptiveAvgPool2d(1), Flatten(),
        *dropped(dropout, classic), Linear(256, 1024), ReLU(inplace=True),
        *dropped(dropout, classic), Linear(1024, 1024), ReLU(inplace=True), Linear(1024, 10),
    )  # fmt: skip


def residual_network(
    shortcuts: bool, blocks: int = 3, has_norm: bool = True, dropout: float = 0.0, classic: bool = False
) -> object:
    """6 · blocks + 2 layers: 3 stages of blocks of two 3×3 convolutions with batch normalisation, shortcuts A."""
    from torch import nn

    def convolution(inputs: int, outputs: int, stride: int = 1) -> list:
        norm = [nn.BatchNorm2d(outputs)] if has_norm else []
        return [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=not has_norm), *norm]

    class Block(nn.Module):
        """relu(main(x) + shortcut(x)), or relu(main(x))."""

        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            stride, self.more = outputs // inputs, (outputs - inputs) // 2
            first, second = convolution(inputs, outputs, stride), convolution(outputs, outputs)
            self.main = nn.Sequential(*first, nn.ReLU(inplace=True), *second)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: object) -> object:
            y = self.main(x)
            if shortcuts and self.more:
                y += nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
            elif shortcuts:
                y += x
            return self.relu(y)

    layers, inputs = [*convolution(3, 16), nn.ReLU(inplace=True)], 16
    for outputs in (16, 32, 64):
        for _ in range(blocks):
            layers.append(Block(inputs, outputs))
            inputs = outputs
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *dropped(dropout, classic), nn.Linear(64, 10)]
    return nn.Sequential(*layers)


TWINS: dict[str, Callable[[], object]] = {
    "lenet5": lenet5,
    "mlp": mlp,
    "alexnet64": alexnet_small,
    "resnet20": lambda: residual_network(shortcuts=True),
    "resnet56": lambda: residual_network(shortcuts=True, blocks=9),
    "plain20": lambda: residual_network(shortcuts=False),
}
