"""Whole networks: our registered models and their twins in PyTorch, with the same weights and batches.

- ``mlp``: 784-512-256-10, batch 128.
- ``lenet5``: two 5×5 convolutions (6, 16), three fully connected layers (120, 84, 10), batch 128 on 28×28.
- ``alexnet64``: AlexNet for 64×64 pictures, batch 64, with torchvision's padding of 2 at the first layer: 11×11
  stride 4 gives 15×15, and each of the three overlapping pools (3×3 stride 2) fits (7, 3, 1); 64-192-384-256-256
  channels, then 256-1024-1024-10. Without dropout, so that both sides compute the same numbers.
- ``resnet20`` and ``plain20``: He et al. 2015 on 32×32 pictures, batch 128, with option-A shortcuts (every second
  pixel, channels padded with zeros), and the same network without shortcuts; ``resnet56`` with batch 32.

Each side is written as its library's own models are: PyTorch's activations and the residual sum work in place
(``workloads/twins.py``), ours go through ``nn.fusion``.

A step of ``training/…`` is zero_grad, forward, cross-entropy, backward, SGD with momentum. ``inference/…`` is a forward
pass in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from workloads.libraries import labels, normal
from workloads.twins import TWINS
from workloads.workload import Step, Workload, sides_of


@dataclass(frozen=True)
class Network:
    """A registered model with its options, and the shape of its batch."""

    model: str
    shape: tuple[int, ...]
    options: dict[str, object] = field(default_factory=dict)


NETWORKS = {
    "lenet5": Network("lenet5", (128, 1, 28, 28)),
    "mlp": Network("mlp", (128, 1, 28, 28)),
    "alexnet64": Network("alexnet_small", (64, 3, 64, 64), {"image_size": 64, "dropout": 0.0}),
    "resnet20": Network("resnet20", (128, 3, 32, 32)),
    "plain20": Network("plain20", (128, 3, 32, 32)),
    "resnet56": Network("resnet56", (32, 3, 32, 32)),
}
COMPILED_ALONE = ("resnet56",)
"""Networks that only ``workloads.compiled`` measures."""


def build(library: object, name: str) -> object:
    """Our registered model, or PyTorch's twin of it, with the same weights."""
    network = NETWORKS[name]
    return set_weights(library, library.network(network.model, network.options, TWINS[name]))


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
    shape = NETWORKS[name].shape
    shape = (batch or shape[0], *shape[1:])
    model = build(library, name)
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


def inference(library: object, name: str, batch: int | None = None) -> Step:
    """A forward pass of one batch, of the size that is measured unless one is given."""
    model = build(library, name).eval()
    shape = NETWORKS[name].shape
    x = library.tensor(normal((batch or shape[0], *shape[1:])))
    return Step(lambda: model(x), library.inference, flops=count_flops(library, model, x)[0])


def workloads() -> Iterator[Workload]:
    """Training steps, then inference."""
    for kind, make in (("training", training_step), ("inference", inference)):
        for name in [one for one in NETWORKS if one not in COMPILED_ALONE]:
            sides = sides_of(lambda library, make=make, name=name: make(library, name), pictures=name != "mlp")
            yield Workload(f"{kind}/{name}", sides)
