"""Folders of pictures by class: what is found, in which size, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from numbanet import datasets
from numbanet.data import DataLoader, PictureError, PictureFiles, read_pictures
from numbanet.datasets import DatasetError, picture_folder

RANDOM = np.random.default_rng(0)


def save(path, size=(12, 10), mode="RGB", **options) -> None:
    """A picture of noise (width, height) in this mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = RANDOM.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(values).convert(mode).save(path, **options)


def make(root, names=("cat", "dog"), count=5, **options):
    for name in names:
        for number in range(count):
            save(root / name / f"{number}.png", **options)
    return root


def test_classes_pictures_and_a_fifth_for_testing(tmp_path):
    make(tmp_path, ("cat", "ant", "dog"))
    (tmp_path / ".cache").mkdir()
    (tmp_path / "dog" / "notes.txt").write_text("no picture")
    splits = datasets.load(str(tmp_path))
    assert splits.info.classes == ("ant", "cat", "dog")
    assert splits.info.shape == (3, 10, 12)
    assert (len(splits.train), len(splits.test), splits.skipped) == (12, 3, ())
    again = datasets.load(str(tmp_path))
    np.testing.assert_array_equal(splits.train.images, again.train.images)
    of_files = {
        (read_pictures(path, (3, 10, 12))[0].tobytes(), label)
        for label, name in enumerate(("ant", "cat", "dog"))
        for path in (tmp_path / name).glob("*.png")
    }
    both = [(splits.train, i) for i in range(12)] + [(splits.test, i) for i in range(3)]
    assert {(part.images[i].tobytes(), int(part.labels[i])) for part, i in both} == of_files


@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_folders_for_training_and_testing(tmp_path, test):
    make(tmp_path / "train", count=3)
    make(tmp_path / test, count=2)
    splits = datasets.load(str(tmp_path))
    assert (len(splits.train), len(splits.test)) == (6, 4)
    assert splits.train.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_all_kinds_of_pictures(tmp_path):
    make(tmp_path, ("a", "b"), 3)
    for name, mode in (("palette.gif", "P"), ("print.jpg", "CMYK"), ("grey.png", "L"), ("alpha.png", "LA")):
        save(tmp_path / "a" / name, mode=mode)
    values = RANDOM.integers(0, 65536, (10, 12)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "b" / "deep.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    save(tmp_path / "b" / "turned.jpg", size=(10, 12), exif=turned)
    splits = datasets.load(str(tmp_path))
    assert splits.info.shape == (3, 10, 12)
    assert len(splits.train) + len(splits.test) == 12


def test_grey_pictures_have_one_channel(tmp_path):
    make(tmp_path, mode="L")
    assert datasets.load(str(tmp_path)).info.shape == (1, 10, 12)


def test_pictures_of_many_sizes_need_one(tmp_path):
    make(tmp_path)
    save(tmp_path / "dog" / "large.jpg", size=(40, 30))
    with pytest.raises(DatasetError, match=r"differ in size \(.*12x10, large.jpg 40x30\): give --image-size N"):
        datasets.load(str(tmp_path))
    splits = datasets.load(str(tmp_path), image_size=16)
    assert splits.train.shape == datasets.dataset_info(str(tmp_path), 16).shape == (3, 16, 16)


@pytest.mark.parametrize("damage", ["cut", "no picture", "empty"])
def test_a_corrupt_picture_is_named_or_skipped(tmp_path, damage):
    make(tmp_path)
    path = tmp_path / "cat" / "3.png"
    content = {"cut": path.read_bytes()[:150], "no picture": b"hello", "empty": b""}[damage]
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="leave out all such pictures with --skip-corrupt") as caught:
        datasets.load(str(tmp_path))
    assert str(path) in str(caught.value)
    splits = datasets.load(str(tmp_path), skip_corrupt=True)
    assert splits.skipped == (path,)
    assert len(splits.train) + len(splits.test) == 9


def test_wrong_folders(tmp_path):
    with pytest.raises(DatasetError, match="there is no file or folder"):
        datasets.load(str(tmp_path / "gone"))
    with pytest.raises(DatasetError, match="holds 0 folders: expected a folder of pictures for each class"):
        datasets.load(str(tmp_path))
    make(tmp_path)
    (tmp_path / "emu").mkdir()
    with pytest.raises(DatasetError, match="the class emu is empty"):
        datasets.load(str(tmp_path))
    (tmp_path / "emu" / "a.png").write_bytes(b"")
    with pytest.raises(DatasetError, match="no picture to train on is left of the class emu"):
        datasets.load(str(tmp_path), skip_corrupt=True)


def test_different_classes_for_testing(tmp_path):
    make(tmp_path / "train")
    make(tmp_path / "test", ("cat", "cow"))
    with pytest.raises(DatasetError, match="do not have the same classes: cow is in one of them"):
        datasets.load(str(tmp_path))


def test_what_does_not_fit_into_memory_is_read_when_it_is_asked_for(tmp_path, monkeypatch):
    make(tmp_path)
    near = datasets.load(str(tmp_path))
    monkeypatch.setattr(picture_folder, "IN_MEMORY_BYTES", 100)
    far = datasets.load(str(tmp_path))
    assert isinstance(far.train, PictureFiles)
    for i in range(len(near.train)):
        np.testing.assert_array_equal(near.train[i][0].numpy(), far.train[i][0].numpy())
        assert near.train[i][1] == far.train[i][1]
    loaders = [DataLoader(part.as_bytes(), 3, prefetch=2) for part in (near.train, far.train)]
    for (x, labels), (y, others) in zip(*loaders, strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())
        assert labels.tolist() == others.tolist()
    path = far.train.files.paths[0]
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(PictureError, match=str(path)):
        far.train[0]
    skipped = datasets.load(str(tmp_path), skip_corrupt=True)
    assert skipped.skipped == (path,)
    with pytest.raises(ValueError, match="there are 1 pictures, but 2 labels"):
        PictureFiles([path], [0, 1], (3, 4, 4), near.info.mean, near.info.std, near.info.classes)


@pytest.mark.parametrize("content", [b"no picture", None])
def test_no_picture_is_left_for_testing(tmp_path, content):
    make(tmp_path / "train")
    make(tmp_path / "test", count=2)
    for path in (tmp_path / "test").rglob("*.png"):
        path.write_bytes(content or path.read_bytes()[:150])
    with pytest.raises(DatasetError, match="no picture to test on is left"):
        datasets.load(str(tmp_path), skip_corrupt=True)


def test_no_picture_is_left_at_all(tmp_path):
    for path in make(tmp_path).rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="no picture to train on is left of the class cat"):
        datasets.load(str(tmp_path), skip_corrupt=True)


def test_headers_alone_are_read_where_no_size_is_asked_for(tmp_path, monkeypatch):
    make(tmp_path, size=(12, 10))
    loaded = []
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: loaded.append(self.filename))
    assert datasets.dataset_info(str(tmp_path), 16).shape == (3, 16, 16)
    assert loaded == []
