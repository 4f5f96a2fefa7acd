"""Named tensors in a file: .npz without pickle, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from numbanet.creation import tensor
from numbanet.tensor import Tensor


def save(tensors: Mapping[str, Tensor | np.ndarray], path: str | os.PathLike) -> None:
    """Write named tensors or arrays (a ``state_dict``) as an .npz file.

    The file appears under its name only when it is complete. TypeError for anything but named tensors and arrays."""
    arrays = {}
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, Tensor | np.ndarray):
            raise TypeError(f"save takes names with tensors or arrays, got {name!r}: {type(value).__name__}")
        arrays[name] = value.detach().numpy() if isinstance(value, Tensor) else value
        if arrays[name].dtype == object:
            raise TypeError(f"save cannot write {name!r}: an array of Python objects")
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **{f"/{name}": array for name, array in arrays.items()})
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load(path: str | os.PathLike) -> dict[str, Tensor]:
    """The named tensors of a file that ``save`` wrote. FileNotFoundError, or ValueError for another kind of file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name.removeprefix("/"): tensor(file[name]) for name in file.files}
    except (zipfile.BadZipFile, EOFError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is not a file of tensors written by numbanet.save: {error}") from error
