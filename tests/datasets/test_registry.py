"""Data sets by name."""

from __future__ import annotations

import numpy as np
import pytest

from numbanet import datasets
from numbanet.data import STYLES, DataError
from numbanet.datasets import DatasetError, UnknownDatasetError

PICTURES = [name for name in datasets.list_datasets() if isinstance(datasets.dataset_info(name), datasets.DatasetInfo)]


def test_names_and_patterns():
    names = datasets.list_datasets()
    assert names == sorted(names)
    assert {"adding", "cifar10", "digits", "fashion-mnist", "mnist", "tinyshakespeare"} <= set(names)
    assert datasets.list_datasets("*mnist") == ["fashion-mnist", "mnist"]
    assert datasets.list_datasets("nothing*") == []


@pytest.mark.parametrize("name", datasets.list_datasets())
def test_what_is_known_is_complete(name):
    info = datasets.dataset_info(name)
    assert info.name == name
    assert info.title
    assert info.source
    assert info.licence
    assert all(len(file.md5) == 32 and file.mirrors and file.nbytes for file in info.downloads)
    # What is downloaded can be read.
    names = tuple(file.name for file in info.downloads)
    assert names in info.layouts or not names
    assert info.download_bytes == sum(file.nbytes for file in info.downloads)


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_known_of_pictures_is_complete(name):
    info = datasets.dataset_info(name)
    assert len(set(info.classes)) == info.num_classes == (100 if name == "cifar100" else 10)
    assert len(info.mean) == len(info.std) == info.shape[0]
    assert info.style in STYLES
    assert bool(info.layouts) == bool(info.downloads)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("minst", "mnist"), ("MNIST", "mnist"), ("fashion_mnist", "fashion-mnist"), ("cifar-10", "cifar10")],
)
@pytest.mark.parametrize("use", [datasets.load, datasets.fetch, datasets.locate, datasets.dataset_info])
def test_a_wrong_name_is_corrected(use, wrong, meant):
    with pytest.raises(UnknownDatasetError, match=f"did you mean '{meant}'") as caught:
        use(wrong)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, DatasetError)
    assert isinstance(caught.value, DataError)


def test_a_name_like_no_other_gets_the_list():
    with pytest.raises(UnknownDatasetError, match=r"no data set 'qqq'; Known: .*cifar10, .*digits, .*mnist"):
        datasets.load("qqq")


def test_a_data_set_of_ones_own(monkeypatch):
    from numbanet.datasets import registry

    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    own = datasets.DatasetInfo("own", "t", "s", "l", ("a", "b"), (1, 2, 2), 3, 1, (0.5,), (0.5,), "figure")
    arrays = (np.zeros((3, 1, 2, 2), np.uint8), np.zeros(3, int), np.zeros((1, 1, 2, 2), np.uint8), np.zeros(1, int))
    datasets.register_dataset(own, lambda info, paths: datasets.Arrays(*arrays))
    assert "own" in datasets.list_datasets()
    assert datasets.load("own").info == own
