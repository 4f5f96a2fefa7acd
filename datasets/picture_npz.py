"""Pictures from an .npz file: x_train, y_train and, where there are, x_test, y_test and classes (names)."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from numbanet.datasets.errors import DatasetError
from numbanet.datasets.info import Arrays
from numbanet.datasets.picture_folder import check_left


def read(path: Path, split: Callable[[int], tuple[list[int], list[int]]]) -> tuple[Arrays, tuple[str, ...]]:
    """Pictures (N, C, H, W) and labels of the file, and the names of the classes.

    Pictures are (N, H, W), (N, H, W, C) or (N, C, H, W), C being 1 or 3; bytes, whole numbers from 0 to 255 or floats
    from 0 to 1. Labels are whole numbers (N,) or (N, 1). Where there is no x_test, ``split(n)`` says which samples of
    x_train are for testing.

    Raises:
        DatasetError: the file or an array in it is not as it should be.
    """
    arrays = _arrays(path)
    parts = {}
    for part in ("train", "test"):
        if part == "test" and "x_test" not in arrays and "y_test" not in arrays:
            continue
        missing = [name for name in (f"x_{part}", f"y_{part}") if name not in arrays]
        if missing:
            raise DatasetError(f"{path} has no array {missing[0]}; it holds {', '.join(arrays) or 'nothing'}")
        parts[part] = _pair(path, arrays[f"x_{part}"], arrays[f"y_{part}"], part)
    images, labels = parts["train"]
    classes = _classes(path, arrays, labels)
    if "test" in parts:
        test_images, test_labels = parts["test"]
    else:
        train, test = split(len(labels))
        images, labels, test_images, test_labels = images[train], labels[train], images[test], labels[test]
    check_left(path, classes, labels, len(test_labels))
    if images.shape[1:] != test_images.shape[1:]:
        raise DatasetError(
            f"{path}: pictures of x_train {images.shape[1:]} and of x_test {test_images.shape[1:]} differ"
        )
    outside = np.flatnonzero(test_labels >= len(classes))
    if len(outside):
        raise DatasetError(
            f"{path}: label {test_labels[outside[0]]} at row {outside[0]} of y_test is out of range: "
            f"there are {len(classes)} classes, 0 to {len(classes) - 1}"
        )
    return Arrays(images, labels, test_images, test_labels), classes


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise DatasetError(f"{path} is a single array, not an .npz file with x_train and y_train")
        with archive:
            return {name: archive[name] for name in archive.files}
    except ValueError:  # whose message is how to run code from a file by allowing objects
        raise DatasetError(
            f"{path} is not a readable .npz file of plain arrays: it is a file of another kind, or an array in it "
            "holds objects in the place of numbers or texts"
        ) from None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise DatasetError(f"{path} is not a readable .npz file of plain arrays: {error}") from None


def _pair(path: Path, images: np.ndarray, labels: np.ndarray, part: str) -> tuple[np.ndarray, np.ndarray]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DatasetError(
            f"{path}: y_{part} must hold the number of each picture's class (N,), not {labels.dtype} {labels.shape}"
        )
    if len(images) != len(labels):
        raise DatasetError(f"{path}: x_{part} holds {len(images):,} pictures, but y_{part} {len(labels):,} labels")
    if len(labels) and labels.min() < 0:
        row = int(np.argmin(labels))
        raise DatasetError(
            f"{path}: label {labels[row]} at row {row} of y_{part} is out of range: classes begin with 0"
        )
    return _bytes(path, _channels_first(path, images, part), part), labels.astype(np.int64)


def _channels_first(path: Path, images: np.ndarray, part: str) -> np.ndarray:
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return images.transpose(0, 3, 1, 2)
    raise DatasetError(
        f"{path}: x_{part} has the shape {images.shape}: expected (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 "
        "channels"
    )


def _bytes(path: Path, images: np.ndarray, part: str) -> np.ndarray:
    if images.dtype == np.uint8 or not images.size:
        return np.ascontiguousarray(images, np.uint8)
    if images.dtype.kind not in "iuf":
        raise DatasetError(f"{path}: x_{part} holds {images.dtype}: expected bytes or numbers")
    low, high = images.min(), images.max()
    most = 1 if images.dtype.kind == "f" else 255
    if not (low >= 0 and high <= most):  # NaN lands here, too
        raise DatasetError(
            f"{path}: x_{part} holds values from {low} to {high}: expected whole numbers from 0 to 255, or floats from "
            "0 to 1 (not normalised)"
        )
    return np.rint(images * (255 if most == 1 else 1)).astype(np.uint8)


def _classes(path: Path, arrays: dict[str, np.ndarray], labels: np.ndarray) -> tuple[str, ...]:
    """The names in the file, else the numbers; each class has a picture to train on."""
    if not len(labels):
        raise DatasetError(f"{path}: x_train holds no pictures")
    names, row = None, int(labels.argmax())
    highest = f"{path}: label {labels[row]} at row {row} of y_train is out of range"
    if "classes" in arrays:
        if arrays["classes"].ndim != 1:
            raise DatasetError(
                f"{path}: classes must hold the name of each class (n,), not {arrays['classes'].dtype} "
                f"{arrays['classes'].shape}"
            )
        names = tuple(map(str, arrays["classes"].tolist()))
        if labels[row] >= len(names):
            raise DatasetError(f"{highest}: classes names only {len(names)}")
    elif labels[row] >= len(labels):  # before a name is made for each number up to it
        raise DatasetError(f"{highest}: {len(labels)} pictures are of {len(labels)} classes at most, numbered from 0")
    counts = np.bincount(labels, minlength=len(names or ()))
    names = names or tuple(map(str, range(len(counts))))
    if len(names) < 2:
        raise DatasetError(f"{path} holds pictures of 1 class: expected two or more")
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        raise DatasetError(
            f"{path}: class {names[empty[0]]} has no picture in x_train: labels are the numbers 0 to n − 1 of n classes"
        )
    return names
