"""What a trained network looks like inside, as pictures: filters, activation maps, histograms, receptive fields."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from numbanet import models
from numbanet.autograd import no_grad
from numbanet.nn import Conv2d, LocallyConnected2d, Module
from numbanet.nn.init import has_filters
from numbanet.tensor import Tensor
from numbanet.training.files import replacing
from numbanet.training.objective import Objective

MOST_FILTERS, MOST_LAYERS, MOST_MAPS, MOST_NAMES = 64, 8, 12, 40


def draw_filters(model: Module, shape: tuple[int, ...], path: Path) -> str | None:
    """The weights of the first layer as pictures: of three channels in colour, of others a row of grey ones each.

    A fully connected first layer has pictures of the input's ``shape``. Returns what was drawn, or None if there is no
    such layer.
    """
    found = next(((name, one) for name, one in model.named_modules() if has_filters(one)), None)
    if found is None:
        return None
    name, layer = found
    weights = next(iter(layer.filters())).detach().numpy()
    if weights.ndim == 2:
        if len(shape) != 3 or weights.shape[1] != np.prod(shape):
            return None
        weights = weights.reshape(-1, *shape)
    if weights.ndim == 3:  # of sequences: channels by positions
        weights = weights[:, None]
    weights = weights[:MOST_FILTERS]
    tiles = weights.transpose(0, 2, 3, 1) if weights.shape[1] == 3 else weights.reshape(-1, *weights.shape[2:])
    tiles = tiles[:MOST_FILTERS]
    columns = min(len(tiles), 8)
    rows = -(-len(tiles) // columns)
    figure = _figure(f"filters of {name or type(layer).__name__}", columns, rows + 0.4)
    for index, axes in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
        axes.set_axis_off()
        if index < len(tiles):
            reach = np.abs(tiles[index]).max() or 1.0
            axes.imshow(0.5 + tiles[index] / (2 * reach), cmap="gray", vmin=0, vmax=1)
    _save(figure, path)
    return f"{len(weights)} filters of {name}, each between its own extremes, grey is 0"


def draw_activations(model: Module, picture: Tensor, path: Path) -> str | None:
    """What the layers make of one normalised ``picture`` (1, c, h, w): channels behind the activations of up to eight
    layers. Returns what was drawn, or None if the network has no maps."""
    maps = _activation_maps(model, picture)
    if not maps:
        return None
    maps = _spread(maps, MOST_LAYERS)
    rows = [("picture", picture.numpy()[0]), *maps]
    figure = _figure("activation maps", MOST_MAPS * 0.9 + 1.5, len(rows))
    grid = figure.subplots(len(rows), MOST_MAPS, squeeze=False)
    for line, (name, planes) in zip(grid, rows, strict=True):
        line[0].set_title(f"{name}, {planes.shape[1]}x{planes.shape[2]}", fontsize=8, loc="left")
        for axes, plane in zip(line, planes, strict=False):
            axes.imshow(plane, cmap="gray" if name == "picture" else "viridis")
        for axes in line:
            axes.set_axis_off()
    _save(figure, path)
    return f"maps of {len(maps)} layers, at most {MOST_MAPS} channels of each"


def _activation_maps(model: Module, picture: Tensor) -> list[tuple[str, np.ndarray]]:
    """(where, planes (c, h, w)) behind every activation on pictures, in the order of the calls."""
    maps: list[tuple[str, np.ndarray]] = []
    last = [""]
    activations = tuple(type(make()) for make in models.ACTIVATIONS.values())
    handles = []

    def note(name: str) -> Any:
        def hook(module: Module, inputs: tuple, output: Any) -> None:
            # a block's output is named by its main way, though its shortcut is computed last
            if isinstance(module, (Conv2d, LocallyConnected2d)) and ".downsample." not in name:
                last[0] = name
            elif isinstance(module, activations) and output.ndim == 4:
                maps.append((f"behind {last[0]}", output.detach().numpy()[0].copy()))

        return hook

    for name, module in model.named_modules():
        handles.append(module.register_forward_hook(note(name)))
    try:
        with no_grad():
            model(picture)
    finally:
        for handle in handles:
            handle.remove()
    return maps


def draw_histograms(model: Module, loss: Objective, inputs: Tensor, targets: Tensor, path: Path) -> str:
    """A row a layer: how the sizes of its weights, and of the gradients of a batch's ``loss``, are spread; weights that
    the loss does not depend on have no gradients.

    The columns are powers of ten, the colour is a bin's share of the fullest bin, the mark the median.
    """
    model.zero_grad()
    loss(model(inputs), targets).backward()
    layers = [(name, one) for name, one in model.named_parameters() if one.ndim > 1]
    figure = _figure("sizes of weights and of gradients by layer", 11, max(2.5, 1.2 + 0.16 * min(len(layers), 80)))
    panels = figure.subplots(1, 2, sharey=True)
    gradients = [np.zeros(0) if one.grad is None else one.grad.detach().numpy() for _, one in layers]
    kinds = {"weights": [one.detach().numpy() for _, one in layers], "gradients": gradients}
    for axes, (kind, values) in zip(panels, kinds.items(), strict=True):
        _histograms(axes, values)
        axes.set(title=kind, xlabel="log10 of the absolute value")
    shown = _spread(list(range(len(layers))), MOST_NAMES)
    panels[0].set_yticks(shown, [layers[index][0].removesuffix(".weight") for index in shown], fontsize=7)
    _save(figure, path)
    model.zero_grad()
    return f"weights and gradients of {len(layers)} layers, on {len(inputs)} training samples"


def _histograms(axes: Any, values: Sequence[np.ndarray]) -> None:
    logs = [np.log10(np.abs(value[value != 0])).ravel() for value in values]
    everything = np.concatenate([np.percentile(log, (0.5, 99.9)) for log in logs if log.size] or [np.zeros(1)])
    edges = np.linspace(np.floor(everything.min()), np.ceil(everything.max()), 101)
    counts = np.array([np.histogram(log, edges)[0] for log in logs], dtype=float)
    counts /= np.maximum(counts.max(axis=1, keepdims=True), 1)
    extent = (edges[0], edges[-1], len(logs) - 0.5, -0.5)
    axes.imshow(counts, aspect="auto", extent=extent, cmap="Blues", interpolation="nearest")
    medians = [(np.median(log), row) for row, log in enumerate(logs) if log.size]
    axes.plot(*zip(*medians, strict=True), ".", color="#cc3311", markersize=4)


def draw_receptive_fields(model: Module, picture: np.ndarray, path: Path) -> str | None:
    """How the receptive field grows from layer to layer, and the windows of some layers on a ``picture`` (c, h, w) of
    bytes. Returns what was drawn, or None if no layer sees less than all."""
    grown: list[models.LayerSummary] = []
    for layer in models.summarise(model, picture.shape):
        if layer.receptive_field and (not grown or max(layer.receptive_field) > max(grown[-1].receptive_field)):
            grown.append(layer)
    if not grown:
        return None
    figure = _figure("receptive fields", 10, 4)
    curve, view = figure.subplots(1, 2, width_ratios=(3, 2))
    sizes = [max(layer.receptive_field) for layer in grown]
    curve.plot(sizes, marker="o", markersize=3, color="#4477aa")
    curve.axhline(max(picture.shape[1:]), color="#999999", linestyle="--")
    curve.text(0, max(picture.shape[1:]), "the picture", color="#666666", fontsize=8, va="bottom")
    shown = _spread(list(range(len(grown))), 20)
    curve.set_xticks(shown, [grown[index].name for index in shown], rotation=60, ha="right", fontsize=7)
    curve.set(ylabel="pixels")
    curve.grid(alpha=0.3)
    curve.spines[["top", "right"]].set_visible(False)
    _windows(view, picture, [layer for layer in grown if max(layer.receptive_field) <= max(picture.shape[1:])])
    _save(figure, path)
    return f"{len(grown)} layers at which it grows, to {'x'.join(map(str, grown[-1].receptive_field))} pixels"


def _windows(axes: Any, picture: np.ndarray, layers: list[models.LayerSummary]) -> None:
    """The picture, and the windows of up to six layers around its middle."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    axes.imshow(picture.transpose(1, 2, 0) if len(picture) == 3 else picture[0], cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()
    middle_y, middle_x = ((size - 1) / 2 for size in picture.shape[1:])
    chosen = _spread(layers, 6)
    for index, layer in enumerate(chosen):
        height, width = layer.receptive_field
        colour = colormaps["plasma"](0.15 + 0.8 * index / max(len(chosen) - 1, 1))
        corner = (middle_x - width / 2, middle_y - height / 2)
        label = f"{layer.name}: {height}x{width}"
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=1.5, label=label))
    if chosen:
        axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, frameon=False)


def _spread(items: list, most: int) -> list:
    """At most so many of them, evenly, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]


def _figure(title: str, width: float, height: float) -> Any:
    # Figure instead of pyplot: no window system is looked for, whatever MPLBACKEND says
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(width, 3), height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    return figure


def _save(figure: Any, path: Path) -> None:
    with replacing(path) as stream:
        figure.savefig(stream, format="png", dpi=110)
