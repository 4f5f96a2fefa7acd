"""Augmentations: bytes, held to the very bytes that the NumPy kernels give."""

from __future__ import annotations

import zlib

import numpy as np

from numbanet.kernels.numpy import KERNELS
from tests.kernels_cpu.cases.case import Case, random, unset
from tests.kernels_cpu.helpers import map_arrays

SHAPES = ((5, 3, 32, 32), (4, 1, 7, 13), (3, 2, 17, 5), (2, 3, 1, 1), (9, 3, 40, 70), (0, 3, 8, 8))


def as_numpy(case: Case) -> list[np.ndarray]:
    """The NumPy kernel on the case's own dtypes."""
    args = map_arrays(np.copy, case.args)
    KERNELS[case.function](*args, **case.options)
    return case.outputs(args)


def generator(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def pictures(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return generator(name).integers(0, 256, shape).astype(np.uint8)


def moves(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Every kind of map in turn: shifted, mirrored, upside down, turned, transposed, far outside."""
    n, _, height, _ = shape
    kinds = np.array([[1, 0, 0, 1], [1, 0, 0, -1], [-1, 0, 0, 1], [0, 1, -1, 0], [0, -1, 1, 0], [0, 1, 1, 0]])
    factors = kinds[np.arange(n) % len(kinds)]
    shift = generator(name).integers(-9, 10, (n, 2)) + np.where(factors[:, :2].sum(1) < 0, height - 1, 0)[:, None]
    shift[-1:] = 300
    return np.stack([*factors.T[:2], shift[:, 0], *factors.T[2:], shift[:, 1]], 1)


def warps(name: str, n: int) -> np.ndarray:
    matrices = generator(name).normal(0, 0.4, (n, 6)) + np.array([1, 0, 0, 0, 1, 0])
    matrices[:, [2, 5]] *= 4
    matrices[1::3] = 1, 0, 0, 0, 1, 0  # unchanged
    return matrices.astype(np.float32)


def boxes_inside(name: str, shape: tuple[int, ...]) -> np.ndarray:
    n, _, *size = shape
    sides = 1 + (generator(name).random((n, 2)) * size).astype(np.int64)
    sides[1:2] = size
    corners = (generator(f"{name}, corners").random((n, 2)) * (np.array(size) - sides + 1)).astype(np.int64)
    return np.concatenate([corners, sides], 1)


def bells(name: str, n: int, taps: int) -> np.ndarray:
    sigma = generator(name).uniform(0.3, 2, (n, 1))
    sigma[1::3] = 1e-3  # all weight on the middle
    values = np.exp(-0.5 * ((np.arange(taps) - taps // 2) / sigma) ** 2)
    return (values / values.sum(1, keepdims=True)).astype(np.float32)


def _case(name: str, function: str, *args: object, **options: object) -> Case:
    return Case(f"{function} {name}", function, args, options=options, oracle=as_numpy)


def _of_shape(shape: tuple[int, ...]):
    name = " x ".join(map(str, shape))
    n, channels, height, width = shape
    x, out, some = pictures(name, shape), unset(*shape, dtype=np.uint8), np.arange(n) % 3
    for border in ("constant", "edge", "reflect", "symmetric"):
        yield _case(f"{name}, {border}", "move_pictures", out, x, moves(name, shape), 7, border)
    larger = unset(n, channels, height + 3, width + 20, dtype=np.uint8)
    yield _case(f"{name}, larger", "move_pictures", larger, x, moves(name, shape), 7, "constant")
    corners = generator(name).integers(-6, 20, (n, 2))
    yield _case(name, "erase_pictures", x, np.concatenate([corners, corners + 8], 1), 9)
    for bilinear in (False, True):
        yield _case(f"{name}, {bilinear}", "warp_pictures", out, x, warps(name, n), 9, bilinear)
    yield _case(name, "resize_pictures", out, x, boxes_inside(name, shape))
    yield _case(name, "grey_pictures", x, some)
    yield from _changes(name, x) if channels in (1, 3) else ()
    for taps in (1, 3, 7):
        yield _case(f"{name}, {taps}", "blur_pictures", out, x, bells(name, n, taps))
    yield _case(name, "sobel_pictures", out, x, some)
    scale, shift = random(f"{name} scale", channels), random(f"{name} shift", channels)
    yield _case(name, "normalise_pictures", unset(*shape), x, scale, shift)
    samples = generator(name).integers(0, 1 << 31, n)
    amounts = np.array([[3, 20], [0, 0], [-9, 40]], np.float32)[some]
    yield _case(name, "noise_pictures", x, samples, amounts, 2**63 + 5, 0x4E03, 7)


def _changes(name: str, x: np.ndarray):
    """Each change of colours alone, and all of them in some order."""
    n = len(x)
    factors = generator(name).uniform(0, 2, (n, 4))
    factors[:, 3] = generator(name).uniform(-0.5, 0.5, n)
    orders = np.array([generator(f"{name} {i}").permutation(4) for i in range(n)], np.int64).reshape(n, 4)
    orders[1::3, ::2] = -1
    yield _case(name, "jitter_pictures", x, factors, orders)
    for change in range(4):
        only = np.full((n, 4), -1)
        only[:, 0] = change
        yield _case(f"{name}, only {change}", "jitter_pictures", x, factors, only)


def _cases():
    for shape in SHAPES:
        yield from _of_shape(shape)
    for count in (1, 31, 32, 96):
        samples = np.array([0, 1, 2**31 - 1, 5])
        yield _case(f"{count}", "sample_numbers", unset(4, count), samples, 3, 0x4155, 2**31 - 1)


AUGMENTATIONS = list(_cases())
