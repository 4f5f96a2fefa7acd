"""cifar10: 50,000 + 10,000 small colour photographs (Krizhevsky 2009), from the binary version.

A record is one label byte and 3,072 bytes of a picture: 1,024 red, 1,024 green, 1,024 blue, each row by row. The files
may hold any number of records. The archive of pickles is never read: unpickling runs whatever code a file asks for.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from numbanet.datasets.errors import DatasetError
from numbanet.datasets.idx import check_labels, read_bytes
from numbanet.datasets.info import Arrays, DatasetInfo, RemoteFile

ARCHIVE = "cifar-10-binary.tar.gz"
_FOLDER = "cifar-10-batches-bin"
_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = "test_batch.bin"
_RECORD = 1 + 3 * 32 * 32
_MIRRORS = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")

INFO = DatasetInfo(
    name="cifar10",
    title="CIFAR-10: 60,000 small colour photographs of ten kinds of things",
    source="Krizhevsky, Nair, Hinton, https://www.cs.toronto.edu/~kriz/cifar.html",
    licence="none stated; the makers ask to cite Krizhevsky (2009), Learning Multiple Layers of Features",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    shape=(3, 32, 32),
    n_train=50_000,
    n_test=10_000,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    style="photo",
    augment="flip,crop(padding=4)",
    folders=(_FOLDER, "cifar10", "cifar-10"),
    layouts=((*_TRAIN, _TEST), (ARCHIVE,)),
    downloads=(RemoteFile(ARCHIVE, "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171, _MIRRORS),),
)


def read(info: DatasetInfo, paths: dict[str, Path]) -> Arrays:
    """The pictures of the five training files and the test file, from a folder or straight from the archive.

    Raises:
        DatasetError: a file cannot be read, is not a multiple of a record long or holds a label of no class.
    """
    if ARCHIVE in paths:
        contents = _read_archive(paths[ARCHIVE])
        origin = {name: f"{name} in {paths[ARCHIVE]}" for name in contents}
    else:
        contents = {name: read_bytes(path) for name, path in paths.items()}
        origin = {name: str(path) for name, path in paths.items()}
    parts = {name: _records(info, content, origin[name]) for name, content in contents.items()}
    train = [parts[name] for name in _TRAIN]
    return Arrays(
        np.concatenate([images for images, _ in train]),
        np.concatenate([labels for _, labels in train]),
        *parts[_TEST],
    )


def _read_archive(path: Path) -> dict[str, bytes]:
    """The six files of the archive, which is not unpacked on disk (a member's name could lead anywhere)."""
    wanted = (*_TRAIN, _TEST)
    contents = {}
    try:
        with _open(path) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    folder, _, name = member.name.removeprefix("./").rpartition("/")
                    if member.isfile() and folder in ("", _FOLDER) and name in wanted:
                        contents[name] = archive.extractfile(member).read()
            while stream.read(1 << 20):  # gzip checks its contents only at their very end
                pass
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{path} is truncated or damaged ({error}): delete it to download it anew") from None
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from None
    missing = [name for name in wanted if name not in contents]
    if missing:
        raise DatasetError(f"{path} is not the binary version of CIFAR-10: {_FOLDER}/{missing[0]} is not in it")
    return contents


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else path.open("rb")


def _records(info: DatasetInfo, content: bytes, origin: str) -> tuple[np.ndarray, np.ndarray]:
    if not content or len(content) % _RECORD:
        raise DatasetError(
            f"{origin} is truncated or no file of CIFAR-10's binary version: "
            f"its {len(content):,} bytes are not a multiple of {_RECORD:,}"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0].copy()
    check_labels(info, labels, origin)
    return records[:, 1:].reshape(-1, *info.shape), labels
