"""Compile what a training run needs before its first step, and say so."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import numbanet
from numbanet import random
from numbanet.autograd import no_grad
from numbanet.data import TensorDataset
from numbanet.graph import GraphError
from numbanet.graph.inspect import plan_of
from numbanet.kernels.backend import load_backend
from numbanet.nn import Module
from numbanet.training.batchnorm import set_exact_batchnorm
from numbanet.training.step import TrainingStep

Progress = Callable[[int, int], None]


def compile_first(progress: Progress) -> None:
    """Compile what any model needs, in a process with an empty cache."""
    backend = load_backend(numbanet.get_backend())
    if hasattr(backend, "recording"):  # else there is nothing to compile
        backend.compile_first(progress)


def compile_kernels(
    model: Module,
    make_step: Callable[[Module], TrainingStep],
    train_batches: Sequence[tuple[Any, Any]],
    eval_batches: Sequence[tuple[Any, Any]],
    progress: Progress,
    transform: Callable[[Any, np.ndarray, int], Any] | None = None,
    exact_batchnorm: bool = False,
    replays: bool = False,
) -> None:
    """Compile the kernels that training and evaluation on batches like these need.

    A copy of the model takes two steps (the second one updates existing optimiser state) and an evaluation in
    which the back end notes the kernels instead of running them; ``transform`` is the one of the loader, which takes
    batches of bytes. With ``replays`` the steps are recorded and planned. Nothing of the run changes.
    """
    backend = load_backend(numbanet.get_backend())
    if not hasattr(backend, "recording"):  # nothing to compile there
        return
    random_state = random.get_state()
    try:
        with backend.recording() as kernels:
            twin = copy.deepcopy(model)
            step = make_step(twin)
            if transform is not None:
                shape = train_batches[0][0].shape[1:]
                transform((np.zeros((1, *shape), np.uint8), np.zeros(1, np.int64)), np.zeros(1, np.int64), 0)
            for batch in train_batches:
                _take_steps(step, *batch, replays)
                if exact_batchnorm:
                    set_exact_batchnorm(twin, TensorDataset(*batch), len(batch[1]))
            twin.eval()
            with no_grad():
                for inputs, targets in eval_batches:
                    step.objective.total(step.forward(inputs), targets)
    finally:
        random.set_state(random_state)
    backend.compile(kernels, progress=progress)


def _take_steps(step: TrainingStep, inputs: Any, targets: Any, replays: bool) -> None:
    """Two steps or more, in which nothing is computed."""
    arguments = inputs, targets, None, step.factors(targets)
    if replays:
        with contextlib.suppress(GraphError):  # it cannot be replayed: the trainer will say so
            plan_of(step.whole, *arguments)
            return
    for _ in range(2):
        step.whole(*arguments)


def batch_sizes(samples: int, batch_size: int) -> set[int]:
    """The sizes of the batches that so many samples come in."""
    sizes = {min(samples, batch_size)}
    if samples % batch_size:
        sizes.add(samples % batch_size)
    return sizes


def blank_batch(size: int, sample: tuple[np.ndarray, np.ndarray]) -> tuple[Any, ...]:
    """A batch of zeros with the shapes and dtypes of a batch of one."""
    return tuple(numbanet.from_numpy(np.zeros((size, *part.shape[1:]), part.dtype)) for part in sample)
