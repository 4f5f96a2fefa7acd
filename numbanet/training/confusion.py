"""The confusion matrix: figures of each class, the matrix as text and as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from numbanet.training.files import replacing

MOST_NUMBERS = 20
"""With more classes than this, numbers in the cells would not be readable."""


@dataclass(frozen=True)
class ClassFigures:
    """How one class fares: recall is the share of its samples that are found, precision the share of what is taken for
    it that is right, f1 their harmonic mean. None where nothing is divided by nothing."""

    name: str
    samples: int
    correct: int
    recall: float | None
    precision: float | None
    f1: float | None


def per_class(confusion: np.ndarray, classes: Sequence[str]) -> list[ClassFigures]:
    """The figures of each class of ``confusion[t, p]``, samples of class t that were taken for class p."""
    rows = []
    for number, name in enumerate(classes):
        samples, taken = int(confusion[number].sum()), int(confusion[:, number].sum())
        correct = int(confusion[number, number])
        rows.append(
            ClassFigures(
                name,
                samples,
                correct,
                correct / samples if samples else None,
                correct / taken if taken else None,
                2 * correct / (samples + taken) if samples + taken else None,
            )
        )
    return rows


def worst_pairs(confusion: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """The most frequent mistakes, (class, taken for, how often), most frequent first."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    pairs = [(*divmod(int(place), len(wrong)), int(wrong.flat[place])) for place in order]
    return [pair for pair in pairs if pair[2] > 0]


def draw(confusion: np.ndarray, classes: Sequence[str], title: str, path: Path) -> None:
    """Draw the matrix as a picture: a row a class, coloured by the share of its samples."""
    # Figure instead of pyplot: no window system is looked for, whatever MPLBACKEND says
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(classes)
    side = min(12.0, 3.2 + 0.42 * count)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, label="% of the class", shrink=0.8)
    step = -(-count // 40)  # as many names as there is room for
    ticks = range(0, count, step)
    size = 9 if count <= MOST_NUMBERS else 6
    names = [classes[tick] for tick in ticks]
    turned = max(map(len, names)) > 2
    axes.set_xticks(ticks, names, fontsize=size, rotation=90 if turned else 0)
    axes.set_yticks(ticks, names, fontsize=size)
    axes.set(xlabel="taken for", ylabel="class")
    axes.set_title(textwrap.fill(title, int(13 * side)), fontsize=10)
    if count <= MOST_NUMBERS:
        for row, column in np.argwhere(confusion > 0):
            colour = "white" if shares[row, column] > 0.5 else "black"
            text = f"{confusion[row, column]:d}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8 if len(text) < 5 else 6)
    with replacing(path) as stream:
        figure.savefig(stream, format="png", dpi=110)
