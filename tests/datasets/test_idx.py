"""IDX files, whole and broken."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from numbanet import datasets
from numbanet.datasets import DatasetError
from numbanet.datasets.idx import read_idx
from tests.datasets.samples import idx_bytes, write_idx


@pytest.mark.parametrize("shape", [(7,), (3, 5, 4), (0, 28, 28), (1, 1, 1)])
@pytest.mark.parametrize("zipped", [False, True])
def test_reads_what_was_written(tmp_path, shape, zipped):
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "a-file"  # what is packed is seen from its contents, not from its name
    path.write_bytes(gzip.compress(idx_bytes(values)) if zipped else idx_bytes(values))
    found = read_idx(path, len(shape))
    assert found.dtype == np.uint8
    assert np.array_equal(found, values)
    assert found.shape == shape


GOOD = idx_bytes(np.arange(24).reshape(2, 3, 4))
PACKED = gzip.compress(GOOD, mtime=0)  # the name of a test must not hold the time


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is truncated: an IDX file begins with 16 bytes, it has 0"),
        (GOOD[:15], "is truncated: an IDX file begins with 16 bytes, it has 15"),
        (GOOD[:-1], r"is truncated: its header promises 24 bytes \(2, 3, 4\), 23 follow"),
        (GOOD + b"x", "is too long: its header promises 24 bytes"),
        (b"\0\0\x0d\x03" + GOOD[4:], "it begins with 0x00000d03 instead of 0x00000803"),
        (b"\0\0\x08\x01" + GOOD[4:], "not an IDX file of bytes with 3 axes: it begins with 0x00000801"),
        (b"<html><body>not found</body></html>", "it begins with 0x3c68746d"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + b"x", "is truncated: its header promises 79,228,162,458,924,105,385"),
        (PACKED[:-12], "is truncated: its gzip data end too early"),
        (PACKED[:12] + b"\xff\xff\xff" + PACKED[15:], "is damaged"),
        (PACKED[:-5] + b"\0\0\0\0\0", "is damaged: CRC check failed"),
    ],
)
def test_broken_files_are_named(tmp_path, content, words):
    path = tmp_path / "pictures-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=words) as caught:
        read_idx(path, 3)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_or_not_a_file(tmp_path):
    with pytest.raises(DatasetError, match=r"cannot read .*absent: No such file"):
        read_idx(tmp_path / "absent", 3)
    with pytest.raises(DatasetError, match="cannot read"):
        read_idx(tmp_path, 3)


# --- the four files of a data set -----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_data_set_is_read(tmp_path, name, zipped):
    arrays = write_idx(tmp_path / name, zipped)
    train, test, info, paths, skipped = datasets.load(name, tmp_path, download=False)
    assert np.array_equal(train.images[:, 0], arrays["train-images-idx3-ubyte"])
    assert np.array_equal(train.labels, arrays["train-labels-idx1-ubyte"])
    assert np.array_equal(test.images[:, 0], arrays["t10k-images-idx3-ubyte"])
    assert np.array_equal(test.labels, arrays["t10k-labels-idx1-ubyte"])
    assert (train.images.shape, train.labels.dtype, test.images.dtype) == ((30, 1, 28, 28), np.int64, np.uint8)
    assert (train.classes, train.mean, train.std) == (info.classes, info.mean, info.std)
    assert (info.n_train, info.n_test, skipped) == (30, 20, ())
    assert {path.parent for path in paths.values()} == {tmp_path / name}


def break_count(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(29)))
    return r"train-images-idx3-ubyte holds 30 pictures, but .*train-labels-idx1-ubyte 29 labels"


def break_size(folder):
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((20, 27, 28))))
    return r"t10k-images-idx3-ubyte holds pictures \(20, 27, 28\): mnist has \(N, 28, 28\)"


def break_emptiness(folder):
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((0, 28, 28))))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(0)))
    return r"t10k-images-idx3-ubyte holds pictures \(0, 28, 28\)"


def break_label(folder):
    labels = np.zeros(20)
    labels[17] = 10
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return r"t10k-labels-idx1-ubyte is damaged: label 10 at row 17, mnist has the classes 0 to 9"


def break_identity(folder):
    labels = np.zeros(30)
    labels[:20] = [9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9, 5, 5, 7, 9, 1, 0, 6, 4]
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return r"train-labels-idx1-ubyte belongs to fashion-mnist, not to mnist"


def break_swap(folder):
    (folder / "train-labels-idx1-ubyte").rename(folder / "t")
    (folder / "train-images-idx3-ubyte").rename(folder / "train-labels-idx1-ubyte")
    (folder / "t").rename(folder / "train-images-idx3-ubyte")
    return r"train-images-idx3-ubyte is not an IDX file of bytes with 3 axes"


@pytest.mark.parametrize("damage", [break_count, break_size, break_emptiness, break_label, break_identity, break_swap])
def test_files_that_do_not_fit_each_other(tmp_path, damage):
    write_idx(tmp_path / "mnist")
    words = damage(tmp_path / "mnist")
    with pytest.raises(DatasetError, match=words):
        datasets.load("mnist", tmp_path, download=False)
