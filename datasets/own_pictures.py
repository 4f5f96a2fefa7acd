"""Pictures of the user's own, named by their path: a folder with a folder a class, or an .npz file of arrays."""

from __future__ import annotations

import os
from pathlib import Path

from numbanet.data import PictureDataset
from numbanet.datasets import picture_folder, picture_npz
from numbanet.datasets.errors import DatasetError
from numbanet.datasets.info import DatasetInfo, DatasetSplits
from numbanet.kernels.philox import permutation

_SPLIT = 0x4F50
_TEST_SHARE = 5  # a fifth is for testing where nothing else says what is
# Of ImageNet's photographs, which is what published weights expect; any fixed numbers would do for training anew.
_MEAN, _STD = {1: (0.45,), 3: (0.485, 0.456, 0.406)}, {1: (0.225,), 3: (0.229, 0.224, 0.225)}


def is_path(name: str) -> bool:
    """Whether a name looks like a path: an .npz file, or a folder by its looks or because it is there."""
    return name.endswith(".npz") or "/" in name or os.sep in name or os.path.isdir(os.path.expanduser(name))


def describe_own(name: str, image_size: int = 0) -> DatasetInfo:
    """What is known about a data set of the user's own, from names and headers alone where it is a folder."""
    path = _existing(name)
    if path.is_dir():
        found = picture_folder.scan(path, image_size, True, split)
        return _info(name, found.shape, found.classes, len(found.train), len(found.test))
    arrays, classes = _read_npz(path, image_size)
    return _info(name, arrays.train_images.shape[1:], classes, len(arrays.train_labels), len(arrays.test_labels))


def load_own(name: str, image_size: int = 0, skip_corrupt: bool = False) -> DatasetSplits:
    """Load a folder of pictures or an .npz file.

    ``image_size`` is the side of the square that every picture of a folder is brought to; 0: they are all of one size.
    ``skip_corrupt`` leaves out, and counts, pictures that cannot be read.

    Raises:
        DatasetError: something is missing, damaged or does not fit; the message names the file.
    """
    path = _existing(name)
    if path.is_dir():
        found = picture_folder.scan(path, image_size, skip_corrupt, split)
        info = _info(name, found.shape, found.classes, len(found.train), len(found.test))
        train, test, skipped = picture_folder.read(found, info, skip_corrupt)
    else:
        arrays, classes = _read_npz(path, image_size)
        info = _info(name, arrays.train_images.shape[1:], classes, len(arrays.train_labels), len(arrays.test_labels))
        train = PictureDataset(arrays.train_images, arrays.train_labels, info.mean, info.std, classes)
        test = PictureDataset(arrays.test_images, arrays.test_labels, info.mean, info.std, classes)
        skipped = ()
    return DatasetSplits(train, test, info, {path.name: path}, skipped)


def _read_npz(path: Path, image_size: int) -> tuple:
    if image_size:
        raise DatasetError(f"the pictures of {path} keep their size: image_size is for folders of pictures")
    return picture_npz.read(path, split)


def split(count: int) -> tuple[list[int], list[int]]:
    """The numbers of the samples for training and of those for testing, dealt out at random and always alike."""
    order = permutation(0, _SPLIT, 0, count)
    cut = max(1, count // _TEST_SHARE)
    return sorted(order[cut:].tolist()), sorted(order[:cut].tolist())


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.exists():
        raise DatasetError(f"there is no file or folder {name}")
    return path


def _info(name: str, shape: tuple, classes: tuple[str, ...], n_train: int, n_test: int) -> DatasetInfo:
    return DatasetInfo(
        name=name,
        title=f"{n_train + n_test:,} pictures of yours",
        source="yours",
        licence="yours",
        classes=classes,
        shape=tuple(shape),
        n_train=n_train,
        n_test=n_test,
        mean=_MEAN[shape[0]],
        std=_STD[shape[0]],
        style="photo",
    )
