"""Samplers of single samples: which ones an epoch takes, in which order: a function of the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numbanet.data.collate import as_array
from numbanet.data.order import drawn, epoch_order
from numbanet.tensor import Tensor


class Sampler:
    """``sampler.indices(epoch)`` are the numbers of an epoch's samples (int64), ``len(sampler)`` how many there are.

    Give one to a DataLoader in the place of ``shuffle``. Iterating over it gives the numbers of epoch 0.
    """

    def indices(self, epoch: int) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} must define indices(epoch)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__()")

    def __iter__(self):
        return iter(self.indices(0).tolist())


class SequentialSampler(Sampler):
    """0 … len(data_source) − 1 in their order."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def indices(self, epoch: int) -> np.ndarray:
        return epoch_order(0, epoch, len(self), False)

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """All samples in a random order, or ``num_samples`` drawn one by one from all (``replacement``)."""

    def __init__(
        self, data_source: Any, replacement: bool = False, num_samples: int | None = None, seed: int = 0
    ) -> None:
        self.data_source, self.replacement, self.seed = data_source, replacement, seed
        self.num_samples = len(data_source) if num_samples is None else num_samples
        if self.num_samples <= 0 or (not replacement and self.num_samples > len(data_source)):
            raise ValueError(
                f"num_samples must be a number from 1 to {len(data_source)}, or any with replacement, got {num_samples}"
            )

    def indices(self, epoch: int) -> np.ndarray:
        size = len(self.data_source)
        if not self.replacement:
            return epoch_order(self.seed, epoch, size, True)[: self.num_samples]
        return np.minimum((drawn(self.seed, epoch, self.num_samples) * size).astype(np.int64), size - 1)

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given samples in a random order."""

    def __init__(self, indices: Sequence[int] | np.ndarray, seed: int = 0) -> None:
        self._indices, self.seed = np.asarray(indices, np.int64), seed

    def indices(self, epoch: int) -> np.ndarray:
        return self._indices[epoch_order(self.seed, epoch, len(self), True)]

    def __len__(self) -> int:
        return len(self._indices)


class WeightedRandomSampler(Sampler):
    """``num_samples`` samples, drawn with probabilities in proportion to their ``weights``.

    With ``replacement`` each draw is from all; without, each sample comes once at most: the keys u^(1/w), largest
    first (Efraimidis and Spirakis 2006).

    Raises ValueError for weights that are negative, not finite or all 0, and where there are fewer samples than wanted.
    """

    def __init__(
        self,
        weights: Sequence[float] | np.ndarray | Tensor,
        num_samples: int,
        replacement: bool = True,
        seed: int = 0,
    ) -> None:
        self.weights = np.asarray(as_array(weights), np.float64)
        self.num_samples, self.replacement, self.seed = num_samples, replacement, seed
        if self.weights.ndim != 1 or not np.isfinite(self.weights).all() or (self.weights < 0).any():
            raise ValueError("weights should be a 1d sequence of finite numbers that are 0 or more")
        possible = np.count_nonzero(self.weights)
        if possible == 0:
            raise ValueError("all weights are 0: there is nothing to draw")
        if num_samples <= 0 or (not replacement and num_samples > possible):
            raise ValueError(
                f"num_samples must be at least 1, and without replacement at most the {possible} samples of a weight "
                f"above 0, got {num_samples}"
            )

    def indices(self, epoch: int) -> np.ndarray:
        if self.replacement:
            ends = np.cumsum(self.weights)
            places = np.searchsorted(ends, drawn(self.seed, epoch, self.num_samples) * ends[-1], side="right")
            return np.minimum(places, np.flatnonzero(self.weights)[-1]).astype(np.int64)
        with np.errstate(divide="ignore"):
            # ln u / w orders as u^(1/w) does, and does not underflow
            keys = np.log(drawn(self.seed, epoch, len(self.weights))) / self.weights
        return np.argsort(-keys, kind="stable")[: self.num_samples].astype(np.int64)

    def __len__(self) -> int:
        return self.num_samples
