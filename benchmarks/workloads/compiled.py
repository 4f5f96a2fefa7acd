"""Networks as ``numbanet.compile`` runs them, against PyTorch's eager mode in the faster of its memory formats.

``compiled/NETWORK`` is a training step at the batch of ``workloads.networks``, ``compiled/NETWORK-bN`` an inference at
batch N; networks for sequences are those of ``training/…``. Ours, eager, is a further side: a replay must never be
slower. With NUMBANET_BENCH_TORCH_COMPILE in the environment (``compare.py --torch-compile``) so is ``torch.compile``,
which needs a C++ tool chain; its name does not begin with the library's, so that no bar looks at it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

from workloads import recurrent, transformers, translation
from workloads.libraries import Numbanet, Torch
from workloads.networks import inference, training_step
from workloads.workload import Step, Workload, sides_of

TRAINING = ("lenet5", "mlp", "alexnet64", "resnet20", "resnet56")
INFERENCE = (("lenet5", 1), ("resnet20", 1), ("resnet20", 128))
TORCH_COMPILE = "NUMBANET_BENCH_TORCH_COMPILE"


def compiled(library: object, make: Callable[..., Step], *arguments: object) -> Step:
    """A step of a workload, compiled by its library."""
    step = make(library, *arguments)
    return replace(step, call=library.module.compile(step.call))


def sides(make: Callable[..., Step], *arguments: object) -> dict[str, Callable[[], Step]]:
    """Ours compiled and eager, PyTorch's eager in both formats, and compiled if that is wanted."""
    eager = sides_of(lambda library: make(library, *arguments), pictures=arguments[0] != "mlp")
    found = {"numbanet": lambda: compiled(Numbanet(), make, *arguments), "numbanet eager": eager.pop("numbanet")}
    found |= eager
    if os.environ.get(TORCH_COMPILE):
        found["compiled torch"] = lambda: compiled(Torch(), make, *arguments)
    return found


def of_sequences(name: str, training: Workload) -> Workload:
    """The training step of a network for sequences, compiled."""
    eager, theirs = training.sides["numbanet"], training.sides["torch"]

    def ours() -> Step:
        step = eager()
        return replace(step, call=Numbanet().module.compile(step.call))

    return Workload(f"compiled/{name}", {"numbanet": ours, "numbanet eager": eager, "torch": theirs})


def workloads() -> Iterator[Workload]:
    """Training steps, then inference."""
    for family in (transformers, recurrent, translation):
        for workload in family.workloads():
            if workload.family == "training":
                yield of_sequences(workload.name.removeprefix("training/"), workload)
    for name in TRAINING:
        yield Workload(f"compiled/{name}", sides(training_step, name))
    for name, batch in INFERENCE:
        yield Workload(f"compiled/{name}-b{batch}", sides(inference, name, batch))
