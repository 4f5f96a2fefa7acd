"""Files of weights, whichever format they have."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from numbanet.interop import npz, torch_file
from numbanet.interop.errors import WeightsError as WeightsError
from numbanet.serialization import as_arrays, whole_file
from numbanet.tensor import Tensor

_WRITERS: dict[str, Callable[[BinaryIO, dict[str, np.ndarray]], None]] = {"npz": npz.write, "torch": torch_file.write}
FORMATS = tuple(_WRITERS)
SUFFIXES = {"npz": ".npz", "torch": ".pt"}
"""What files of a format are called."""


def save_weights(state: Mapping[str, Tensor | np.ndarray], path: str | os.PathLike, format: str = "npz") -> None:
    """Write a ``state_dict`` under its own keys, whole or not at all.

    "npz" is for ``numpy.load``, "torch" for ``torch.load(path, weights_only=True)``. Raises ValueError for an unknown
    format and :class:`WeightsError` for a dtype that it does not have.
    """
    if format not in _WRITERS:
        raise ValueError(f"unknown format {format!r}; use one of: {', '.join(FORMATS)}")
    arrays = as_arrays(state)
    with whole_file(path) as file:
        _WRITERS[format](file, arrays)


def load_weights(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The named arrays of a file that ``save_weights``, ``numbanet.save``, ``numpy.savez`` or ``torch.save`` wrote.

    Nothing in the file is run. Raises FileNotFoundError, and :class:`WeightsError` for a file that is none of these.
    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                is_torch = any(name.endswith("/data.pkl") for name in archive.namelist())
                return torch_file.read(archive) if is_torch else npz.read(archive)
        except zipfile.BadZipFile as error:
            raise WeightsError(
                f"{path} is neither an .npz file nor one of torch.save ({error}); files that PyTorch wrote before "
                "version 1.6 must be loaded and saved again there"
            ) from None
        except WeightsError as error:
            raise WeightsError(f"{path}: {error}") from None
        except Exception as error:  # zipfile and zlib raise nearly anything for a broken file
            raise WeightsError(f"{path} is damaged: {error}") from None
