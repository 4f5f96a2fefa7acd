"""Whole networks, built from either library's ``nn`` by the same lines, with the same weights and batches.

- ``mlp``: 784-512-256-10, batch 128.
- ``lenet5``: two 5×5 convolutions (6, 16), three fully connected layers (120, 84, 10), batch 128 on 28×28.
- ``alexnet64``: AlexNet for 64×64 pictures, batch 64, with torchvision's padding of 2 at the first layer: 11×11
  stride 4 gives 15×15, and each of the three overlapping pools (3×3 stride 2) fits (7, 3, 1); 64-192-384-256-256
  channels, then 256-1024-1024-10. Without dropout, so that both sides compute the same numbers.
- ``resnet20`` and ``plain20``: He et al. 2015 on 32×32 pictures, batch 128, with option-A shortcuts (every second
  pixel, channels padded with zeros), and the same network without shortcuts.

Each side is written as its library's own models are: PyTorch's activations and the residual sum work in place, ours go
through ``nn.fusion``.

A step of ``training/…`` is zero_grad, forward, cross-entropy, backward, SGD with momentum. ``inference/…`` is a forward
pass in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from workloads.libraries import labels, normal
from workloads.workload import Step, Workload, sides_of


def mlp(library: object) -> object:
    nn, relu = library.nn, library.relu
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), relu(), nn.Linear(512, 256), relu(), nn.Linear(256, 10)
    )  # fmt: skip


def lenet5(library: object) -> object:
    nn, relu = library.nn, library.relu
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), relu(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), relu(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), relu(), nn.Linear(120, 84), relu(), nn.Linear(84, 10),
    )  # fmt: skip


def alexnet64(library: object) -> object:
    nn, relu = library.nn, library.relu
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), relu(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), relu(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), relu(),
        nn.Conv2d(384, 256, 3, padding=1), relu(),
        nn.Conv2d(256, 256, 3, padding=1), relu(), nn.MaxPool2d(3, 2),
        nn.Flatten(), nn.Linear(256, 1024), relu(), nn.Linear(1024, 1024), relu(), nn.Linear(1024, 10),
    )  # fmt: skip


def residual_network(library: object, shortcuts: bool, blocks: int = 3) -> object:
    """6 · blocks + 2 layers: 3 stages of blocks of two 3×3 convolutions with batch normalisation."""
    nn = library.nn

    def convolution(inputs: int, outputs: int, stride: int = 1) -> list:
        return [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outputs)]

    class Block(nn.Module):
        """relu(main(x) + shortcut(x)), or relu(main(x))."""

        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.stride, self.more = outputs // inputs, (outputs - inputs) // 2
            convolution1, convolution2 = convolution(inputs, outputs, self.stride), convolution(outputs, outputs)
            self.main = nn.Sequential(*convolution1, library.relu(), convolution2[0])
            self.norm, self.relu = convolution2[1], library.relu()

        def forward(self, x: object) -> object:
            shortcut = x if shortcuts else None
            if shortcuts and self.more:
                shortcut = library.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
            return library.residual(self.norm, self.relu, self.main(x), shortcut)

    layers, inputs = [*convolution(3, 16), library.relu()], 16
    for outputs in (16, 32, 64):
        for _ in range(blocks):
            layers.append(Block(inputs, outputs))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


NETWORKS: dict[str, tuple[Callable, tuple[int, ...]]] = {
    "lenet5": (lenet5, (128, 1, 28, 28)),
    "mlp": (mlp, (128, 1, 28, 28)),
    "alexnet64": (alexnet64, (64, 3, 64, 64)),
    "resnet20": (lambda library: residual_network(library, shortcuts=True), (128, 3, 32, 32)),
    "plain20": (lambda library: residual_network(library, shortcuts=False), (128, 3, 32, 32)),
}
"""How each is built, and the shape of its batch."""


def set_weights(library: object, model: object) -> object:
    """Give the model the same weights in either library: He's normal ones; biases 0, scales 1."""
    values = {}
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape)
        if len(shape) > 1:
            values[name] = normal(shape) * np.float32((2 / np.prod(shape[1:])) ** 0.5)
        else:
            values[name] = np.full(shape, 1 if name.endswith("weight") else 0, np.float32)
    model.load_state_dict({name: library.tensor(value) for name, value in values.items()}, strict=False)
    return library.prepare(model)


def count_flops(library: object, model: object, x: object) -> tuple[float, float]:
    """Floating-point operations of the products and convolutions of a forward pass, and of the first layer alone."""
    counts: list[float] = []

    def count(module: object, inputs: object, output: object) -> None:
        weights = np.prod(module.weight.shape[1:])
        counts.append(2.0 * float(np.prod(output.shape)) * float(weights))

    layers = (library.nn.Conv2d, library.nn.Linear)
    handles = [one.register_forward_hook(count) for one in model.modules() if isinstance(one, layers)]
    with library.inference():
        model(x)
    for handle in handles:
        handle.remove()
    return sum(counts), counts[0]


def training_step(library: object, name: str, batch: int | None = None) -> Step:
    """One step on one batch, of the size that is measured unless one is given."""
    build, shape = NETWORKS[name]
    shape = (batch or shape[0], *shape[1:])
    model = set_weights(library, build(library))
    x, y = library.tensor(normal(shape)), library.tensor(labels(shape[0], 10))
    flops, first = count_flops(library, model.eval(), x)
    model.train()
    optimizer = library.optimizer("SGD", list(model.parameters()), lr=0.01, momentum=0.9)
    cross_entropy = library.functional.cross_entropy

    def step() -> object:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return Step(step, flops=3 * flops - first)  # nobody needs the gradient for the pictures


def inference(library: object, name: str) -> Step:
    """A forward pass."""
    build, shape = NETWORKS[name]
    model = set_weights(library, build(library)).eval()
    x = library.tensor(normal(shape))
    return Step(lambda: model(x), library.inference, flops=count_flops(library, model, x)[0])


def workloads() -> Iterator[Workload]:
    """Training steps, then inference."""
    for kind, make in (("training", training_step), ("inference", inference)):
        for name in NETWORKS:
            sides = sides_of(lambda library, make=make, name=name: make(library, name), pictures=name != "mlp")
            yield Workload(f"{kind}/{name}", sides)
