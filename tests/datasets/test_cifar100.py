"""CIFAR-100's binary version: two label bytes a record, of which the second counts."""

from __future__ import annotations

import numpy as np
import pytest

from numbanet import datasets
from numbanet.datasets import DatasetError
from tests.datasets.samples import cifar_archive

ARCHIVE = "cifar-100-binary.tar.gz"


def records(rows: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 256, (rows, 3074), dtype=np.uint8)
    values[:, 0] %= 20
    values[:, 1] %= 100
    return values


@pytest.mark.parametrize("packed", [False, True])
def test_fine_labels_and_pictures(tmp_path, packed):
    files = {"train.bin": records(9, 0), "test.bin": records(4, 1)}
    if packed:
        (tmp_path / ARCHIVE).write_bytes(cifar_archive(files, "cifar-100-binary/"))
    else:
        for name, values in files.items():
            (tmp_path / name).write_bytes(values.tobytes())
    splits = datasets.load("cifar100", tmp_path, download=False)
    for part, values in ((splits.train, files["train.bin"]), (splits.test, files["test.bin"])):
        assert part.labels.tolist() == values[:, 1].tolist()
        np.testing.assert_array_equal(part.images, values[:, 2:].reshape(-1, 3, 32, 32))
    assert len(splits.info.classes) == len(set(splits.info.classes)) == 100


def test_a_label_out_of_range(tmp_path):
    values = records(3, 0)
    values[2, 1] = 100
    (tmp_path / "train.bin").write_bytes(values.tobytes())
    (tmp_path / "test.bin").write_bytes(records(2, 1).tobytes())
    with pytest.raises(
        DatasetError, match=r"train.bin is damaged: label 100 at row 2, cifar100 has the classes 0 to 99"
    ):
        datasets.load("cifar100", tmp_path, download=False)


def test_files_of_cifar10_are_not_cifar100(tmp_path):
    (tmp_path / ARCHIVE).write_bytes(cifar_archive({"data_batch_1.bin": records(2, 0)}, "cifar-100-binary/"))
    with pytest.raises(DatasetError, match="is not the binary version of CIFAR-100: cifar-100-binary/train.bin"):
        datasets.load("cifar100", tmp_path, download=False)
