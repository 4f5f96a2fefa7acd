"""Pictures from files, brought to the size and the looks of the pictures that a model was trained on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from numbanet.data.errors import PictureError

if TYPE_CHECKING:
    from PIL.Image import Image

STYLES = ("photo", "figure", "digit")
_INK_BOX = 20 / 28  # MNIST's digits fill a box of 20 × 20 in the middle of 28 × 28 (LeCun 1998)
_INK_LEVEL = 0.2  # of the contrast between background and the brightest point: fainter is no ink
_PLAIN_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
_BLANK = 16  # a picture whose brightness varies by less shows nothing


def read_pictures(path: str | Path, shape: tuple[int, int, int], style: str = "photo") -> np.ndarray:
    """Read a picture (PNG, JPEG, whatever Pillow knows) or an array of pictures (.npy) for a model.

    Any size, greyscale, colour, palette, transparent and 16-bit pictures are taken, turned as their EXIF data say;
    they become ``shape`` = (channels, height, width), channels being 1 (grey) or 3 (RGB), in one of these styles:

    ``photo``: scaled, keeping its proportions, until it covers the frame, and cut out in the middle. Transparent
        parts are white.
    ``figure``: light things on dark, as in Fashion-MNIST. A picture whose border is bright (median above 127) is
        inverted; it is scaled, keeping its proportions, to fit into the frame and padded with the border's brightness.
    ``digit``: as ``figure``, but for a picture of another size than the frame the drawing is found, scaled so that it
        fits into a box of 20/28 of the frame, put with its centre of mass into the middle, and its brightest point
        made white, as MNIST's digits were prepared.

    A .npy file holds one picture (H, W), (H, W, 3 or 4) or (channels, H, W), or many: (N, H, W), (N, channels, H, W)
    or (N, H, W, channels); bytes, other numbers from 0 to 255, or floats from 0 to 1. Arrays whose pictures have the
    model's own size are taken as they are, never inverted.

    Returns:
        uint8 (N, channels, height, width), N being 1 but for arrays that hold more.

    Raises:
        PictureError: the file is missing, cannot be read or does not hold pictures; the message names it.
    """
    if style not in STYLES:
        raise ValueError(f"style must be one of {', '.join(STYLES)}, got {style!r}")
    if shape[0] not in (1, 3):
        raise PictureError(f"pictures from files have 1 or 3 channels, but the model takes {shape[0]}")
    path = Path(path)
    if _is_npy(path):
        pictures = _read_npy(path, shape)
        if pictures.shape[1:] == tuple(shape):
            return pictures
        images = [_as_image(picture) for picture in pictures]
    else:
        images = [_open(path)]
    return np.stack([_prepare(image, shape, style) for image in images])


def _is_npy(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(6) == b"\x93NUMPY"
    except FileNotFoundError:
        raise PictureError(f"there is no file {path}") from None
    except OSError as error:
        raise PictureError(f"cannot read {path}: {error.strerror or error}") from None


# --- arrays ---------------------------------------------------------------------------------------------------------
def _read_npy(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """The pictures of a .npy file as uint8 (N, channels, height, width) of their own size."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PictureError(f"{path} is not a readable .npy file: {error}") from None
    if values.size == 0:
        raise PictureError(f"{path} holds no pictures: its shape is {values.shape}")
    return _as_bytes(_as_nchw(values, shape, path), path)


def _as_nchw(values: np.ndarray, shape: tuple[int, int, int], path: Path) -> np.ndarray:
    channels = (1, 3, 4)
    if values.ndim == 2:
        return values[None, None]
    if values.ndim == 3:
        if values.shape == tuple(shape) or (shape[0] == 3 and values.shape[0] == 3):
            return values[None]
        if values.shape[-1] in channels:
            return values.transpose(2, 0, 1)[None]
        return values[:, None]
    if values.ndim == 4:
        if values.shape[1:] != tuple(shape) and values.shape[-1] in channels:
            values = values.transpose(0, 3, 1, 2)
        if values.shape[1] in channels:
            return values
    raise PictureError(
        f"{path} has the shape {values.shape}: expected a picture (H, W), (H, W, 3) or {tuple(shape)}, "
        f"or many (N, H, W), (N, channels, H, W) or (N, H, W, channels)"
    )


def _as_bytes(values: np.ndarray, path: Path) -> np.ndarray:
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255
    if not np.issubdtype(values.dtype, np.integer) and not np.issubdtype(values.dtype, np.floating):
        raise PictureError(f"{path} holds {values.dtype}: expected bytes or numbers")
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 255):  # NaN lands here, too
        raise PictureError(
            f"{path} holds values from {low} to {high}: expected 0 to 255, or 0 to 1 in floats (not normalised)"
        )
    if np.issubdtype(values.dtype, np.floating) and high <= 1:
        values = values * 255
    return np.rint(values).astype(np.uint8)


