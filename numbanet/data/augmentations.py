"""The augmentations by name: their parameters, and how the numbers of a picture become what a kernel is told.

Each follows torchvision's class of transforms.v2 where that has one. A picture's random numbers are uniform in [0, 1);
number 0 decides with probability p whether the picture is changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numbanet.data.augmentation import Augmentation, Batch, choice, number, pair, span, whole

_BORDERS = ("constant", "edge", "reflect", "symmetric")
_BETWEEN = ("nearest", "bilinear")
_FILL = "0 to 255, what lies outside the picture"
_MOST_PIXELS = 10_000  # of a padding or a square: far more than pictures have
_ATTEMPTS = 10  # of resized_crop, as in torchvision


def _between(numbers: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    """Uniform between the two ends of a span."""
    return span[0] + (span[1] - span[0]) * numbers


def _below(numbers: np.ndarray, count: np.ndarray | int) -> np.ndarray:
    """Whole numbers 0 … count − 1, each as likely as the others."""
    return np.minimum((numbers * count).astype(np.int64), np.asarray(count) - 1)


# --- moving whole pixels ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Flip(Augmentation):
    """Left and right exchanged (RandomHorizontalFlip)."""

    p: float = number(0.5, "probability", 0, 1)

    def append(self, batch: Batch) -> None:
        maps = _identity_maps(len(batch))
        chosen = batch.chosen(self.p)
        maps[chosen, 4], maps[chosen, 5] = -1, batch.width - 1
        batch.replace("move_pictures", maps, 0, "constant")


@dataclass(frozen=True)
class Crop(Augmentation):
    """A window of the picture's own size out of the padded picture (RandomCrop)."""

    padding: int = whole(4, "pixels added on every side", 0, _MOST_PIXELS)
    padding_mode: str = choice(_BORDERS, "what they hold")
    fill: int = whole(0, "0 to 255, for padding_mode=constant", 0, 255)
    p: float = number(1.0, "probability", 0, 1)

    def append(self, batch: Batch) -> None:
        maps = _identity_maps(len(batch))
        shift = _below(batch.numbers[:, 1:3], 2 * self.padding + 1) - self.padding
        maps[:, [2, 5]] = shift * batch.chosen(self.p)[:, None]
        batch.replace("move_pictures", maps, self.fill, self.padding_mode)

    def check(self, shape: tuple[int, int, int]) -> None:
        least = self.padding + 1 if self.padding_mode == "reflect" else 1
        self.need(min(shape[1:]) >= least, f"padding={self.padding} by reflection needs pictures of {least} pixels")


@dataclass(frozen=True)
class Rotate90(Augmentation):
    """Turned by 90, 180 or 270 degrees, each as likely; pictures that are not square by 180 only."""

    p: float = number(0.75, "probability", 0, 1)

    def append(self, batch: Batch) -> None:
        height, width = batch.height, batch.width
        turns = 1 + _below(batch.numbers[:, 1], 3) if height == width else np.full(len(batch), 2)
        by_turns = np.array(
            [
                [1, 0, 0, 0, 1, 0],
                [0, 1, 0, -1, 0, width - 1],
                [-1, 0, height - 1, 0, -1, width - 1],
                [0, -1, height - 1, 1, 0, 0],
            ]
        )
        batch.replace("move_pictures", by_turns[turns * batch.chosen(self.p)], 0, "constant")


