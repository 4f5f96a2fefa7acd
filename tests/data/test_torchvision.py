"""Every kernel of an augmentation against torchvision's result for the same parameters (make_torchvision.py)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from numbanet.data.augmentations import inverse_matrices
from numbanet.data.normalise import Normalise
from numbanet.kernels.array import Array
from numbanet.kernels.backend import load_backend

GOLDEN = np.load(Path(__file__).with_name("torchvision.npz"))
BACKENDS = ["numpy", *(["cpu"] if importlib.util.find_spec("numba") else [])]
HEIGHT, WIDTH = GOLDEN["picture"].shape[1:]


def maps(row: int, column: int, flip: bool = False) -> np.ndarray:
    return np.array([[1, 0, row, 0, -1 if flip else 1, column]])


def warp(angle: float, shift=(0, 0), scale: float = 1.0, shear: float = 0.0) -> np.ndarray:
    parts = (np.array([value], float) for value in (angle, shift, scale, shear))
    return inverse_matrices(*parts).astype(np.float32)


def weights(size: int, sigma: float) -> np.ndarray:
    bell = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    return (bell / bell.sum())[None].astype(np.float32)


def jitter(change: int, factor: float) -> tuple[np.ndarray, np.ndarray]:
    return np.full((1, 4), factor), np.array([[-1, change, -1, -1]])


CHANGES = ("brightness", "contrast", "saturation", "hue")


def call_of(name: str) -> tuple[str, tuple, bool]:
    """Kernel function, its arguments behind the pictures, and whether it works in place."""
    kind, *words = name.removeprefix("grey ").split()
    if kind == "flip":
        return "move_pictures", (maps(0, WIDTH - 1, True), 0, "constant"), False
    if kind == "crop":
        return "move_pictures", (maps(int(words[1]) - 5, int(words[2]) - 5), 7, words[0]), False
    if kind == "rotate":
        return "warp_pictures", (warp(-float(words[1])), 9, words[0] == "bilinear"), False
    if kind == "affine":
        return "warp_pictures", (warp(12.5, (2, -3), 0.87, 8.0), 9, words[0] == "bilinear"), False
    if kind == "resized_crop":
        return "resize_pictures", (np.array([list(map(int, words))]),), False
    if kind == "grayscale":
        return "grey_pictures", (np.array([1]),), True
    if kind == "blur":
        return "blur_pictures", (weights(int(words[0]), float(words[1])),), False
    if kind == "cutout":
        return "erase_pictures", (np.array([[4, 9, 12, 17]]), 33), True
    return "jitter_pictures", jitter(CHANGES.index(kind), float(words[0])), True


def run(backend_name: str, function: str, pictures: np.ndarray, arguments: tuple, in_place: bool) -> np.ndarray:
    """The pictures after a kernel function on a back end."""
    backend = load_backend(backend_name)
    given = backend.from_buffer(pictures.copy())
    out = Array(backend.allocate(pictures.size), pictures.shape, pictures.dtype)
    program = backend.program()
    arrays = [backend.from_buffer(value) if isinstance(value, np.ndarray) else value for value in arguments]
    getattr(program, function)(*((given,) if in_place else (out, given)), *arrays)
    assert not getattr(program, "host_reasons", [])
    program.run()
    return (given if in_place else out).numpy().copy()


# The share of bytes that may differ by 1 where torchvision rounds otherwise: it rounds enlarged boxes twice, to bytes
# in between, and fuses the multiply-add of blended colours, whose results here are often whole numbers.
ROUNDED_OTHERWISE = {"resized_crop": 0.2, "saturation": 0.02}
NAMES = [name for name in GOLDEN.files if name not in ("picture", "grey picture", "normalise")]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
def test_as_torchvision(name, backend):
    pictures = GOLDEN["grey picture" if name.startswith("grey ") else "picture"][None]
    result, expected = run(backend, call_of(name)[0], pictures, *call_of(name)[1:])[0], GOLDEN[name]
    difference = np.abs(result.astype(int) - expected)
    share = next((share for kind, share in ROUNDED_OTHERWISE.items() if name.startswith(kind)), 0.002)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= share


@pytest.mark.parametrize("backend", BACKENDS)
def test_normalised_as_torchvision(backend):
    backend = load_backend(backend)
    pictures = backend.from_buffer(GOLDEN["picture"][None])
    out = Array(backend.allocate(4 * pictures.size), pictures.shape, np.dtype(np.float32))
    normalise = Normalise([0.49, 0.48, 0.45], [0.25, 0.24, 0.26])
    program = backend.program()
    factors = map(backend.from_buffer, (normalise.scale, normalise.shift))
    program.normalise_pictures(out, pictures, *factors)
    program.run()
    np.testing.assert_allclose(out.numpy()[0], GOLDEN["normalise"], rtol=1e-5, atol=2e-6)
