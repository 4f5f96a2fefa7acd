"""Compile what a training run needs before its first step, and say so."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import numbanet
from numbanet import random
from numbanet.autograd import no_grad
from numbanet.data import TensorDataset
from numbanet.kernels.backend import load_backend
from numbanet.nn import Module
from numbanet.training.batchnorm import set_exact_batchnorm
from numbanet.training.step import TrainingStep

Progress = Callable[[int, int], None]


def compile_kernels(
    model: Module,
    make_step: Callable[[Module], TrainingStep],
    sample: tuple[np.ndarray, np.ndarray],
    train_sizes: Iterable[int],
    eval_sizes: Iterable[int],
    progress: Progress,
    transform: Callable[[Any, np.ndarray, int], Any] | None = None,
    exact_batchnorm: bool = False,
) -> float:
    """Compile the kernels that training and evaluation on batches of these sizes need; returns the seconds it took.

    ``sample`` is a batch of one, which tells the shapes and dtypes of inputs and targets.

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
                transform((np.zeros(sample[0].shape, np.uint8), np.zeros(1, np.int64)), np.zeros(1, np.int64), 0)
            for size in sorted(set(train_sizes)):
                for _ in range(2):
                    step.optimizer.zero_grad()
                    for loss in step.losses(*_blank_batch(size, sample)):
                        loss.backward()  # its value means nothing here
                    step.update()
                if exact_batchnorm:
                    set_exact_batchnorm(twin, TensorDataset(*_blank_batch(size, sample)), size)
            twin.eval()
            with no_grad():
                for size in sorted(set(eval_sizes)):
                    inputs, targets = _blank_batch(size, sample)
                    step.objective.total(twin(inputs), targets)
    finally:
        random.set_state(random_state)
    return backend.compile(kernels, progress=progress)


def batch_sizes(samples: int, batch_size: int) -> set[int]:
    """The sizes of the batches that so many samples come in."""
    sizes = {min(samples, batch_size)}
    if samples % batch_size:
        sizes.add(samples % batch_size)
    return sizes


def _blank_batch(size: int, sample: tuple[np.ndarray, np.ndarray]) -> tuple[Any, ...]:
    return tuple(numbanet.from_numpy(np.zeros((size, *part.shape[1:]), part.dtype)) for part in sample)
