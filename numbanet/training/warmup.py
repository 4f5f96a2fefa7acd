"""Compile what a training run needs before its first step, and say so."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import numbanet
from numbanet import random
from numbanet.autograd import no_grad
from numbanet.kernels.backend import load_backend
from numbanet.nn import Module
from numbanet.nn import functional as F
from numbanet.training.step import TrainingStep

Progress = Callable[[int, int], None]


def compile_kernels(
    model: Module,
    make_step: Callable[[Module], TrainingStep],
    shape: tuple[int, ...],
    train_sizes: Iterable[int],
    eval_sizes: Iterable[int],
    progress: Progress,
    transform: Callable[[Any, np.ndarray, int], Any] | None = None,
) -> float:
    """Compile the kernels that training and evaluation on batches of these sizes need; returns the seconds it took.

    A copy of the model takes two steps (the second one updates existing optimiser state) and an evaluation in
    which the back end notes the kernels instead of running them; ``transform`` is the one of the loader, which takes
    batches of bytes. Nothing of the run changes.
    """
    backend = load_backend(numbanet.get_backend())
    if not hasattr(backend, "recording"):  # nothing to compile there
        return 0.0
    random_state = random.get_state()
    try:
        with backend.recording() as kernels:
            twin = copy.deepcopy(model)
            step = make_step(twin)
            if transform is not None:
                transform((np.zeros((1, *shape), np.uint8), np.zeros(1, np.int64)), np.zeros(1, np.int64), 0)
            for size in sorted(set(train_sizes)):
                for _ in range(2):
                    step.update(step.loss(*_blank_batch(size, shape)))  # the value of the loss means nothing here
            twin.eval()
            with no_grad():
                for size in sorted(set(eval_sizes)):
                    inputs, targets = _blank_batch(size, shape)
                    F.cross_entropy(twin(inputs), targets, reduction="sum")
    finally:
        random.set_state(random_state)
    return backend.compile(kernels, progress=progress)


def batch_sizes(samples: int, batch_size: int) -> set[int]:
    """The sizes of the batches that so many samples come in."""
    sizes = {min(samples, batch_size)}
    if samples % batch_size:
        sizes.add(samples % batch_size)
    return sizes


def _blank_batch(size: int, shape: tuple[int, ...]) -> tuple[Any, Any]:
    inputs = numbanet.from_numpy(np.zeros((size, *shape), np.float32))
    return inputs, numbanet.from_numpy(np.zeros(size, np.int64))
