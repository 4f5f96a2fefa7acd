"""Contact sheets, and training on pictures of one's own, on the command line."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import numbanet
from numbanet import datasets
from numbanet.data import AUGMENTATIONS
from numbanet.training.restore import load_model
from numbanet.training.run import Run

TRAIN = ["train", "lenet5", "--epochs", "1", "--batch-size", "4", "--backend", "numpy"]


def make_folder(root, sizes=((32, 32),)) -> None:
    random = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (root / name).mkdir(parents=True)
        for number in range(8):
            width, height = sizes[number % len(sizes)]
            values = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(values).save(root / name / f"{number}.png")


def rows_of(path) -> np.ndarray:
    """The pictures of a sheet of digits, a row a row: (rows, 84, width)."""
    sheet = np.asarray(Image.open(path))[..., 0]
    count = (len(sheet) - 4) // 104
    return np.stack([sheet[4 + 16 + i * 104 : 4 + 16 + i * 104 + 84, 4:] for i in range(count)])


def test_a_sheet_of_all_augmentations(command, tmp_path):
    result = command("datasets", "show", "digits", "--count", "6")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("digits.png: original, crop, resized_crop, flip")
    rows = rows_of("digits.png")
    assert len(rows) == 1 + len(AUGMENTATIONS)
    assert [bool((row != rows[0]).any()) for row in rows[1:]] == [name != "grayscale" for name in AUGMENTATIONS]
    np.testing.assert_array_equal(rows[3][:, :84], rows[0][:, :84][:, ::-1])


def test_a_sheet_of_some(command):
    result = command("datasets", "show", "digits", "--augment", "default,cutout(size=12)", "--out", "a.png")
    assert result.out == (
        "a.png: original, affine(degrees=(-10,10),interpolation=bilinear), cutout(size=12), all together\n"
    )
    assert len(rows_of("a.png")) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "digits", "--augment", "flop"], "no augmentation 'flop'; did you mean 'flip'"),
        (["show", "digit"], "did you mean 'digits'"),
        (["show", "./nowhere"], "there is no file or folder ./nowhere"),
        (["show", "copy"], "copy holds no pictures"),
        (["show", "digits", "--count", "0"], "0 is not in the range"),
        (["show", "digits", "--out", "no/folder/a.png"], "no/folder"),
    ],
)
def test_sheets_that_cannot_be_drawn(command, tmp_path, arguments, message):
    result = command("datasets", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert list(tmp_path.iterdir()) == []


def test_augmentations_are_listed(command):
    result = command("datasets", "augmentations")
    assert [line.split(":")[0] for line in result.out.splitlines() if line[0] != " "] == list(AUGMENTATIONS)
    assert "  padding=4: pixels added on every side" in result.out


def test_train_and_predict_on_a_folder(command, tmp_path):
    make_folder(tmp_path / "insects")
    broken = tmp_path / "insects" / "bee" / "broken.png"
    broken.write_bytes(b"no picture")
    result = command(*TRAIN, "--dataset", "insects/", "--augment", "flip,crop(padding=2)")
    assert result.code == 2
    assert str(broken.relative_to(tmp_path)) in result.err
    assert not (tmp_path / "runs").exists()
    result = command(*TRAIN, "--dataset", "insects/", "--augment", "flip,crop(padding=2)", "--skip-corrupt")
    assert (result.code, result.err) == (0, "")
    assert "note: 1 picture that cannot be read is left out, such as insects/bee/broken.png" in result.out
    again = command("predict", "runs/lenet5-insects", "insects/ant/0.png")
    assert again.code == 0
    assert "ant (" in again.out
    assert "note: 1 picture left out" in command("evaluate", "runs/lenet5-insects").out
    assert "--skip-corrupt" in command("evaluate", "runs/lenet5-insects", "--no-skip-corrupt").err
    assert json.loads((tmp_path / "runs/lenet5-insects/summary.json").read_text())["skipped"] == 1
    assert "--skip-corrupt" in command("datasets", "show", "insects/").err
    assert command("datasets", "show", "insects/", "--skip-corrupt", "--augment", "flip").code == 0


def test_classes_are_those_of_the_training(command, tmp_path):
    make_folder(tmp_path / "insects")
    assert command(*TRAIN, "--dataset", "insects", "--out", "run").code == 0
    one = tmp_path / "one.png"
    one.write_bytes((tmp_path / "insects" / "ant" / "0.png").read_bytes())
    before = command("predict", "run", "one.png", "--top", "2").out
    (tmp_path / "insects" / "ant").rename(tmp_path / "insects" / "wasp")
    assert command("predict", "run", "one.png", "--top", "2").out == before
    for arguments in (["evaluate", "run"], ["inspect", "run"], ["train", "--epochs", "2", "--out", "run", "--resume"]):
        result = command(*arguments)
        assert result.code == 2
        assert "insects has changed since the run began: its classes were (ant, bee) and are (bee, wasp)" in result.err
    shutil.rmtree(tmp_path / "insects")
    assert command("predict", "run", "one.png", "--top", "2").out == before
    assert command("export", "run").code == 0
    (tmp_path / "run" / "data.json").write_text("{}")
    result = command("predict", "run", "one.png")
    assert result.code == 2
    assert "cannot read run/data.json" in result.err


@pytest.mark.parametrize(("loss", "shown"), [("bce", r"\d \((\d+\.\d) %\)"), ("mse", r"\d \(score (-?\d\.\d{3})\)")])
def test_what_is_predicted_is_what_the_loss_means(command, loss, shown):
    images = datasets.load("digits").test.images
    Image.fromarray(images[0, 0]).save("one.png")
    assert command(*TRAIN, "--dataset", "digits", "--limit", "40", "--loss", loss, "--out", "run").code == 0
    found = [float(score) for score in re.findall(shown, command("predict", "run", "one.png", "--top", "10").out)]
    assert len(found) == 10
    with numbanet.no_grad():
        model, _ = load_model(Run.open("run"), "last")
        outputs = model(datasets.load("digits").test[0][0].unsqueeze(0)).numpy()[0]
    expected = outputs if loss == "mse" else 100 / (1 + np.exp(-outputs))
    np.testing.assert_allclose(sorted(found), np.sort(expected), atol=0.06 if loss == "bce" else 6e-4)


def test_train_on_an_npz(command, tmp_path):
    random = np.random.default_rng(0)
    np.savez("mine.npz", x_train=random.integers(0, 256, (20, 28, 28), dtype=np.uint8), y_train=np.arange(20) % 4)
    assert command(*TRAIN, "--dataset", "mine.npz").code == 0
    assert (tmp_path / "runs" / "lenet5-mine" / "summary.json").exists()
    result = command(*TRAIN, "--dataset", "mine.npz", "--image-size", "32")
    assert result.code == 2
    assert "image_size is for folders" in result.err


def test_a_folder_of_many_sizes(command, tmp_path):
    make_folder(tmp_path / "photos", sizes=((40, 30), (32, 32)))
    result = command(*TRAIN, "--dataset", "photos")
    assert result.code == 2
    assert "give --image-size N" in result.err
    assert command(*TRAIN, "--dataset", "photos", "--image-size", "32").code == 0
    assert command("predict", "runs/lenet5-photos", "photos/ant/0.png").code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--augment", "crop(padding=x)"], "crop: padding must be a whole number from 0 to 10000, not 'x'"),
        (["--augment", "blur(kernel_size=99)"], "kernel_size=99 needs pictures of 50 pixels or more"),
        (["--image-size", "64"], "image_size is for folders of pictures; those of digits keep their size"),
    ],
)
def test_wrong_settings(command, tmp_path, options, message):
    result = command(*TRAIN, "--dataset", "digits", *options)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert list(tmp_path.iterdir()) == []
