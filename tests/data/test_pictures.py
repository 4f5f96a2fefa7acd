"""Pictures from files: every kind that people have, brought to a model's size and looks."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from PIL import Image

from numbanet.data import PictureError, read_pictures

GREY, COLOUR = (1, 28, 28), (3, 32, 32)


def drawing(height, width, top, left, bottom, right, light=255, dark=0):
    """A light box on dark ground."""
    values = np.full((height, width), dark, np.uint8)
    values[top:bottom, left:right] = light
    return values


def box(picture):
    """Top, left, bottom and right of what is brighter than half."""
    rows, columns = np.nonzero(picture > 127)
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


@pytest.fixture
def save(tmp_path):
    def save(values, name="picture.png", mode=None, **options):
        image = values if isinstance(values, Image.Image) else Image.fromarray(values)
        (image.convert(mode) if mode else image).save(tmp_path / name, **options)
        return tmp_path / name

    return save


@pytest.fixture
def save_npy(tmp_path):
    def save_npy(values, name="pictures.npy"):
        np.save(tmp_path / name, values)
        return tmp_path / name

    return save_npy


# --- looks ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("style", ["photo", "figure", "digit"])
def test_a_picture_of_the_right_size_is_taken_as_it_is(save, style):
    values = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    values[[0, -1]], values[:, [0, -1]] = 0, 0
    found = read_pictures(save(values), GREY, style)
    assert (found.shape, found.dtype) == ((1, 1, 28, 28), np.uint8)
    assert np.array_equal(found[0, 0], values)


@pytest.mark.parametrize("style", ["figure", "digit"])
def test_dark_on_light_is_inverted(save, style):
    values = drawing(28, 28, 5, 9, 20, 15)
    assert np.array_equal(read_pictures(save(255 - values), GREY, style)[0, 0], values)


def test_photos_are_not_inverted(save):
    values = np.full((32, 32, 3), 250, np.uint8)
    assert np.array_equal(read_pictures(save(values), COLOUR)[0], values.transpose(2, 0, 1))


@pytest.mark.parametrize("inverted", [False, True])
def test_figures_keep_their_proportions(save, inverted):
    values = drawing(100, 200, 0, 0, 100, 200, light=90)
    values[10:90, 20:180] = 255
    if inverted:
        values = 255 - values
    found = read_pictures(save(values), GREY, "figure")[0, 0]
    assert found[:7].min() == found[:7].max() == 90  # padded with the border's brightness
    top, left, bottom, right = box(found)
    assert (right - left) / (bottom - top) == pytest.approx(2, rel=0.15)
    assert (top + bottom, left + right) == (28, 28)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(("height", "width"), [(280, 280), (400, 150), (60, 900)])
def test_digits_are_found_scaled_and_centred(save, height, width, inverted):
    values = drawing(height, width, 5, width - 60, 45, width - 40, light=200, dark=10)
    if inverted:
        values = 255 - values
    found = read_pictures(save(values), GREY, "digit")[0, 0]
    top, left, bottom, right = box(found)
    assert (bottom - top, right - left) == (20, 10)
    assert (top, left) == (4, 9)
    assert (found.max(), found.min()) == (255, 0)


def test_digits_are_centred_by_mass(save):
    values = drawing(200, 200, 20, 20, 180, 60)
    values[60:180, 60:180] = 60  # a faint part weighs little
    found = read_pictures(save(values), GREY, "digit")[0, 0].astype(float)
    rows, columns = ((found.sum(axis=axis) * (np.arange(28) + 0.5)).sum() / found.sum() for axis in (1, 0))
    # Where MNIST's lie: between the middle and one point right of and below it.
    assert 13.95 <= rows <= 15.05
    assert 13.95 <= columns <= 15.05


def test_enlarged_digits_come_back_nearly_as_they_were(save):
    from numbanet.datasets import load

    correlations = []
    for original in load("digits").test.images[:100, 0]:
        large = Image.fromarray(original).resize((280, 280), Image.Resampling.BICUBIC)
        found = read_pictures(save(large), GREY, "digit")[0, 0]
        correlations.append(np.corrcoef(found.ravel(), original.ravel())[0, 1])
    # 0.96; centred by half a point otherwise, it is 0.83.
    assert np.mean(correlations) > 0.93


def test_an_empty_sheet_stays_empty(save):
    assert not read_pictures(save(np.full((50, 80), 255, np.uint8)), GREY, "digit").any()


def test_photos_are_cut_out_in_the_middle(save):
    values = np.zeros((64, 192, 3), np.uint8)
    values[:, 64:128, 1] = 200
    found = read_pictures(save(values), COLOUR)[0]
    assert found.shape == COLOUR
    assert (found[1, 8:-8, 2:-2] == 200).all()
    assert not found[[0, 2]].any()


@pytest.mark.parametrize("style", ["photo", "figure", "digit"])
@pytest.mark.parametrize("shape", [GREY, COLOUR, (1, 5, 40)])
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (2000, 2), (7, 9)])
def test_any_size_becomes_the_models(save, style, shape, size):
    values = np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8)
    assert read_pictures(save(values), shape, style).shape == (1, *shape)


# --- kinds of files -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["p.png", "p.jpg", "p.bmp", "p.gif", "p.tif", "p.webp", "without_a_suffix"])
def test_formats(save, name):
    values = drawing(28, 28, 8, 8, 24, 16)
    options = {"format": "png"} if "." not in name else {"quality": 95} if name.endswith(("jpg", "webp")) else {}
    found = read_pictures(save(values, name, **options), GREY)[0, 0].astype(int)
    assert np.abs(found - values).max() <= 24  # JPEG's own loss


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA", "I;16", "I"])
@pytest.mark.parametrize("shape", [GREY, (3, 28, 28)])
def test_modes(save, mode, shape):
    values = drawing(28, 28, 8, 8, 24, 16)
    if mode.startswith("I"):
        wide = values.astype(np.uint16 if mode == "I;16" else np.int32) * 257
        path = save(Image.fromarray(wide), "p.png" if mode == "I;16" else "p.tif")
    else:
        path = save(values, mode=mode)
    found = read_pictures(path, shape)[0]
    assert np.array_equal(found, np.broadcast_to(values, shape))


@pytest.mark.parametrize("highest", [1.0, 255.0])
def test_floating_point_tiff(save, highest):
    values = drawing(28, 28, 8, 8, 24, 16)
    path = save(Image.fromarray((values / 255 * highest).astype(np.float32)), "p.tif")
    assert np.array_equal(read_pictures(path, GREY)[0, 0], values)


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_lab_tiff_which_pillow_turns_into_nothing_but_rgb(save, shape):
    assert read_pictures(save(Image.new("LAB", (28, 28)), "p.tif"), shape).shape == (1, *shape)


def test_cmyk_jpeg(save):
    path = save(np.full((32, 32, 3), (250, 20, 20), np.uint8), "p.jpg", mode="CMYK", quality=95)
    red, green, blue = read_pictures(path, COLOUR)[0].mean(axis=(1, 2))
    assert red > 200
    assert green < 60
    assert blue < 60


def test_colours_become_the_usual_grey(save):
    values = np.zeros((28, 28, 3), np.uint8)
    values[10:20, 10:20] = (200, 100, 50)
    found = read_pictures(save(values), GREY, "digit")[0, 0]
    assert abs(int(found[15, 15]) - (0.299 * 200 + 0.587 * 100 + 0.114 * 50)) <= 1


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("palette", [False, True])
def test_drawings_on_transparent_ground(save, ink, palette):
    mask = drawing(28, 28, 5, 9, 20, 15)
    image = Image.fromarray(np.dstack([np.full_like(mask, ink)] * 3 + [mask]))
    if palette:
        image = image.quantize(2)
    assert np.array_equal(read_pictures(save(image), GREY, "digit")[0, 0], mask)


def test_transparent_parts_of_photos_are_white(save):
    found = read_pictures(save(Image.new("RGBA", (40, 40), (255, 0, 0, 0))), COLOUR)
    assert (found == 255).all()


def test_pictures_are_turned_as_the_camera_says(save):
    values = drawing(28, 28, 2, 2, 8, 20)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    assert np.array_equal(read_pictures(save(values, exif=exif), GREY)[0, 0], np.rot90(values, -1))


# --- arrays ---------------------------------------------------------------------------------------------------------
NOISE = np.random.default_rng(2).integers(0, 256, (6, 3, 28, 28), dtype=np.uint8)


@pytest.mark.parametrize(
    ("values", "shape", "expected"),
    [
        (NOISE[0, 0], GREY, NOISE[:1, :1]),
        (NOISE[:, 0], GREY, NOISE[:, :1]),
        (NOISE[:3, 0], GREY, NOISE[:3, :1]),
        (NOISE[0, :1], GREY, NOISE[:1, :1]),
        (NOISE[:, :1], GREY, NOISE[:, :1]),
        (NOISE[0, 0, :, :, None], GREY, NOISE[:1, :1]),
        (NOISE[0], (3, 28, 28), NOISE[:1]),
        (NOISE, (3, 28, 28), NOISE),
        (NOISE[0].transpose(1, 2, 0), (3, 28, 28), NOISE[:1]),
        (NOISE.transpose(0, 2, 3, 1), (3, 28, 28), NOISE),
        (np.asfortranarray(NOISE), (3, 28, 28), NOISE),
        (NOISE[:, :1].astype(np.int64), GREY, NOISE[:, :1]),
        (NOISE[:, :1].astype(np.float32), GREY, NOISE[:, :1]),
        (NOISE[:, :1] / 255, GREY, NOISE[:, :1]),
        (NOISE[:, :1] > 99, GREY, np.where(NOISE[:, :1] > 99, 255, 0)),
    ],
)
def test_arrays_of_the_models_size_are_taken_as_they_are(save_npy, values, shape, expected):
    found = read_pictures(save_npy(values), shape, "digit")
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_arrays_of_another_size_are_treated_like_pictures(save, save_npy):
    values = 255 - drawing(300, 200, 30, 40, 200, 90)
    from_png, from_npy = read_pictures(save(values), GREY, "digit"), read_pictures(save_npy(values), GREY, "digit")
    assert np.array_equal(from_png, from_npy)
    assert read_pictures(save_npy(np.stack([values] * 4)), GREY, "digit").shape == (4, 1, 28, 28)


def test_a_colour_array_becomes_grey(save_npy):
    colour = np.repeat(drawing(28, 28, 5, 5, 20, 20)[..., None], 3, axis=2)
    assert np.array_equal(read_pictures(save_npy(colour), GREY)[0, 0], colour[..., 0])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros(5), r"has the shape \(5,\): expected a picture \(H, W\)"),
        (np.zeros((2, 5, 6, 7)), r"has the shape \(2, 5, 6, 7\)"),
        (np.zeros((0, 28, 28)), "holds no pictures"),
        (np.full((28, 28), -0.42), "holds values from -0.42 to -0.42: expected 0 to 255"),
        (np.full((28, 28), 256), "from 256 to 256"),
        (np.full((28, 28), np.nan), "from nan to nan"),
        (np.full((28, 28), "x"), "holds <U1"),
    ],
)
def test_arrays_that_are_no_pictures(save_npy, values, words):
    with pytest.raises(PictureError, match=words) as caught:
        read_pictures(save_npy(values), GREY)
    assert "pictures.npy" in str(caught.value)


# --- what cannot be read --------------------------------------------------------------------------------------------
def unreadable_missing(path):
    return r"there is no file"


def unreadable_folder(path):
    path.mkdir()
    return "cannot read"


def unreadable_empty(path):
    path.touch()
    return "is not a picture that can be read"


def unreadable_text(path):
    path.write_text("hello")
    return "is not a picture that can be read"


def unreadable_truncated(path):
    Image.fromarray(NOISE[0].transpose(1, 2, 0)).save(path, format="jpeg")
    path.write_bytes(path.read_bytes()[:-400])
    return "cannot read the picture"


def unreadable_damaged_png(path):
    Image.fromarray(NOISE[0].transpose(1, 2, 0)).save(path, format="png")
    content = bytearray(path.read_bytes())
    content[100:400] = bytes(300)
    path.write_bytes(content)
    return "cannot read the picture"


def unreadable_truncated_npy(path):
    with path.open("wb") as file:
        np.save(file, NOISE)
    path.write_bytes(path.read_bytes()[:-1])
    return "is not a readable .npy file"


def unreadable_pickle(path):
    with path.open("wb") as file:
        np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    return "is not a readable .npy file"


def unreadable_npz(path):
    with path.open("wb") as file:
        np.savez(file, x=NOISE)
    return "is not a picture that can be read"


def unreadable_bomb(path):
    # A PNG whose header promises 100,000 × 100,000 points.
    header = b"IHDR" + (100_000).to_bytes(4) * 2 + bytes([8, 0, 0, 0, 0])
    chunks = [len(part[4:]).to_bytes(4) + part + zlib.crc32(part).to_bytes(4) for part in (header, b"IDAT", b"IEND")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return "too large to be read safely"


@pytest.mark.parametrize("make", [value for name, value in sorted(globals().items()) if name.startswith("unreadable_")])
def test_what_cannot_be_read_is_named(tmp_path, make):
    path = tmp_path / "portrait.png"
    words = make(path)
    with pytest.raises(PictureError, match=words) as caught:
        read_pictures(path, GREY)
    assert str(path) in str(caught.value)


def test_arguments_are_checked(save):
    path = save(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="photo, figure, digit"):
        read_pictures(path, GREY, "sketch")
    with pytest.raises(PictureError, match="the model takes 2"):
        read_pictures(path, (2, 28, 28))
