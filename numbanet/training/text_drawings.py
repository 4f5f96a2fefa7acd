"""Pictures of what a model of texts has learned: alignments, attention heads, embeddings, positions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from numbanet.training.files import replacing


def draw_alignment(weights: np.ndarray, source: Sequence[str], target: Sequence[str], path: Path) -> None:
    """Attention weights (T, S) as a heat map: the target's tokens down, the source's across."""
    width, height = 1.5 + 0.32 * len(source), 1.2 + 0.3 * len(target)
    figure, axes = _figure(max(4.0, width), max(3.0, height))
    figure.colorbar(_heat_map(axes, weights, target, source, _darkest(weights)), ax=axes)
    axes.set_xlabel("source across, target down")
    _save(figure, path)


def draw_heads(weights: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str, path: Path) -> None:
    """The attention weights (heads, T, S) of one layer, a heat map a head; all have the colours of the largest
    weight, which the title names, and the tokens stand at the outer ones only.

    matplotlib takes a millisecond for a token, and its layouts draw them thrice to see how large they are: so few are
    drawn, and where the maps lie is worked out here.
    """
    heads = len(weights)
    across = math.ceil(math.sqrt(heads))
    down = -(-heads // across)
    side = max(2.2, 0.2 * max(len(rows), len(columns)))
    left, top = (0.3 + 0.08 * max(len(shown(token)) for token in tokens) for tokens in (rows, columns))
    width, height = left + (side + 0.1) * across, top + 0.6 + (side + 0.25) * down
    figure = _empty_figure(width, height)
    darkest = _darkest(weights)
    figure.suptitle(f"{title}: darkest is {darkest:.2g}", fontsize=11)
    for head in range(heads):
        y, x = divmod(head, across)
        place = left + (side + 0.1) * x, (side + 0.25) * (down - 1 - y) + 0.1, side, side
        axes = figure.add_axes([part / whole for part, whole in zip(place, (width, height) * 2, strict=True)])
        _heat_map(axes, weights[head], rows if x == 0 else (), columns if y == 0 else (), darkest)
        axes.set_title(f"head {head + 1}", fontsize=9, y=1.0 if y else 1.0 + top / side)
    _save(figure, path)


def draw_embedding_map(vectors: np.ndarray, tokens: Sequence[str], path: Path) -> None:
    """Embeddings (n, d) in the plane of their two principal components, each with its token."""
    points = principal_components(vectors, 2)
    figure, axes = _figure(8, 7)
    axes.scatter(points[:, 0], points[:, 1], s=6, color="#4477aa")
    for (x, y), token in zip(points, tokens, strict=True):
        axes.annotate(shown(token), (x, y), xytext=(2, 2), textcoords="offset points", fontsize=7, parse_math=False)
    axes.set(xlabel="first principal component", ylabel="second principal component")
    _save(figure, path)


def draw_positions(encoding: np.ndarray, path: Path) -> None:
    """The positional encoding (positions, d) as a heat map, and how alike any two positions are."""
    figure, (left, right) = _figure(11, 4.5, 1, 2)
    limit = float(np.abs(encoding).max()) or 1.0
    image = left.imshow(encoding, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    left.set(xlabel="dimension", ylabel="position", title="encoding")
    figure.colorbar(image, ax=left)
    lengths = np.linalg.norm(encoding, axis=1, keepdims=True)
    unit = encoding / np.where(lengths > 0, lengths, 1)
    image = right.imshow(unit @ unit.T, cmap="viridis", vmin=-1, vmax=1, interpolation="nearest")
    right.set(xlabel="position", ylabel="position", title="cosine of two positions")
    figure.colorbar(image, ax=right)
    _save(figure, path)


def neighbours(vectors: np.ndarray, number: int, count: int) -> list[tuple[int, float]]:
    """The ``count`` embeddings (n, d) with the largest cosine to that of a number, and the cosines."""
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = vectors @ vectors[number] / np.maximum(lengths * lengths[number], 1e-12)
    cosines[number] = -np.inf
    order = np.argsort(-cosines, kind="stable")[: min(count, len(vectors) - 1)]
    return [(int(other), float(cosines[other])) for other in order]


def principal_components(vectors: np.ndarray, count: int) -> np.ndarray:
    """Vectors (n, d) along their ``count`` directions of largest variance (n, count)."""
    centred = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:count]
    # either sign is right; the same one every time
    largest = np.abs(directions).argmax(axis=1)
    directions = directions * np.sign(directions[np.arange(len(directions)), largest])[:, None]
    points = centred @ directions.T
    return np.pad(points, ((0, 0), (0, count - points.shape[1])))


def shown(token: str) -> str:
    """A token as it is printed: white space made visible."""
    return token.replace("\n", "↵").replace("\t", "⇥").replace(" ", "␣")


def _figure(width: float, height: float, down: int = 1, across: int = 1) -> tuple[Any, Any]:
    figure = _empty_figure(width, height, "constrained")
    return figure, figure.subplots(down, across)


def _empty_figure(width: float, height: float, layout: str = "none") -> Any:
    # Figure instead of pyplot: no window system is looked for, whatever MPLBACKEND says
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(width, 40), min(height, 40)), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _darkest(weights: np.ndarray) -> float:
    return max(float(weights.max()), 1e-6)


def _heat_map(axes: Any, weights: np.ndarray, rows: Sequence[str], columns: Sequence[str], darkest: float) -> Any:
    """Weights (T, S), each row and column with its token, or none with a label if there are no tokens."""
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=darkest, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    # texts and no ticks, which take matplotlib thrice as long; a dollar sign is no formula
    style = {"fontsize": 8 if max(weights.shape) <= 30 else 6, "parse_math": False}
    for x, token in enumerate(columns):
        axes.text(x, -0.7, shown(token), rotation=90, ha="center", va="bottom", **style)
    for y, token in enumerate(rows):
        axes.text(-0.7, y, shown(token), ha="right", va="center", **style)
    return image


def _save(figure: Any, path: Path) -> None:
    with replacing(path) as stream, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # scripts that matplotlib's font lacks are drawn as boxes
        figure.savefig(stream, format="png", dpi=110)
