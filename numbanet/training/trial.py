"""Whether a model can do what training asks of it, found out before anything is written."""

from __future__ import annotations

import contextlib
import copy
import random as python_random
from collections.abc import Iterator
from typing import Any

import numpy as np

import numbanet
from numbanet import random
from numbanet.autograd import no_grad
from numbanet.data import DataLoader, Subset
from numbanet.kernels.backend import load_backend
from numbanet.nn import BatchNorm1d, BatchNorm2d, Module
from numbanet.nn._norm import TooFewValues
from numbanet.tensor import Tensor
from numbanet.training.config import Config
from numbanet.training.errors import ConfigError
from numbanet.training.forward import Forward
from numbanet.training.own import is_function, told
from numbanet.training.step import single_sample
from numbanet.training.warmup import batch_sizes


def check_model(config: Config, model: Module, data: Any, outputs: int) -> None:
    """Raise :class:`ConfigError` for what a model cannot do with samples (input, target).

    One of the user's own is tried on a batch; of each class there is an output, ``outputs`` in all, or as many numbers
    as a target has. Copies of the model are tried: nothing of it and of what is drawn at random changes.
    """
    with _nothing_drawn():
        if is_function(config.dataset):
            _check_samples(config, data)
        if is_function(config.model):
            _check_own(config, model, data, outputs)
        _check_single_sample(config, model, data)


def _check_own(config: Config, model: Module, data: Any, classes: int) -> None:
    name = f"model {config.model}"
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"{name}: no parameter requires a gradient, so there is nothing to train")
    inputs, targets = _first(data.test, 2)
    with told("model", config.model):
        found = _tried(model, inputs, train=False)
    if not isinstance(found, Tensor):
        raise ConfigError(f"{name}: forward must return a Tensor, not {type(found).__name__}")
    shape, wanted = tuple(found.shape), (len(targets), classes) if data.info.classes else tuple(targets.shape)
    if shape != wanted and (data.info.classes or shape != (*wanted, 1)):
        each = f"an output for each of {classes} classes" if data.info.classes else "outputs of the targets' shape"
        raise ConfigError(
            f"{name}: forward gives {shape} for a batch of {len(targets)}, but {config.dataset} needs {each}: {wanted}"
        )
    if found.dtype.kind != "f":
        raise ConfigError(f"{name}: forward must give floating-point numbers, not {found.dtype}")


def _check_samples(config: Config, data: Any) -> None:
    """Of the dtypes and shapes that data of the user's may have, those that the losses and our models take."""
    inputs, targets = _first(data.test, 1)
    name = f"dataset {config.dataset}"
    takes_any = config.loss != "cross_entropy" and targets.dtype.kind in "iu"
    if data.info.classes and targets.dtype != np.int64 and not takes_any:
        raise ConfigError(f"{name}: class numbers are {targets.dtype}; give whole numbers, int(...) or int64")
    if is_function(config.model):
        return
    if inputs.dtype != np.float32:
        raise ConfigError(f"{name}: inputs are {inputs.dtype}, but the model {config.model} takes float32; give that")
    if inputs.ndim < 2:
        raise ConfigError(f"{name}: inputs are single numbers, but the model {config.model} takes arrays; give (1,)")


def _check_single_sample(config: Config, model: Module, data: Any) -> None:
    """Batch norm has no variance of a single sample that is left over, unless it has more than one position."""
    sizes = batch_sizes(len(data.train), config.batch_size)
    has_single = any(size // config.accumulate <= 1 for size in sizes)
    if has_single and any(isinstance(module, BatchNorm1d | BatchNorm2d) for module in model.modules()):
        inputs, _ = _first(data.test, 1)
        try:
            _tried(model, inputs, train=True)
        except TooFewValues as error:
            raise single_sample(error) from None


def _first(dataset: Any, count: int) -> tuple[Any, Tensor]:
    """The first samples as a batch."""
    count = min(count, len(dataset))
    return next(iter(DataLoader(Subset(dataset, range(count)), batch_size=count)))


def _tried(model: Module, inputs: Any, train: bool) -> Any:
    """What a copy of the model gives."""
    backend = load_backend(numbanet.get_backend())
    # kernels that are only noted need not be compiled yet, which is done later, in parallel
    noted = backend.recording() if hasattr(backend, "recording") else contextlib.nullcontext()
    with noted, no_grad():
        return Forward(copy.deepcopy(model).train(train))(inputs)


@contextlib.contextmanager
def _nothing_drawn() -> Iterator[None]:
    """Generators go on afterwards as if nothing had been drawn inside; the user's code may draw by any of them."""
    ours, numpys, pythons = random.get_state(), np.random.get_state(), python_random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        random.set_state(ours)
        np.random.set_state(numpys)  # noqa: NPY002
        python_random.setstate(pythons)
