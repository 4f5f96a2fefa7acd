"""Reading CIFAR's binary versions, from a folder or straight from the archive.

A record is its label bytes and 3,072 bytes of a picture: 1,024 red, 1,024 green, 1,024 blue, each row by row. The files
may hold any number of records. The archives of pickles are never read: unpickling runs whatever code a file asks for.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from numbanet.datasets.errors import DatasetError
from numbanet.datasets.idx import check_labels, read_bytes
from numbanet.datasets.info import Arrays, DatasetInfo

MIRRORS = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")


class CifarFiles(NamedTuple):
    """The archive, the folder in it, its files, and how many label bytes a record has (the last one counts)."""

    archive: str
    folder: str
    train: tuple[str, ...]
    test: str
    label_bytes: int

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.train, self.test)


def read_cifar(files: CifarFiles, info: DatasetInfo, paths: dict[str, Path]) -> Arrays:
    """The pictures of the training files and the test file.

    Raises:
        DatasetError: a file cannot be read, is not a multiple of a record long or holds a label of no class.
    """
    if files.archive in paths:
        contents = _read_archive(files, info, paths[files.archive])
        origin = {name: f"{name} in {paths[files.archive]}" for name in contents}
    else:
        contents = {name: read_bytes(path) for name, path in paths.items()}
        origin = {name: str(path) for name, path in paths.items()}
    parts = {name: _records(files, info, content, origin[name]) for name, content in contents.items()}
    train = [parts[name] for name in files.train]
    return Arrays(
        np.concatenate([images for images, _ in train]),
        np.concatenate([labels for _, labels in train]),
        *parts[files.test],
    )


def _read_archive(files: CifarFiles, info: DatasetInfo, path: Path) -> dict[str, bytes]:
    """The files of the archive, which is not unpacked on disk (a member's name could lead anywhere)."""
    contents = {}
    try:
        with _open(path) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    folder, _, name = member.name.removeprefix("./").rpartition("/")
                    if member.isfile() and folder in ("", files.folder) and name in files.all:
                        contents[name] = archive.extractfile(member).read()
            while stream.read(1 << 20):  # gzip checks its contents only at their very end
                pass
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{path} is truncated or damaged ({error}): delete it to download it anew") from None
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from None
    missing = [name for name in files.all if name not in contents]
    if missing:
        title = info.title.partition(":")[0]
        raise DatasetError(f"{path} is not the binary version of {title}: {files.folder}/{missing[0]} is not in it")
    return contents


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else path.open("rb")


def _records(files: CifarFiles, info: DatasetInfo, content: bytes, origin: str) -> tuple[np.ndarray, np.ndarray]:
    size = files.label_bytes + 3 * 32 * 32
    if not content or len(content) % size:
        raise DatasetError(
            f"{origin} is truncated or no file of {info.title.partition(':')[0]}'s binary version: "
            f"its {len(content):,} bytes are not a multiple of {size:,}"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    labels = records[:, files.label_bytes - 1].copy()
    check_labels(info, labels, origin)
    return records[:, files.label_bytes :].reshape(-1, *info.shape), labels
