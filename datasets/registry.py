"""The table of data sets, and loading one of them by name."""

from __future__ import annotations

import difflib
import fnmatch
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from numbanet.data import PictureDataset
from numbanet.datasets import files
from numbanet.datasets.errors import UnknownDatasetError
from numbanet.datasets.info import Arrays, DatasetInfo, DatasetSplits
from numbanet.datasets.own_pictures import describe_own, is_path, load_own
from numbanet.datasets.text_info import TextInfo, TextParts, TextSplits

Reader = Callable[..., Arrays | TextParts]


class _Entry(NamedTuple):
    info: DatasetInfo | TextInfo
    read: Reader


_ENTRIES: dict[str, _Entry] = {}


def register_dataset(info: DatasetInfo | TextInfo, read: Reader) -> None:
    """Add a data set to the table: ``read(info, paths)`` makes its contents of the files of one of its layouts."""
    _ENTRIES[info.name] = _Entry(info, read)


def list_datasets(pattern: str = "*") -> list[str]:
    """The names of the data sets that match a pattern such as ``"*mnist"``, sorted."""
    return fnmatch.filter(sorted(_ENTRIES), pattern)


def dataset_info(name: str, image_size: int = 0) -> DatasetInfo | TextInfo:
    """What is known about a data set; needs none of its files but for one of the user's own (``image_size``: as in
    :func:`numbanet.datasets.own_pictures.load_own`)."""
    return describe_own(name, image_size) if is_own(name) else _entry(name).info


def locate(name: str, data_dir: str | os.PathLike | None = None) -> dict[str, Path] | None:
    """The files that :func:`load` would read, by name; None if they would have to be downloaded."""
    if is_own(name):
        return {Path(name).name: Path(name)}
    return files.locate(_entry(name).info, data_dir)


def fetch(name: str, data_dir: str | os.PathLike | None = None) -> dict[str, Path]:
    """The files of a data set by name, downloaded if they are missing.

    Raises:
        UnknownDatasetError: there is no such data set.
        DatasetError: the files are missing and cannot be downloaded.
    """
    return files.provide(_entry(name).info, data_dir, download=True)


def load(
    name: str, data_dir: str | os.PathLike | None = None, download: bool = True, **options: Any
) -> DatasetSplits | TextSplits:
    """Load a data set.

    Args:
        name: one of :func:`list_datasets`, or the path of a folder with a folder of pictures a class, or of an .npz
            file with x_train and y_train.
        data_dir: a folder that holds the files, directly or in a folder of the data set's name; else the one that the
            environment variable NUMBANET_DATA names; and always the user's cache folder. Files may be gzipped or not.
        download: whether to download what is missing, into ``data_dir`` if that is given and writable, else into the
            cache folder.
        options: what the data set's own function takes: ``file`` of "text" and "pairs", ``length`` of generated ones,
            ``image_size`` and ``skip_corrupt`` of a folder.

    Raises:
        UnknownDatasetError: there is no such data set.
        DatasetError: files are missing, cannot be downloaded or are damaged; the message names the file.
    """
    if is_own(name):
        return load_own(name, **options)
    info, read = _entry(name)
    paths = files.provide(info, data_dir, download)
    if isinstance(info, TextInfo):
        return TextSplits(*read(info, paths, **options), info, paths)
    arrays = read(info, paths)
    train = PictureDataset(arrays.train_images, arrays.train_labels, info.mean, info.std, info.classes)
    test = PictureDataset(arrays.test_images, arrays.test_labels, info.mean, info.std, info.classes)
    return DatasetSplits(train, test, replace(info, n_train=len(train), n_test=len(test)), paths)


def is_dataset(name: str) -> bool:
    """Whether :func:`load` would know what is meant: a name in the table, or a path."""
    return name in _ENTRIES or is_own(name)


def is_own(name: str) -> bool:
    """Whether a name is the path of pictures of the user's own; a name in the table is the table's, whatever folders
    there are."""
    return name not in _ENTRIES and is_path(name)


def short_name(name: str) -> str:
    """The name of a data set without its path, for the names of run folders."""
    return Path(name).expanduser().absolute().stem if is_own(name) else name


def _entry(name: str) -> _Entry:
    if name in _ENTRIES:
        return _ENTRIES[name]
    known = list_datasets()
    close = difflib.get_close_matches(str(name).lower().replace("_", "-"), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise UnknownDatasetError(f"there is no data set {name!r}; {hint}Known: {', '.join(known)}")
