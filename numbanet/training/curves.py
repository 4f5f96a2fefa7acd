"""curves.png: loss and error over the epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numbanet.training.files import replacing

_COLOURS = {"train": "#4477aa", "validation": "#228833", "test": "#cc3311"}


def draw(rows: list[dict[str, Any]], title: str, path: Path) -> None:
    """Draw ``metrics.jsonl`` as a picture: the loss, and beside it the error rate if there are classes."""
    # Figure instead of pyplot: no window system is looked for, whatever MPLBACKEND says
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    panels = [("loss", "loss", lambda value: value), ("accuracy", "error, %", lambda value: 100 * (1 - value))]
    panels = [
        panel for panel in panels if any(row.get(f"{part}_{panel[0]}") is not None for row in rows for part in _COLOURS)
    ]
    for axes, (measure, label, scale) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for part in _COLOURS:
            _line(axes, rows, part, f"{part}_{measure}", scale)
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(0.5, max(row["epoch"] for row in rows) + 0.5)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        low, high = _positive_range(axes)
        if high > 8 * low > 0:  # curves that fall by much say little on a linear axis
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter("{x:g}")
        if axes.lines:
            axes.legend(frameon=False)
    with replacing(path) as stream:
        figure.savefig(stream, format="png", dpi=110)


def _line(axes: Any, rows: list[dict[str, Any]], part: str, key: str, scale: Any) -> None:
    points = [(row["epoch"], scale(row[key])) for row in rows if row.get(key) is not None]
    if points:
        marker = "o" if len(points) < 40 else None
        axes.plot(*zip(*points, strict=True), label=part, color=_COLOURS[part], marker=marker, markersize=3)


def _positive_range(axes: Any) -> tuple[float, float]:
    values = [value for line in axes.lines for value in line.get_ydata()]
    positive = [value for value in values if value > 0]
    if len(positive) < len(values) or not values:  # a zero has no place on a logarithmic axis
        return 0.0, 0.0
    return min(positive), max(positive)
