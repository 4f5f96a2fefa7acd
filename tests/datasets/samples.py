"""Small files in the formats of the data sets, for the tests to read and to break."""

from __future__ import annotations

import gzip
import io
import tarfile

import numpy as np

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
CIFAR_NAMES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
CIFAR_ARCHIVE = "cifar-10-binary.tar.gz"


def idx_bytes(array):
    """An array of bytes as an IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def idx_arrays(train=30, test=20, seed=0):
    """Pictures and labels by file name."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for part, count in (("train", train), ("t10k", test)):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = rng.integers(0, 10, count, dtype=np.uint8)
    return arrays


def write_idx(folder, zipped=False, **settings):
    """The four files in a folder, which is made; returns the arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = idx_arrays(**settings)
    for name, array in arrays.items():
        content = idx_bytes(array)
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(content) if zipped else content)
    return arrays


def cifar_records(rows=4, seed=0):
    """The records (rows, 3073) of each file by name."""
    rng = np.random.default_rng(seed)
    files = {}
    for name in CIFAR_NAMES:
        records = rng.integers(0, 256, (rows, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        files[name] = records
    return files


def write_cifar(folder, **settings):
    """The six files in a folder, which is made; returns the records."""
    folder.mkdir(parents=True, exist_ok=True)
    files = cifar_records(**settings)
    for name, records in files.items():
        (folder / name).write_bytes(records.tobytes())
    return files


def cifar_archive(files, folder="cifar-10-batches-bin/"):
    """The bytes of the archive that holds these files (records, or bytes)."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, content in {"readme.html": b"<html>", **files}.items():
            content = content if isinstance(content, bytes) else content.tobytes()
            member = tarfile.TarInfo(f"{folder}{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()
