"""An .npz file with x_train, y_train and perhaps x_test, y_test and classes."""

from __future__ import annotations

import numpy as np
import pytest

from numbanet import datasets
from numbanet.datasets import DatasetError

RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 256, (30, 3, 8, 6), dtype=np.uint8)
Y = np.arange(30) % 3


def write(folder, **arrays) -> str:
    path = folder / "mine.npz"
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return str(path)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (X, X),
        (X.transpose(0, 2, 3, 1), X),
        (X[:, 0], X[:, :1]),
        (X.astype(np.int32), X),
        (X.astype(np.float32) / 255, X),
    ],
    ids=["NCHW", "NHWC", "NHW", "integers", "floats"],
)
def test_layouts_and_dtypes(tmp_path, x, expected):
    name = write(tmp_path, x_train=x, y_train=Y[:, None], x_test=x[:6], y_test=Y[:6].astype(np.uint8))
    splits = datasets.load(name)
    np.testing.assert_array_equal(splits.train.images, expected)
    np.testing.assert_array_equal(splits.test.images, expected[:6])
    assert splits.train.labels.tolist() == Y.tolist()
    assert splits.info.shape == datasets.dataset_info(name).shape == expected.shape[1:]
    assert splits.info.classes == ("0", "1", "2")
    assert datasets.is_dataset(name)
    assert datasets.short_name(name) == "mine"


def test_without_a_test_part_a_fifth_is_taken_always_the_same(tmp_path):
    name = write(tmp_path, x_train=X, y_train=Y, classes=np.array(["ant", "bee", "cat"]))
    first, second = datasets.load(name), datasets.load(name)
    assert (len(first.train), len(first.test)) == (24, 6)
    np.testing.assert_array_equal(first.test.images, second.test.images)
    both = np.concatenate([first.train.images, first.test.images])
    assert {picture.tobytes() for picture in both} == {picture.tobytes() for picture in X}
    assert first.info.classes == ("ant", "bee", "cat")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y_train": None}, "has no array y_train; it holds x_train"),
        ({"x_test": X[:5]}, "has no array y_test"),
        ({"y_train": Y[:-1]}, "x_train holds 30 pictures, but y_train 29 labels"),
        ({"y_train": np.eye(3)[Y]}, r"must hold the number of each picture's class \(N,\), not float64 \(30, 3\)"),
        ({"y_train": Y - 1}, "label -1 at row 0 of y_train is out of range"),
        ({"y_train": Y * 2}, "class 1 has no picture in x_train"),
        ({"x_test": X[:3], "y_test": np.array([0, 1, 7])}, "label 7 at row 2 of y_test is out of range: there are 3"),
        ({"x_test": X[:3, :, :5], "y_test": Y[:3]}, "of x_train .* and of x_test .* differ"),
        ({"classes": np.array(["a", "b"])}, "label 2 at row 2 of y_train is out of range: classes names only 2"),
        ({"classes": np.array(3)}, r"classes must hold the name of each class \(n,\), not int64 \(\)"),
        ({"y_train": Y + 2**40 * (Y == 1)}, "label 1099511627777 at row 1 of y_train is out of range: 30 pictures are"),
        ({"y_train": Y * 0}, "holds pictures of 1 class: expected two or more"),
        ({"y_train": Y * 0, "classes": np.array(["a"])}, "holds pictures of 1 class: expected two or more"),
        ({"x_train": X[:3], "y_train": Y[:3]}, "no picture to train on is left of the class 1"),
        ({"classes": np.array(list("abcd"))}, "class d has no picture"),
        ({"x_train": X.astype(np.float32)}, "values from 0.0 to 255.0: expected"),
        ({"x_train": np.full(X.shape, np.nan)}, "values from nan to nan"),
        ({"x_train": X.astype(np.int64) * 300}, "whole numbers from 0 to 255"),
        ({"x_train": X[:, :2]}, r"has the shape \(30, 2, 8, 6\)"),
        ({"x_train": X.astype("U3")}, "expected bytes or numbers"),
        ({"x_train": X[:0], "y_train": Y[:0]}, "holds no pictures"),
        ({"x_train": np.array([{}], object)}, "not a readable .npz file of plain arrays: .* holds objects"),
    ],
)  # fmt: skip
def test_wrong_arrays(tmp_path, arrays, message):
    name = write(tmp_path, **{"x_train": X, "y_train": Y, **arrays})
    with pytest.raises(DatasetError, match=message) as caught:
        datasets.load(name)
    assert name in str(caught.value)
    assert "pickle" not in str(caught.value)


def test_files_that_are_none(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(DatasetError, match="there is no file or folder"):
        datasets.load(str(path))
    path.write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(DatasetError, match="not a readable"):
        datasets.load(str(path))
    path.write_bytes(b"a text")
    with pytest.raises(DatasetError, match="not a readable .* it is a file of another kind"):
        datasets.load(str(path))
    with path.open("wb") as stream:
        np.save(stream, X)
    with pytest.raises(DatasetError, match="a single array"):
        datasets.load(str(path))
    with pytest.raises(DatasetError, match="keep their size"):
        datasets.load(str(path), image_size=32)
