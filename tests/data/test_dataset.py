"""Data sets, subsets and splits."""

from __future__ import annotations

import numpy as np
import pytest

from numbanet.creation import from_numpy
from numbanet.data import DataLoader, Dataset, Normalise, PictureDataset, Subset, TensorDataset, random_split
from numbanet.data.normalise import aligned_empty
from numbanet.tensor import Tensor


def test_a_tensor_dataset_hands_out_rows():
    dataset = TensorDataset(np.arange(6.0).reshape(3, 2), np.array([7, 8, 9]))
    assert len(dataset) == 3
    x, y = dataset[1]
    assert (x.tolist(), int(y)) == ([2.0, 3.0], 8)
    x, y = dataset.get_batch(np.array([2, 0]))
    assert (x.tolist(), y.tolist()) == ([[4, 5], [0, 1]], [9, 7])


def test_a_tensor_dataset_of_tensors():
    values = from_numpy(np.arange(6, dtype=np.float32).reshape(3, 2)).requires_grad_()
    dataset = TensorDataset(values, from_numpy(np.array([7, 8, 9])))
    x, y = dataset[1]
    assert isinstance(x, Tensor)
    assert (x.tolist(), y.item()) == ([2.0, 3.0], 8)
    x, y = next(iter(DataLoader(dataset, 2)))
    assert (x.tolist(), y.tolist()) == ([[0, 1], [2, 3]], [7, 8])
    assert not x.requires_grad


@pytest.mark.parametrize("tensors", [(), (np.float32(1),), (np.zeros(2), np.zeros(3))])
def test_a_tensor_dataset_needs_equal_lengths(tensors):
    with pytest.raises(ValueError, match=r"at least one tensor|same length"):
        TensorDataset(*tensors)


def test_the_base_class_says_what_to_write():
    with pytest.raises(NotImplementedError, match="__getitem__"):
        Dataset()[0]
    with pytest.raises(NotImplementedError, match="__len__"):
        len(Dataset())


@pytest.mark.parametrize("indices", [[-1], [4], [0, 9]])
def test_a_subset_stays_inside(indices):
    with pytest.raises(IndexError, match="numbers from 0 to 3"):
        Subset(range(4), indices)


def test_a_subset_of_a_plain_sequence():
    subset = Subset([10, 11, 12, 13], [3, 1])
    assert [subset[0], subset[1], len(subset), subset.in_memory] == [13, 11, 2, False]
    assert subset.get_batch(np.array([1, 0])).tolist() == [11, 13]


@pytest.mark.parametrize(
    ("lengths", "counts"),
    [([6, 4], [6, 4]), ([10, 0], [10, 0]), ([0.5, 0.5], [5, 5]), ([0.33, 0.33, 0.34], [4, 3, 3]), ([1.0], [10])],
)
def test_random_split_deals_out_everything_once(lengths, counts):
    parts = random_split(range(10), lengths, seed=3)
    assert [len(part) for part in parts] == counts
    assert sorted(part[i] for part in parts for i in range(len(part))) == list(range(10))


def test_random_split_depends_on_the_seed_alone():
    first, again, other = (random_split(range(100), [90, 10], seed)[1].indices.tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert random_split(range(10), [7, 3])[1].indices.tolist() == [2, 9, 1]


@pytest.mark.parametrize("lengths", [[3, 3], [0.5, 0.6], [-1, 11], [float("nan"), 0.5]])
def test_random_split_refuses_what_does_not_add_up(lengths):
    with pytest.raises(ValueError, match="split"):
        random_split(range(10), lengths)


# --- pictures -------------------------------------------------------------------------------------------------------
def test_normalise_is_its_formula():
    pictures = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8)
    mean, std = np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.3, 1.0])
    expected = (pictures / 255 - mean[:, None, None]) / std[:, None, None]
    found = Normalise(mean, std)(pictures)
    assert found.dtype == np.float32
    # Two roundings of terms no larger than (|x| + |mean|)/std.
    assert np.abs(found - expected).max() <= 3 * 2.0**-24 * (1 + 0.9) / 0.2


def test_normalise_gives_these_bits():
    values = Normalise([0.1307], [0.3081])(np.array([[[0, 1, 77, 128, 254, 255]]], np.uint8))
    assert values.view(np.uint32).ravel().tolist() == [
        3201905264,
        3201478175,
        1057901800,
        1067072888,
        1077134002,
        1077187388,
    ]


@pytest.mark.parametrize(
    ("mean", "std"), [([], []), ([0.5], [0.5, 0.5]), ([0.5], [0.0]), ([0.5], [-1.0]), ([float("nan")], [1.0])]
)
def test_normalise_refuses_impossible_numbers(mean, std):
    with pytest.raises(ValueError, match="mean"):
        Normalise(mean, std)


def test_normalise_refuses_other_pictures():
    with pytest.raises(TypeError, match="uint8"):
        Normalise([0.5], [0.5])(np.zeros((1, 1, 2, 2), np.float32))
    with pytest.raises(ValueError, match=r"\(…, 1, height, width\)"):
        Normalise([0.5], [0.5])(np.zeros((1, 3, 2, 2), np.uint8))


@pytest.mark.parametrize("shape", [(1,), (3, 5), (128, 1, 28, 28)])
def test_aligned_arrays_begin_at_64_bytes(shape):
    array = aligned_empty(shape)
    assert (array.shape, array.dtype, array.ctypes.data % 64) == (shape, np.float32, 0)
    assert array.flags.c_contiguous


def pictures(**changes):
    arguments = {
        "images": np.full((4, 1, 2, 2), 255, np.uint8),
        "labels": np.array([0, 1, 1, 0], np.uint8),
        "mean": [0.5],
        "std": [0.25],
        "classes": ["cat", "dog"],
    }
    return PictureDataset(**{**arguments, **changes})


def test_a_picture_dataset_hands_out_tensors_and_class_numbers():
    dataset = pictures()
    x, y = dataset[-3]
    assert isinstance(x, Tensor)
    assert (x.numpy().tolist(), y, type(y)) == ([[[2.0, 2.0], [2.0, 2.0]]], 1, int)
    assert (len(dataset), dataset.shape, dataset.classes) == (4, (1, 2, 2), ("cat", "dog"))
    assert (dataset.mean, dataset.std) == ((0.5,), (0.25,))
    with pytest.raises(IndexError):
        dataset[4]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"images": np.zeros((4, 1, 2, 2))}, TypeError, "uint8 pictures"),
        ({"labels": np.zeros(4)}, TypeError, "integer labels"),
        ({"images": np.zeros((4, 2, 2), np.uint8)}, ValueError, r"\(N, C, H, W\)"),
        ({"labels": np.zeros(3, int)}, ValueError, r"labels \(N,\)"),
        ({"images": np.zeros((4, 3, 2, 2), np.uint8)}, ValueError, "3 channels need as many means, got 1"),
        ({"labels": np.array([0, 1, 2, 0])}, ValueError, "label 2 of picture 2 lies outside the 2 classes"),
        ({"labels": np.array([0, -1, 1, 0])}, ValueError, "label -1 of picture 1"),
    ],
)
def test_a_picture_dataset_checks_its_arrays(changes, error, words):
    with pytest.raises(error, match=words):
        pictures(**changes)
