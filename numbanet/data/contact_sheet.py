"""Contact sheets: rows of pictures with a label each, to see what augmentations do."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from numbanet.data.augment import Augment
from numbanet.data.augmentation import Augmentation, describe
from numbanet.data.normalise import Normalise
from numbanet.data.order import epoch_order

if TYPE_CHECKING:
    from PIL.Image import Image

_LEAST_SIDE = 64  # smaller pictures are enlarged by a whole factor
_GAP = 4
_LABEL = 16


def augmented_rows(
    dataset: Any, steps: Sequence[Augmentation], count: int, seed: int, together: bool
) -> list[tuple[str, np.ndarray]]:
    """Labels and pictures uint8 (count, C, H, W): originals, each step alone on every picture, then all of them."""
    order = epoch_order(seed, 0, len(dataset), shuffle=True)[:count]
    source = dataset.as_bytes()
    pictures = np.stack([np.asarray(source[int(i)][0]) for i in order])
    normalise = Normalise((0.5,) * pictures.shape[1], (0.5,) * pictures.shape[1])  # not used: bytes are shown
    rows = [("original", pictures)]
    for step in steps:
        alone = Augment([dataclasses.replace(step, p=1.0)], normalise, seed)
        rows.append((describe(step), alone.augment(pictures, order)))
    if together and len(steps) > 1:
        rows.append(("all together", Augment(steps, normalise, seed).augment(pictures, order)))
    return rows


def draw_sheet(rows: Sequence[tuple[str, np.ndarray]]) -> Image:
    """One picture of all rows, each under its label."""
    from PIL import Image, ImageDraw

    count, _, height, width = rows[0][1].shape
    factor = max(1, -(-_LEAST_SIDE // min(height, width)))
    step_x, step_y = factor * width + _GAP, factor * height + _GAP + _LABEL
    sheet = Image.new("RGB", (_GAP + count * step_x, _GAP + len(rows) * step_y), (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    for i, (label, pictures) in enumerate(rows):
        top = _GAP + i * step_y
        pen.text((_GAP, top), label, fill=(0, 0, 0))
        for j, picture in enumerate(pictures):
            planes = np.broadcast_to(picture, (3, height, width)).transpose(1, 2, 0)
            large = planes.repeat(factor, axis=0).repeat(factor, axis=1)
            sheet.paste(Image.fromarray(np.ascontiguousarray(large)), (_GAP + j * step_x, top + _LABEL))
    return sheet
