"""Named tensors in a file: .npz without pickle, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from numbanet.creation import tensor
from numbanet.tensor import Tensor


def save(tensors: Mapping[str, Tensor | np.ndarray], path: str | os.PathLike) -> None:
    """Write named tensors or arrays (a ``state_dict``) as an .npz file.

    The file appears under its name only when it is complete. TypeError for anything but named tensors and arrays."""
    arrays = as_arrays(tensors)
    with whole_file(path) as file:
        np.savez(file, **{f"/{name}": array for name, array in arrays.items()})


def as_arrays(tensors: Mapping[str, Tensor | np.ndarray]) -> dict[str, np.ndarray]:
    """Named tensors or arrays as arrays. TypeError for anything else, and for arrays of Python objects."""
    arrays = {}
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, Tensor | np.ndarray):
            raise TypeError(f"save takes names with tensors or arrays, got {name!r}: {type(value).__name__}")
        arrays[name] = value.detach().numpy() if isinstance(value, Tensor) else value
        if arrays[name].dtype == object:
            raise TypeError(f"save cannot write {name!r}: an array of Python objects")
    return arrays


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A file to write into, which appears as ``path`` when the block ends well, and not at all else."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike) -> dict[str, Tensor]:
    """The named tensors of a file that ``save`` wrote. FileNotFoundError, or ValueError for another kind of file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name.removeprefix("/"): tensor(file[name]) for name in file.files}
    except (zipfile.BadZipFile, EOFError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is not a file of tensors written by numbanet.save: {error}") from error
