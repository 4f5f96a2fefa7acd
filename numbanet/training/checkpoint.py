"""Checkpoints: one npz file with arrays and one JSON text, and nothing that runs code when it is read.

The arrays hold state only (weights, optimiser buffers); whatever else there is to know lies in one JSON text, the
array ``json``. It also holds a SHA-256 over the names, types, shapes and bytes of all arrays and over the text
itself, so a file that was cut, edited or made by something else is recognised when it is read.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numbanet.training.errors import CheckpointError
from numbanet.training.files import replacing

FORMAT = "numbanet checkpoint"
FORMAT_VERSION = 1

_JSON = "json"
_UNREADABLE = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, NotImplementedError, RuntimeError)


@dataclass
class Checkpoint:
    """``arrays`` by name, and ``state``, a dict of what JSON can hold exactly (no NaN, no infinity)."""

    arrays: dict[str, np.ndarray]
    state: dict[str, Any]


def save(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole or not at all. Raises ValueError for what neither an array nor JSON can hold."""
    arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in checkpoint.arrays.items()}
    for name, array in arrays.items():
        if name == _JSON or array.dtype.kind not in "biuf":
            raise ValueError(f"checkpoints hold numeric arrays: {name!r} ({array.dtype}) cannot be one of them")
    header = {"format": FORMAT, "format_version": FORMAT_VERSION, **checkpoint.state}
    header["checksum"] = _checksum(arrays, header)
    with replacing(Path(path)) as stream:
        np.savez(stream, **{_JSON: np.array(_canonical(header))}, **arrays)


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint; raises :class:`CheckpointError` when it is missing, cut, edited, foreign or too new."""
    path = Path(path)
    header, arrays = _read(path)
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a numbanet checkpoint")
    if header.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {header.get('format_version')!r}; this numbanet reads version {FORMAT_VERSION}"
        )
    if header.pop("checksum", None) != _checksum(arrays, header):
        raise CheckpointError(f"{path} was changed after it was written: its checksum does not fit its content")
    return Checkpoint(arrays, {k: v for k, v in header.items() if k not in ("format", "format_version")})


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with path.open("rb") as stream:
            if stream.read(4) != b"PK\x03\x04":
                raise CheckpointError(f"{path} is not a numbanet checkpoint (no npz file)")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except _UNREADABLE as error:
        raise CheckpointError(f"{path} is damaged (cut short or overwritten): {error}") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from None
    text = arrays.pop(_JSON, None)
    if text is None or text.dtype.kind != "U" or text.shape != ():
        raise CheckpointError(f"{path} is not a numbanet checkpoint (an npz file of something else)")
    try:
        header = json.loads(str(text))
    except ValueError:
        raise CheckpointError(f"{path} was changed after it was written: its JSON text cannot be read") from None
    if not isinstance(header, dict):
        raise CheckpointError(f"{path} is not a numbanet checkpoint")
    return header, arrays


def _canonical(header: dict[str, Any]) -> str:
    return json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _checksum(arrays: dict[str, np.ndarray], header: dict[str, Any]) -> str:
    digest = hashlib.sha256(_canonical(header).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    return f"sha256:{digest.hexdigest()}"
