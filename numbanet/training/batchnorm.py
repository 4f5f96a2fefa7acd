"""Batch norm's statistics of the whole training set (LECTURE row L20)."""

from __future__ import annotations

from typing import Any

import numpy as np

import numbanet
from numbanet.autograd import no_grad
from numbanet.data import DataLoader
from numbanet.nn import BatchNorm1d, BatchNorm2d, Module
from numbanet.tensor import Tensor


class _Statistics:
    """Mean and variance of what goes into a layer: of batches their means and variances, joined in float64."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, input: Tensor) -> None:
        axes = tuple(axis for axis in range(input.ndim) if axis != 1)
        mean = input.mean(axes).numpy().astype(np.float64)
        variance = input.var(axes, correction=0).numpy().astype(np.float64)
        count = input.numel() // input.shape[1]
        away = mean - self.mean
        total = self.count + count
        # Chan's formula: E[var] + Var[mean], which cancels nothing
        self.squares = self.squares + variance * count + away * away * (self.count * count / total)
        self.mean = self.mean + away * (count / total)
        self.count = total


def set_exact_batchnorm(model: Module, dataset: Any, batch_size: int) -> int:
    """Replace the running statistics of every batch norm by those of the whole ``dataset``; how many there are.

    One pass with fixed weights over the samples in their order: each batch norm normalises by the batch, as in
    training, and everything else does as in evaluation (no dropout). The variance is E[var] + Var[mean] over the
    batches, which are smaller than ``batch_size`` where a single sample would be left over: it has no variance.
    """
    layers = [module for module in model.modules() if isinstance(module, BatchNorm1d | BatchNorm2d) and _keeps(module)]
    if not layers:
        return 0
    while batch_size > 2 and len(dataset) % batch_size == 1:
        batch_size -= 1
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    found = {id(layer): _Statistics() for layer in layers}
    before = [(layer, [buffer.detach().numpy().copy() for buffer in layer.buffers()]) for layer in layers]
    hooks = []
    for layer in layers:
        layer.train()
        hooks.append(layer.register_forward_pre_hook(lambda layer, inputs: found[id(layer)].add(inputs[0])))
    try:
        with no_grad():
            for inputs, *_ in DataLoader(dataset, batch_size=batch_size):
                model(inputs)
    finally:
        for layer, buffers in before:
            _restore(layer, buffers)
        for hook in hooks:
            hook.remove()
        for module, was_training in modes:
            module.training = was_training
    with no_grad():
        for layer in layers:
            _write(layer, found[id(layer)])
    return len(layers)


def _keeps(layer: Module) -> bool:
    return layer.running_mean is not None


def _restore(layer: Module, before: list[np.ndarray]) -> None:
    """What the pass has changed, the count of batches included."""
    with no_grad():
        for buffer, value in zip(layer.buffers(), before, strict=True):
            buffer.copy_(numbanet.from_numpy(value))


def _write(layer: Module, statistics: _Statistics) -> None:
    if statistics.count:
        variance = statistics.squares / statistics.count
        layer.running_mean.copy_(numbanet.from_numpy(statistics.mean.astype(layer.running_mean.dtype)))
        layer.running_var.copy_(numbanet.from_numpy(variance.astype(layer.running_var.dtype)))
