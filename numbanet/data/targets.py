"""The targets of a whole data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from numbanet.data.collate import as_array, collate_arrays
from numbanet.data.dataset import Subset, TensorDataset, read_samples


def targets_of(dataset: Any) -> np.ndarray:
    """The second part of every sample, as one array; taken from where it lies if the data set is known."""
    if isinstance(dataset, Subset):
        return targets_of(dataset.dataset)[dataset.indices]
    if isinstance(dataset, TensorDataset):
        return as_array(dataset.tensors[1])
    if hasattr(dataset, "labels"):
        return np.asarray(dataset.labels)
    samples = read_samples(dataset, np.arange(len(dataset)))
    return collate_arrays([sample[1] for sample in samples])


def balancing_weights(targets: np.ndarray, classes: int) -> np.ndarray:
    """A weight for each class: samples / (classes · samples of the class), so that all classes weigh the same.

    Raises ValueError for a class without samples.
    """
    counts = np.bincount(targets, minlength=classes)
    if (counts == 0).any():
        raise ValueError(f"class {int(np.argmin(counts))} has no samples, so it cannot be balanced")
    return len(targets) / (classes * counts)
