"""What is known about a data set before any of its files is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numbanet.data import PictureDataset, PictureFiles


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that can be downloaded: its name, its MD5 and size, and the addresses of folders that hold it."""

    name: str
    md5: str
    nbytes: int
    mirrors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """A data set in words and numbers.

    ``mean`` and ``std`` are those of the training pictures by channel, in [0, 1]; ``style`` says how pictures from
    elsewhere are brought to the looks of these (:func:`numbanet.data.read_pictures`); ``augment`` names augmentations
    that leave the classes what they are. ``folders`` are the names of the folder that may hold the files, the first
    being the one that a download makes; ``layouts`` are the sets of files any of which is the whole data set;
    ``downloads`` are the files of the download.
    """

    name: str
    title: str
    source: str
    licence: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    n_train: int
    n_test: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    style: str
    augment: str = ""
    folders: tuple[str, ...] = ()
    layouts: tuple[tuple[str, ...], ...] = ()
    downloads: tuple[RemoteFile, ...] = ()

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def download_bytes(self) -> int:
        """How much a download transfers; 0 if the data ship with the package."""
        return sum(file.nbytes for file in self.downloads)


class Arrays(NamedTuple):
    """The contents of a data set: pictures uint8 (N, C, H, W) and labels (N,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


class DatasetSplits(NamedTuple):
    """A loaded data set. ``info`` counts the samples that are really there; ``paths`` are the files read, ``skipped``
    those that could not be."""

    train: PictureDataset | PictureFiles
    test: PictureDataset | PictureFiles
    info: DatasetInfo
    paths: dict[str, Path]
    skipped: tuple[Path, ...] = ()
