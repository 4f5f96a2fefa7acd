"""Labelled pictures in files that are too many for the memory: each is read when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from numbanet.data.collate import as_tensors
from numbanet.data.dataset import Dataset
from numbanet.data.normalise import Normalise
from numbanet.data.pictures import read_pictures
from numbanet.tensor import Tensor


class PictureFiles(Dataset):
    """Pictures by path and their classes; a sample is (float32 Tensor (C, H, W), class number).

    Args:
        paths: the files.
        labels: integers (N,), from 0 to ``len(classes) − 1``.
        shape: channels, height and width to which each picture is brought (:func:`read_pictures`).
        mean, std: one number a channel, of pictures in [0, 1].
        classes: the name of each class.

    A file that cannot be read raises :class:`PictureError` when its sample is asked for.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Sequence[int],
        shape: tuple[int, int, int],
        mean: Sequence[float],
        std: Sequence[float],
        classes: Sequence[str],
    ) -> None:
        self.files = ByteFiles(paths, labels, shape)
        self.normalise = Normalise(mean, std)
        self.classes = tuple(classes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a picture."""
        return self.files.shape

    @property
    def labels(self) -> np.ndarray:
        return self.files.labels

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture, label = self.files[index]
        return as_tensors(self.normalise(picture)), label

    def __len__(self) -> int:
        return len(self.files)

    def as_bytes(self) -> ByteFiles:
        """The same samples with pictures uint8, not normalised: what :class:`numbanet.data.Augment` takes."""
        return self.files


class ByteFiles(Dataset):
    """Pictures by path and their classes; a sample is (uint8 ndarray (C, H, W), class number)."""

    def __init__(self, paths: Sequence[Path], labels: Sequence[int], shape: tuple[int, int, int]) -> None:
        if len(paths) != len(labels):
            raise ValueError(f"there are {len(paths)} pictures, but {len(labels)} labels")
        self.paths = list(paths)
        self.labels = np.asarray(labels, np.int64)
        self.shape = shape

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return read_pictures(self.paths[index], self.shape)[0], int(self.labels[index])

    def __len__(self) -> int:
        return len(self.paths)
