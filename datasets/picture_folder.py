"""Pictures from a folder that has a folder a class, or folders train and test that have them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numbanet.data import PictureDataset, PictureError, PictureFiles, read_pictures
from numbanet.datasets.errors import DatasetError
from numbanet.datasets.info import DatasetInfo
from numbanet.kernels.threads import get_num_threads

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
TEST_FOLDERS = ("test", "val", "valid", "validation")
IN_MEMORY_BYTES = 1 << 30
"""Pictures that take more than this are read anew in every epoch."""
Split = Callable[[int], tuple[list[int], list[int]]]
_ORIENTATION = 0x0112  # EXIF; from 5 on, height and width are exchanged


class Sample(NamedTuple):
    """A picture's file, its class, and from its header width and height and whether it is grey."""

    path: Path
    label: int
    size: tuple[int, int]
    is_grey: bool


class Found(NamedTuple):
    """What a folder holds; ``skipped`` are files whose header cannot be read."""

    root: Path
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    train: list[Sample]
    test: list[Sample]
    skipped: list[Path]


def scan(root: Path, image_size: int, skip_corrupt: bool, split: Split) -> Found:
    """The classes of a folder, its pictures and their common shape, from names and headers alone.

    Where there is no folder for testing, ``split(n)`` says which of n pictures are for training and for testing.

    Raises:
        DatasetError: there are no classes, one has no pictures, a header cannot be read, or sizes differ and no
            ``image_size`` is given.
    """
    parts = [root / "train", next((root / name for name in TEST_FOLDERS if (root / name).is_dir()), None)]
    is_split = parts[0].is_dir() and parts[1] is not None
    train_root = parts[0] if parts[0].is_dir() else root
    classes = _classes(train_root)
    if is_split and _classes(parts[1]) != classes:
        different = sorted(set(classes) ^ set(_classes(parts[1])))
        raise DatasetError(f"{parts[0]} and {parts[1]} do not have the same classes: {different[0]} is in one of them")
    skipped: list[Path] = []
    samples = _samples(train_root, classes, skipped, skip_corrupt, image_size)
    if is_split:
        train, test = samples, _samples(parts[1], classes, skipped, skip_corrupt, image_size)
    else:
        train, test = ([samples[i] for i in numbers] for numbers in split(len(samples)))
    check_left(root, classes, [sample.label for sample in train], len(test))
    return Found(root, classes, _shape(root, [*train, *test], image_size), train, test, skipped)


def read(found: Found, info: DatasetInfo, skip_corrupt: bool) -> tuple:
    """The training and test data of a folder, and the files that were skipped.

    What fits into memory is read now; of more, only with ``skip_corrupt`` every file is tried now.

    Raises:
        DatasetError: a picture that is read now cannot be read.
    """
    skipped = list(found.skipped)
    fits = (len(found.train) + len(found.test)) * math.prod(found.shape) <= IN_MEMORY_BYTES
    parts = []
    for samples in (found.train, found.test):
        if fits:
            images = np.empty((len(samples), *found.shape), np.uint8)
            kept = []
            for sample, picture in _readable(samples, found.shape, skip_corrupt, skipped):
                images[len(kept)] = picture
                kept.append(sample)
            labels = np.array([sample.label for sample in kept], np.int64)
            parts.append(PictureDataset(images[: len(kept)], labels, info.mean, info.std, info.classes))
        else:
            if skip_corrupt:
                samples = [sample for sample, _ in _readable(samples, found.shape, skip_corrupt, skipped)]
            paths, labels = [sample.path for sample in samples], [sample.label for sample in samples]
            parts.append(PictureFiles(paths, labels, found.shape, info.mean, info.std, info.classes))
    check_left(found.root, found.classes, parts[0].labels, len(parts[1]))
    return *parts, tuple(skipped)


def _readable(
    samples: list[Sample], shape: tuple[int, int, int], skip_corrupt: bool, skipped: list[Path]
) -> Iterator[tuple[Sample, np.ndarray]]:
    """The samples whose pictures can be read, and these, decoded in as many threads as there are for kernels."""

    def attempt(sample: Sample) -> np.ndarray | PictureError:
        try:
            return read_pictures(sample.path, shape)[0]
        except PictureError as error:
            return error

    with ThreadPoolExecutor(get_num_threads()) as pool:
        for sample, picture in zip(samples, pool.map(attempt, samples), strict=True):
            if isinstance(picture, PictureError):
                _skip(picture, sample.path, skip_corrupt, skipped)
            else:
                yield sample, picture


def _skip(error: Exception, path: Path, skip_corrupt: bool, skipped: list[Path]) -> None:
    if not skip_corrupt:
        raise DatasetError(f"{error}; mend or remove it, or leave out all such pictures with --skip-corrupt") from None
    skipped.append(path)


def _classes(root: Path) -> tuple[str, ...]:
    """The names of the folders in a folder, sorted."""
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(names) < 2:
        raise DatasetError(
            f"{root} holds {len(names)} folders: expected a folder of pictures for each class, two or more, or folders "
            "train and test that hold them"
        )
    return tuple(names)


def _samples(
    root: Path, classes: tuple[str, ...], skipped: list[Path], skip_corrupt: bool, image_size: int
) -> list[Sample]:
    """The pictures of all classes, by class and name, whose headers can be read."""
    samples = []
    for label, name in enumerate(classes):
        folder = root / name
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not paths:
            raise DatasetError(f"the class {name} is empty: {folder} holds no pictures ({', '.join(SUFFIXES)})")
        for path in paths:
            try:
                samples.append(Sample(path, label, *_header(path, image_size)))
            except PictureError as error:
                _skip(error, path, skip_corrupt, skipped)
    return samples


def check_left(root: Path, classes: tuple[str, ...], labels: Sequence[int], tested: int) -> None:
    """Raise DatasetError if no picture is left of a class in training, or none at all in testing."""
    counts = np.bincount(np.asarray(labels, np.int64), minlength=len(classes))
    if counts.min() == 0:
        raise DatasetError(f"{root}: no picture to train on is left of the class {classes[int(counts.argmin())]}")
    if tested == 0:
        raise DatasetError(f"{root}: no picture to test on is left")


def _header(path: Path, image_size: int) -> tuple[tuple[int, int], bool]:
    """Width and height of a picture, and whether it is grey: as it will be turned, unless it is brought to a size."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            size = image.size
            # Pillow decodes a whole PNG to find its EXIF, which may stand behind the pixels
            if not image_size and size[0] != size[1] and image.getexif().get(_ORIENTATION, 1) >= 5:
                size = size[::-1]
            return size, image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")
    except Exception as error:  # Pillow's parsers raise nearly anything for a broken file
        raise PictureError(f"cannot read the picture {path}: {error}") from None


def _shape(root: Path, samples: list[Sample], image_size: int) -> tuple[int, int, int]:
    """Channels, height and width: grey if all pictures are."""
    channels = 1 if all(sample.is_grey for sample in samples) else 3
    if image_size:
        return channels, image_size, image_size
    first = samples[0]
    other = next((sample for sample in samples if sample.size != first.size), None)
    if other is not None:
        a, b = ("{}x{}".format(*sample.size) for sample in (first, other))
        raise DatasetError(
            f"the pictures of {root} differ in size ({first.path.name} is {a}, {other.path.name} {b}): give "
            "--image-size N to bring them all to N x N"
        )
    return channels, first.size[1], first.size[0]
