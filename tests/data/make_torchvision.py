"""Makes torchvision.npz: what torchvision's transforms.v2.functional give for a picture and written parameters.

Run it where torchvision is (made with torch 2.14.1, torchvision 0.29.1): ``python tests/data/make_torchvision.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

HEIGHT, WIDTH = 26, 21


def picture(channels: int) -> torch.Tensor:
    """Smooth colours with an edge and noise, so that every operation has something to do; (channels, 26, 21)."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [127 + 90 * np.sin(rows / (3 + c)) * np.cos(columns / (5 - c)) for c in range(channels)]
    values = np.stack(planes) + 70 * (columns > rows) + np.random.default_rng(1).normal(0, 8, (channels, HEIGHT, WIDTH))
    return torch.from_numpy(np.clip(values, 0, 255).astype(np.uint8))


def main() -> None:
    x, grey = picture(3), picture(1)
    results = {"picture": x, "grey picture": grey, "flip": F.horizontal_flip(x)}
    for mode in ("constant", "edge", "reflect", "symmetric"):
        padded = F.pad(x, [5], fill=7, padding_mode=mode)
        for top, left in ((0, 0), (10, 3), (4, 8)):
            results[f"crop {mode} {top} {left}"] = F.crop(padded, top, left, HEIGHT, WIDTH)
    for name in ("nearest", "bilinear"):
        mode = InterpolationMode(name)
        for angle in (17.3, -41.0):
            results[f"rotate {name} {angle}"] = F.rotate(x, angle, mode, fill=[9.0])
        results[f"affine {name}"] = F.affine(x, 12.5, [2, -3], 0.87, [8.0, 0.0], mode, fill=[9.0])
    for box in ((0, 0, 26, 21), (3, 5, 11, 9), (20, 1, 6, 17), (25, 20, 1, 1)):
        results["resized_crop " + " ".join(map(str, box))] = F.resized_crop(x, *box, [HEIGHT, WIDTH])
    results["grayscale"] = F.rgb_to_grayscale(x, 3)
    for name, change, factors in (
        ("brightness", F.adjust_brightness, (0.0, 0.63, 1.4)),
        ("contrast", F.adjust_contrast, (0.0, 0.63, 1.4)),
        ("saturation", F.adjust_saturation, (0.0, 0.63, 1.4)),
        ("hue", F.adjust_hue, (-0.5, -0.13, 0.0, 0.07, 0.5)),
    ):
        for factor in factors:
            results[f"{name} {factor}"] = change(x, factor)
            results[f"grey {name} {factor}"] = change(grey, factor)
    for size, sigma in ((3, 0.8), (5, 1.7), (7, 0.3)):
        results[f"blur {size} {sigma}"] = F.gaussian_blur(x, [size, size], [sigma, sigma])
    results["cutout"] = F.erase(x, 4, 9, 8, 8, torch.full((3, 1, 1), 33, dtype=torch.uint8))
    floats = F.to_dtype(x, torch.float32, scale=True)
    results["normalise"] = F.normalize(floats, [0.49, 0.48, 0.45], [0.25, 0.24, 0.26])
    path = Path(__file__).with_name("torchvision.npz")
    np.savez_compressed(path, **{name: value.contiguous().numpy() for name, value in results.items()})


if __name__ == "__main__":
    main()
