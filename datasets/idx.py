"""Reading IDX files, the format of MNIST and of what came after it.

Two zero bytes, the type of the elements (8 = unsigned byte), the number of axes, the length of each axis as a 32-bit
number (big-endian), the elements. Source: LeCun, Cortes, Burges, http://yann.lecun.com/exdb/mnist.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from numbanet.datasets.errors import DatasetError
from numbanet.datasets.info import Arrays, DatasetInfo

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_UBYTE = 0x08
# MNIST and Fashion-MNIST use the same file names: lying directly in the data folder, one could pass for the other.
_FIRST_LABELS = {
    "mnist": bytes([5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5, 3, 6, 1, 7, 2, 8, 6, 9]),
    "fashion-mnist": bytes([9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9, 5, 5, 7, 9, 1, 0, 6, 4]),
}


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The array (uint8) of an IDX file of bytes, gzipped or not, with this number of axes.

    Raises:
        DatasetError: the file cannot be read, is no such file, is cut or has bytes to spare; the message names it.
    """
    content = read_bytes(path)
    begin = 4 + 4 * axes
    if len(content) < begin:
        raise DatasetError(f"{path} is truncated: an IDX file begins with {begin} bytes, it has {len(content)}")
    magic, expected = content[:4], bytes([0, 0, _UBYTE, axes])
    if magic != expected:
        raise DatasetError(
            f"{path} is not an IDX file of bytes with {axes} {'axis' if axes == 1 else 'axes'}: "
            f"it begins with 0x{magic.hex()} instead of 0x{expected.hex()}"
        )
    shape = tuple(np.frombuffer(content, ">u4", axes, offset=4).tolist())
    found, promised = len(content) - begin, math.prod(shape)
    if found != promised:
        what = "is truncated" if found < promised else "is too long"
        raise DatasetError(f"{path} {what}: its header promises {promised:,} bytes {shape}, {found:,} follow")
    return np.frombuffer(content, np.uint8, offset=begin).reshape(shape)


def read_bytes(path: Path) -> bytes:
    """The contents of a file, unpacked if it is gzipped (whatever its name says)."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        if not zipped:
            return path.read_bytes()
        with gzip.open(path) as file:
            return file.read()
    except EOFError:
        raise DatasetError(f"{path} is truncated: its gzip data end too early") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{path} is damaged: {error}") from None
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from None


def read_splits(info: DatasetInfo, paths: dict[str, Path]) -> Arrays:
    """The four IDX files of a data set in MNIST's layout.

    Raises:
        DatasetError: as :func:`read_idx`; or pictures and labels differ in number, pictures are of another size,
            a label names no class, or the files are those of another data set.
    """
    train_images, train_labels, test_images, test_labels = (paths[name] for name in FILES)
    arrays = Arrays(
        *_read_pair(info, train_images, train_labels),
        *_read_pair(info, test_images, test_labels),
    )
    first = arrays.train_labels[:20].tobytes()
    for other, labels in _FIRST_LABELS.items():
        if other != info.name and first == labels:
            raise DatasetError(f"{train_labels} belongs to {other}, not to {info.name}: put them into folders apart")
    return arrays


def _read_pair(info: DatasetInfo, image_path: Path, label_path: Path) -> tuple[np.ndarray, np.ndarray]:
    images, labels = read_idx(image_path, 3), read_idx(label_path, 1)
    if len(images) != len(labels):
        raise DatasetError(f"{image_path} holds {len(images):,} pictures, but {label_path} {len(labels):,} labels")
    if images.shape[1:] != info.shape[1:] or not len(images):
        height, width = info.shape[1:]
        raise DatasetError(f"{image_path} holds pictures {images.shape}: {info.name} has (N, {height}, {width})")
    check_labels(info, labels, label_path)
    return images[:, None], labels


def check_labels(info: DatasetInfo, labels: np.ndarray, path: Path | str) -> None:
    """Raise DatasetError if a label names no class."""
    wrong = np.flatnonzero(labels >= info.num_classes)
    if len(wrong):
        raise DatasetError(
            f"{path} is damaged: label {labels[wrong[0]]} at row {wrong[0]}, "
            f"{info.name} has the classes 0 to {info.num_classes - 1}"
        )
