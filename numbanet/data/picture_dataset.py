"""Labelled pictures that lie in memory as bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from numbanet.data.collate import as_tensors
from numbanet.data.dataset import Dataset, TensorDataset
from numbanet.data.normalise import Normalise
from numbanet.tensor import Tensor


class PictureDataset(Dataset):
    """Pictures and their classes; a sample is (float32 Tensor (C, H, W), class number).

    The pictures stay bytes, a quarter of the memory of floats, and become normalised float32 a batch at a time.

    Args:
        images: uint8 (N, C, H, W).
        labels: integers (N,), from 0 to ``len(classes) − 1``.
        mean, std: one number a channel, of pictures in [0, 1].
        classes: the name of each class.

    Raises:
        TypeError: the pictures are not bytes or the labels not integers.
        ValueError: the shapes do not fit each other, or a label names no class.
    """

    in_memory = True

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        mean: Sequence[float],
        std: Sequence[float],
        classes: Sequence[str],
    ) -> None:
        images, labels = np.ascontiguousarray(images), np.asarray(labels)
        if images.dtype != np.uint8 or not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"expected uint8 pictures and integer labels, got {images.dtype} and {labels.dtype}")
        if images.ndim != 4 or labels.ndim != 1 or len(images) != len(labels):
            raise ValueError(f"expected pictures (N, C, H, W) and labels (N,), got {images.shape} and {labels.shape}")
        if images.shape[1] != len(mean):
            raise ValueError(f"pictures of {images.shape[1]} channels need as many means, got {len(mean)}")
        outside = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if len(outside):
            raise ValueError(
                f"label {labels[outside[0]]} of picture {outside[0]} lies outside the {len(classes)} classes"
            )
        self.images = images
        self.labels = labels.astype(np.int64)
        self.normalise = Normalise(mean, std)
        self.classes = tuple(classes)

    @property
    def mean(self) -> tuple[float, ...]:
        return self.normalise.mean

    @property
    def std(self) -> tuple[float, ...]:
        return self.normalise.std

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a picture."""
        return self.images.shape[1:]

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return as_tensors(self.normalise(self.images[index])), int(self.labels[index])

    def __len__(self) -> int:
        return len(self.images)

    def get_batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normalised pictures float32 (n, C, H, W) and their labels int64 (n,)."""
        return self.normalise(self.images.take(indices, axis=0)), self.labels.take(indices)

    def as_bytes(self) -> TensorDataset:
        """The same samples with pictures uint8, not normalised: what :class:`numbanet.data.Augment` takes."""
        return TensorDataset(self.images, self.labels)
