"""The .npz format: a zip of .npy files, each named by its key."""

from __future__ import annotations

import zipfile
from typing import BinaryIO

import numpy as np

from numbanet.interop.errors import WeightsError


def write(file: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays under their names as they are (``numpy.savez`` would take "file" for an argument)."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def read(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """The arrays by their names."""
    arrays = {}
    for entry in archive.namelist():
        if not entry.endswith(".npy"):
            raise WeightsError(f"{entry!r} in it is no array")
        try:
            with archive.open(entry) as stream:
                array = np.lib.format.read_array(stream)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise WeightsError(f"the array {entry!r} in it cannot be read: {error}") from None
        if array.dtype.kind not in "biuf":
            raise WeightsError(
                f"the array {entry!r} in it holds no numbers; `numbanet export RUN` makes weights of a run's checkpoint"
            )
        arrays[entry.removesuffix(".npy").removeprefix("/")] = array
    if not arrays:
        raise WeightsError("there are no arrays in it")
    return arrays