def _as_image(picture: np.ndarray) -> Image:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)))


# --- picture files --------------------------------------------------------------------------------------------------
def _open(path: Path) -> Image:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            image.load()
            image = _eight_bit(ImageOps.exif_transpose(image))
            return image if image.mode in _PLAIN_MODES else image.convert("RGB")
    except Image.DecompressionBombError:
        raise PictureError(f"{path} is too large to be read safely: scale it down first") from None
    except Image.UnidentifiedImageError:
        raise PictureError(f"{path} is not a picture that can be read (PNG, JPEG, … or .npy)") from None
    except Exception as error:  # Pillow's decoders raise nearly anything for a broken file
        raise PictureError(f"cannot read the picture {path}: {error}") from None


def _eight_bit(image: Image) -> Image:
    """Pictures of 16 and 32 bits a point as greyscale of 8; others as they are."""
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image).astype(np.float64)
    if image.mode == "F" and values.max() <= 1:
        values = values * 255
    elif image.mode.startswith("I;16") or values.max() > 255:
        values = values / 257  # 65535 is white
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


# --- looks ----------------------------------------------------------------------------------------------------------
def _prepare(image: Image, shape: tuple[int, int, int], style: str) -> np.ndarray:
    """A picture of any size as uint8 ``shape``."""
    from PIL import Image, ImageOps

    channels, height, width = shape
    image = _without_alpha(image, style).convert("L" if channels == 1 else "RGB")
    if style == "photo":
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    else:
        background = _border(image)
        if background > 127:
            image, background = ImageOps.invert(image), 255 - background
        if image.size != (width, height):
            grey = np.asarray(image.convert("L"))
            ink = _ink(grey, background) if style == "digit" else None
            image = _fit(image, (width, height), background) if ink is None else _centre(image, ink, (width, height))
    values = np.asarray(image)
    return np.ascontiguousarray(values[None] if channels == 1 else values.transpose(2, 0, 1))


def _without_alpha(image: Image, style: str) -> Image:
    """Transparent parts filled: white in photos, behind a drawing with what it stands out from."""
    from PIL import Image

    if "A" not in image.getbands() and "a" not in image.getbands() and "transparency" not in image.info:
        return image
    image = image.convert("RGBA")
    level = 255
    if style != "photo":
        values = np.asarray(image).astype(np.float64)
        alpha = values[..., 3]
        brightness = (values[..., :3].mean(axis=-1) * alpha).sum() / max(alpha.sum(), 1.0)
        level = 0 if brightness > 127 else 255
    backing = Image.new("RGBA", image.size, (level, level, level, 255))
    return Image.alpha_composite(backing, image).convert("RGB")


def _border(image: Image) -> int:
    """The median brightness along the four edges."""
    grey = np.asarray(image.convert("L"))
    return int(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))


def _ink(grey: np.ndarray, background: int) -> tuple[int, int, int, int] | None:
    """The box (left, top, right, bottom) around what is drawn; None if nothing is."""
    strength = grey.astype(np.int64) - background
    if strength.max() < _BLANK:
        return None
    rows, columns = np.nonzero(strength > _INK_LEVEL * strength.max())
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _fit(image: Image, frame: tuple[int, int], background: int) -> Image:
    from PIL import Image

    small = _scaled(image, frame)
    colour = background if image.mode == "L" else (background,) * 3
    canvas = Image.new(image.mode, frame, colour)
    canvas.paste(small, ((frame[0] - small.width) // 2, (frame[1] - small.height) // 2))
    return canvas


def _centre(image: Image, ink: tuple[int, int, int, int], frame: tuple[int, int]) -> Image:
    """The drawing inside ``ink``, at MNIST's size, with its centre of mass in the middle of the frame."""
    from PIL import Image

    background = _border(image)
    small = _scaled(image.crop(ink), tuple(max(1, round(side * _INK_BOX)) for side in frame))
    values = np.asarray(small).astype(np.float64) - background
    values = np.clip(values * (255 / max(values.max(), 1.0)), 0, 255)
    mass = values if values.ndim == 2 else values.mean(axis=-1)
    total = max(mass.sum(), 1.0)
    corner = []
    for axis, (side, space) in enumerate(zip(small.size, frame, strict=True)):
        centre = (mass.sum(axis=axis) * (np.arange(side) + 0.5)).sum() / total
        # MNIST's centres of mass lie between the middle and one point right of and below it.
        corner.append(min(max(math.ceil(space / 2 - centre - 1e-6), 0), space - side))
    canvas = Image.new(image.mode, frame)
    canvas.paste(Image.fromarray(np.rint(values).astype(np.uint8)), tuple(corner))
    return canvas


def _scaled(image: Image, box: tuple[int, int]) -> Image:
    """The picture as large as fits into the box with its proportions kept."""
    from PIL import Image

    scale = min(box[0] / image.width, box[1] / image.height)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize(size, Image.Resampling.BILINEAR)
