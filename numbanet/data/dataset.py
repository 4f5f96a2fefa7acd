"""Data sets: something with a length, whose samples are asked for by number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from numbanet.data.collate import as_array, collate_arrays
from numbanet.data.order import split_order
from numbanet.tensor import Tensor


class Dataset:
    """A data set with ``len(dataset)`` samples, ``dataset[i]`` being the i-th.

    Write ``__getitem__`` and ``__len__``. A data set whose samples lie in memory can also write :meth:`get_batch`,
    which makes a whole batch at once, and set :attr:`in_memory`, with which no thread is spent on reading ahead.
    """

    in_memory = False

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__()")

    def get_batch(self, indices: np.ndarray) -> Any:
        """The samples of ``indices`` (int64) as one batch of ndarrays, or of containers of ndarrays."""
        return collate_arrays(read_samples(self, indices))


def read_samples(dataset: Any, indices: np.ndarray) -> list[Any]:
    """``dataset[i]`` for each index; an error says which sample it was."""
    samples = []
    for index in indices.tolist():
        try:
            samples.append(dataset[index])
        except Exception as error:
            error.add_note(f"while reading sample {index} of {type(dataset).__name__}")
            raise
    return samples


class TensorDataset(Dataset):
    """Samples that are the rows of one or more tensors (or arrays) of the same length: ``dataset[i]`` is a tuple.

    Raises:
        ValueError: no tensor is given, one has no axes, or they differ in length.
    """

    in_memory = True

    def __init__(self, *tensors: Tensor | np.ndarray) -> None:
        if not tensors:
            raise ValueError("TensorDataset needs at least one tensor")
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if any(not shape for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
            raise ValueError(f"the tensors must have the same length along their first axis, got shapes {shapes}")
        self.tensors = tensors

    def __getitem__(self, index: int) -> tuple[Tensor | np.ndarray, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def get_batch(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(as_array(tensor)[indices] for tensor in self.tensors)


class Subset(Dataset):
    """The samples of ``dataset`` whose numbers stand in ``indices``, in that order.

    Raises:
        IndexError: a number lies outside the data set.
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray) -> None:
        self.dataset = dataset
        self.indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        size = len(dataset)
        if len(self.indices) and (self.indices.min() < 0 or self.indices.max() >= size):
            raise IndexError(f"a subset of a data set of {size} samples takes numbers from 0 to {size - 1}")

    @property
    def in_memory(self) -> bool:
        return getattr(self.dataset, "in_memory", False)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def __len__(self) -> int:
        return len(self.indices)

    def get_batch(self, indices: np.ndarray) -> Any:
        chosen = self.indices[indices]
        if hasattr(self.dataset, "get_batch"):
            return self.dataset.get_batch(chosen)
        return collate_arrays(read_samples(self.dataset, chosen))

    def as_bytes(self) -> Subset:
        """The same samples with their pictures not normalised, if the data set has ``as_bytes``."""
        return Subset(self.dataset.as_bytes(), self.indices)


def random_split(dataset: Any, lengths: Sequence[int | float], seed: int = 0) -> list[Subset]:
    """Cut a data set at random into disjoint subsets of the given lengths, the same for the same seed everywhere.

    ``lengths`` holds numbers of samples that add up to ``len(dataset)``, or fractions that add up to 1; fractions are
    rounded down and what is left over goes to the subsets one by one from the first, as in PyTorch.

    Raises:
        ValueError: a length is negative, or the lengths do not add up.
    """
    size = len(dataset)
    counts = _counts(lengths, size)
    order = split_order(seed, size)
    ends = np.cumsum(counts)
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)]


def _counts(lengths: Sequence[int | float], size: int) -> list[int]:
    if any(not math.isfinite(length) or length < 0 for length in lengths):
        raise ValueError(f"the lengths of a split cannot be negative, got {list(lengths)}")
    if any(isinstance(length, float) for length in lengths):
        if not math.isclose(sum(lengths), 1.0, abs_tol=1e-9):
            raise ValueError(f"the fractions of a split must add up to 1, got {list(lengths)}")
        counts = [math.floor(size * length) for length in lengths]
        for i in range(size - sum(counts)):
            counts[i % len(counts)] += 1
        return counts
    if sum(lengths) != size:
        raise ValueError(f"the lengths of a split must add up to {size} samples, got {list(lengths)} = {sum(lengths)}")
    return [int(length) for length in lengths]
