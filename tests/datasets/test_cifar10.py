"""CIFAR-10's binary version, from a folder and from the archive."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from numbanet import datasets
from numbanet.datasets import DatasetError
from tests.datasets.samples import CIFAR_ARCHIVE, CIFAR_NAMES, cifar_archive, cifar_records, write_cifar


def check(splits, files):
    train = np.concatenate([files[name] for name in CIFAR_NAMES[:5]])
    for part, records in ((splits.train, train), (splits.test, files["test_batch.bin"])):
        assert part.labels.tolist() == records[:, 0].tolist()
        assert np.array_equal(part.images, records[:, 1:].reshape(-1, 3, 32, 32))
        assert part.images.flags.c_contiguous
    assert (splits.info.n_train, splits.info.n_test) == (len(train), len(files["test_batch.bin"]))


@pytest.mark.parametrize("rows", [1, 7])
def test_from_the_folder(tmp_path, rows):
    files = write_cifar(tmp_path / "cifar-10-batches-bin", rows=rows)
    check(datasets.load("cifar10", tmp_path, download=False), files)


def test_from_gzipped_files(tmp_path):
    files = write_cifar(tmp_path)
    for name in CIFAR_NAMES:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    check(datasets.load("cifar10", tmp_path, download=False), files)


@pytest.mark.parametrize("folder", ["cifar-10-batches-bin/", "./cifar-10-batches-bin/", ""])
@pytest.mark.parametrize("place", ["", "cifar10", "cifar-10-batches-bin"])
def test_straight_from_the_archive(tmp_path, folder, place):
    files = cifar_records()
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / CIFAR_ARCHIVE).write_bytes(cifar_archive(files, folder))
    check(datasets.load("cifar10", tmp_path, download=False), files)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [CIFAR_ARCHIVE]


def test_from_an_unpacked_archive(tmp_path):
    files = cifar_records()
    (tmp_path / CIFAR_ARCHIVE.removesuffix(".gz")).write_bytes(gzip.decompress(cifar_archive(files)))
    check(datasets.load("cifar10", tmp_path, download=False), files)


@pytest.mark.parametrize("left", [0, 1, 3072, 3074, 4 * 3073 - 1])
def test_files_that_are_not_whole_records(tmp_path, left):
    write_cifar(tmp_path)
    path = tmp_path / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(DatasetError, match=f"its {left:,} bytes are not a multiple of 3,073") as caught:
        datasets.load("cifar10", tmp_path, download=False)
    assert str(path) in str(caught.value)


def test_labels_of_no_class(tmp_path):
    files = cifar_records()
    files["test_batch.bin"][2, 0] = 10
    (tmp_path / CIFAR_ARCHIVE).write_bytes(cifar_archive(files))
    with pytest.raises(DatasetError, match=r"test_batch.bin in .*tar.gz is damaged: label 10 at row 2"):
        datasets.load("cifar10", tmp_path, download=False)


ARCHIVE = cifar_archive(cifar_records())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is truncated or damaged"),
        (b"<html>", "is truncated or damaged"),
        (ARCHIVE[: len(ARCHIVE) // 2], "is truncated or damaged"),
        (ARCHIVE[:5000] + bytes(300) + ARCHIVE[5300:], "is truncated or damaged"),
        (cifar_archive({}), "is not the binary version of CIFAR-10: .*data_batch_1.bin is not in it"),
        (cifar_archive(cifar_records(), "../elsewhere/"), "is not the binary version"),
    ],
)
def test_broken_archives_are_named(tmp_path, content, words):
    path = tmp_path / CIFAR_ARCHIVE
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=words) as caught:
        datasets.load("cifar10", tmp_path, download=False)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    write_cifar(tmp_path / "cifar-10-batches-bin")
    (tmp_path / "cifar-10-batches-bin" / "data_batch_4.bin").unlink()
    with pytest.raises(DatasetError, match=r"incomplete: data_batch_4.bin \(gzipped or not\) is missing in"):
        datasets.load("cifar10", tmp_path, download=False)