@dataclass(frozen=True)
class Cutout(Augmentation):
    """A square around a random pixel blotted out, as far as it lies inside (DeVries & Taylor 2017)."""

    size: int = whole(8, "side of the square in pixels", 1, _MOST_PIXELS)
    fill: int = whole(0, "0 to 255, what it is filled with", 0, 255)
    p: float = number(1.0, "probability", 0, 1)

    def append(self, batch: Batch) -> None:
        middle = _below(batch.numbers[:, 1:3], np.array([batch.height, batch.width]))
        begin = np.where(batch.chosen(self.p)[:, None], middle - self.size // 2, -self.size)
        batch.change("erase_pictures", np.concatenate([begin, begin + self.size], 1), self.fill)


def _identity_maps(n: int) -> np.ndarray:
    return np.tile(np.array([1, 0, 0, 0, 1, 0]), (n, 1))


# --- pixels between pixels --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ResizedCrop(Augmentation):
    """A box of random size and proportions, enlarged to the picture's size (RandomResizedCrop)."""

    scale: tuple[float, float] = pair((0.08, 1.0), "share of the picture's area", 0, 1)
    ratio: tuple[float, float] = pair((3 / 4, 4 / 3), "width / height", 0.01, 100)
    p: float = number(1.0, "probability", 0, 1)

    def append(self, batch: Batch) -> None:
        size = np.array([batch.height, batch.width])
        area = _between(batch.numbers[:, 1 : 1 + _ATTEMPTS], self.scale) * size.prod()
        logarithms = _between(batch.numbers[:, 1 + _ATTEMPTS : 1 + 2 * _ATTEMPTS], np.log(self.ratio))
        ratio = np.exp(logarithms)
        sides = np.rint(np.sqrt(np.stack([area / ratio, area * ratio], 2))).astype(np.int64)
        fits = ((sides > 0) & (sides <= size)).all(2)
        sides = sides[np.arange(len(batch)), fits.argmax(1)]
        corner = _below(batch.numbers[:, 21:23], np.maximum(size - sides + 1, 1))
        fallback = self._largest(*size)
        sides = np.where(fits.any(1)[:, None], sides, fallback)
        corner = np.where(fits.any(1)[:, None], corner, (size - fallback) // 2)
        chosen = batch.chosen(self.p)[:, None]
        boxes = np.concatenate([corner * chosen, np.where(chosen, sides, size)], 1)
        batch.replace("resize_pictures", boxes)

    def _largest(self, height: int, width: int) -> np.ndarray:
        """Height and width of the largest box in the middle whose proportions are allowed."""
        if width / height < self.ratio[0]:
            return np.array([max(round(width / self.ratio[0]), 1), width])
        if width / height > self.ratio[1]:
            return np.array([height, max(round(height * self.ratio[1]), 1)])
        return np.array([height, width])


@dataclass(frozen=True)
class Affine(Augmentation):
    """Rotated, shifted, scaled and sheared around the middle (RandomAffine)."""

    degrees: tuple[float, float] = span(15, "rotation; a number d is from -d to d", -360, 360)
    translate: tuple[float, float] = pair((0.1, 0.1), "largest shift to the sides and up or down, as a share", 0, 1)
    scale: tuple[float, float] = pair((0.9, 1.1), "factor on the size", 0.01, 100)
    shear: tuple[float, float] = span(0, "degrees; a number d is from -d to d", -89, 89)
    interpolation: str = choice(_BETWEEN, "how values between pixels are found")
    fill: int = whole(0, _FILL, 0, 255)
    p: float = number(1.0, "probability", 0, 1)

    def append(self, batch: Batch) -> None:
        u = batch.numbers
        most = np.multiply(self.translate, (batch.width, batch.height))
        shift = np.rint((2 * u[:, 2:4] - 1) * most)
        matrices = inverse_matrices(
            _between(u[:, 1], self.degrees), shift, _between(u[:, 4], self.scale), _between(u[:, 5], self.shear)
        )
        _warp(batch, matrices, self)


@dataclass(frozen=True)
class Rotate(Augmentation):
    """Rotated around the middle (RandomRotation; positive degrees turn to the left)."""

    degrees: tuple[float, float] = span(15, "a number d is from -d to d", -360, 360)
    interpolation: str = choice(_BETWEEN, "how values between pixels are found")
    fill: int = whole(0, _FILL, 0, 255)
    p: float = number(1.0, "probability", 0, 1)

    def append(self, batch: Batch) -> None:
        degrees = -_between(batch.numbers[:, 1], self.degrees)
        still = np.zeros(len(batch))
        _warp(batch, inverse_matrices(degrees, np.zeros((len(batch), 2)), still + 1, still), self)


def inverse_matrices(degrees: np.ndarray, shift: np.ndarray, scale: np.ndarray, shear: np.ndarray) -> np.ndarray:
    """Where the pixels of warped pictures come from: (n, 6) float64 for ``warp_pictures``.

    The warp is T·R(degrees)·S(scale)·H(shear): sheared along x, scaled, turned clockwise, then shifted, as torchvision
    has it; the rows are its inverse.
    """
    angle, tangent = np.radians(degrees), np.tan(np.radians(shear))
    cosine, sine = np.cos(angle), np.sin(angle)
    a, b, c, d = cosine, -(cosine * tangent + sine), sine, cosine - sine * tangent
    inverse = np.stack([d, -b, -c, a], 1) / scale[:, None]
    back_x = -(inverse[:, 0] * shift[:, 0] + inverse[:, 1] * shift[:, 1])
    back_y = -(inverse[:, 2] * shift[:, 0] + inverse[:, 3] * shift[:, 1])
    return np.stack([inverse[:, 0], inverse[:, 1], back_x, inverse[:, 2], inverse[:, 3], back_y], 1)


def _warp(batch: Batch, matrices: np.ndarray, step: Affine | Rotate) -> None:
    matrices[~batch.chosen(step.p)] = 1, 0, 0, 0, 1, 0
    batch.replace("warp_pictures", matrices.astype(np.float32), step.fill, step.interpolation == "bilinear")


# --- colours ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Grayscale(Augmentation):
    """Colours dropped: all channels become the brightness (RandomGrayscale)."""

    p: float = number(0.1, "probability", 0, 1)

    def append(self, batch: Batch) -> None:
        batch.change("grey_pictures", batch.chosen(self.p).astype(np.int64))


@dataclass(frozen=True)
class Jitter(Augmentation):
    """Brightness, contrast, saturation and hue changed, in random order (ColorJitter)."""

    brightness: tuple[float, float] = span(0.4, "factor; a number b is from 1 - b to 1 + b", 0, 100, around=1)
    contrast: tuple[float, float] = span(0.4, "factor; a number c is from 1 - c to 1 + c", 0, 100, around=1)
    saturation: tuple[float, float] = span(0.4, "factor; a number s is from 1 - s to 1 + s", 0, 100, around=1)
    hue: tuple[float, float] = span(0.1, "turns of the colour circle; a number h is from -h to h", -0.5, 0.5)
    p: float = number(1.0, "probability", 0, 1)

    def append(self, batch: Batch) -> None:
        spans = (self.brightness, self.contrast, self.saturation, self.hue)
        factors = np.stack([_between(batch.numbers[:, 1 + i], span) for i, span in enumerate(spans)], 1)
        orders = batch.numbers[:, 5:9].argsort(axis=1, kind="stable")
        idle = [i for i, span in enumerate(spans) if span == ((0, 0) if i == 3 else (1, 1))]
        orders[np.isin(orders, idle) | ~batch.chosen(self.p)[:, None]] = -1
        batch.change("jitter_pictures", factors, orders)

    def check(self, shape: tuple[int, int, int]) -> None:
        self.need(shape[0] in (1, 3), f"pictures have 1 or 3 channels, not {shape[0]}")


# --- neighbours and noise ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Blur(Augmentation):
    """Gaussian blur (GaussianBlur)."""

    kernel_size: int = whole(3, "pixels across, an odd number", 1, 99)
    sigma: tuple[float, float] = pair((0.1, 2.0), "width of the bell in pixels", 0.01, 100)
    p: float = number(1.0, "probability", 0, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need(self.kernel_size % 2 == 1, f"kernel_size must be odd, not {self.kernel_size}")

    def append(self, batch: Batch) -> None:
        sigma = _between(batch.numbers[:, 1], self.sigma)[:, None]
        sigma[~batch.chosen(self.p)] = 1e-3  # all weight on the middle, which the kernel leaves alone
        place = np.arange(self.kernel_size) - self.kernel_size // 2
        weights = np.exp(-0.5 * (place / sigma) ** 2)
        batch.replace("blur_pictures", (weights / weights.sum(1, keepdims=True)).astype(np.float32))

    def check(self, shape: tuple[int, int, int]) -> None:
        least = self.kernel_size // 2 + 1
        self.need(min(shape[1:]) >= least, f"kernel_size={self.kernel_size} needs pictures of {least} pixels or more")


@dataclass(frozen=True)
class Sobel(Augmentation):
    """Edges in the place of the picture: the size of Sobel's gradient in each channel (as scikit-image's sobel)."""

    p: float = number(1.0, "probability", 0, 1)

    def append(self, batch: Batch) -> None:
        batch.replace("sobel_pictures", batch.chosen(self.p).astype(np.int64))


@dataclass(frozen=True)
class Noise(Augmentation):
    """Gaussian noise added to every pixel (GaussianNoise)."""

    sigma: float = number(0.1, "standard deviation, 1 being white", 0, 10)
    mean: float = number(0.0, "mean, 1 being white", -1, 1)
    p: float = number(1.0, "probability", 0, 1)

    def append(self, batch: Batch) -> None:
        amounts = np.outer(batch.chosen(self.p), np.array([self.mean * 255, self.sigma * 255]))
        batch.noise(amounts.astype(np.float32))


AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "crop": Crop,
    "resized_crop": ResizedCrop,
    "flip": Flip,
    "grayscale": Grayscale,
    "jitter": Jitter,
    "rotate90": Rotate90,
    "rotate": Rotate,
    "cutout": Cutout,
    "noise": Noise,
    "blur": Blur,
    "sobel": Sobel,
    "affine": Affine,
}
