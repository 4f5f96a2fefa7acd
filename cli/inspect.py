"""``numbanet inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from numbanet.cli.options import given, setting_options
from numbanet.training.run import CHECKPOINTS, Run

SAMPLES = 128


@click.command(short_help="Draw what a trained model looks like inside.")
@click.argument("run")
@click.option("--checkpoint", type=click.Choice(CHECKPOINTS), default="last", show_default=True, help="which weights")
@click.option("--picture", metavar="FILE", help="whose activation maps to draw; without it the first test picture's")
@click.option("--text", metavar="TEXT", help="whose attention to draw, of models of texts; without it a test text's")
@click.option("--token", metavar="TOKEN", help="whose nearest embeddings to tell; without it those of some tokens")
@click.option("--out", metavar="DIR", help="the folder of the drawings; without it inspect in RUN")
@setting_options(["data_dir", "threads", "backend"])
def command(
    run: str,
    checkpoint: str,
    picture: str | None,
    text: str | None,
    token: str | None,
    out: str | None,
    **options: Any,
) -> None:
    """Draw what the model in the folder RUN looks like inside.

    Learning curves; the filters of the first layer; activation maps of a picture; how large the weights and the
    gradients of each layer are; how much of a picture the layers see. Of models of texts: attention, where a
    translation looks in its source, a map of the embeddings and their neighbours, the positional encoding. Drawings
    that are there are replaced.
    """
    opened = Run.open(run)
    config = opened.config.replace(**given(options))

    from numbanet.data import DataLoader
    from numbanet.training import build, curves, drawings
    from numbanet.training.files import make_folder
    from numbanet.training.own import short_name
    from numbanet.training.restore import load_model
    from numbanet.training.tasks import TextTask, task_class

    build.check_names(config)
    config = build.use_machine(config)
    if issubclass(task_class(config), TextTask):
        _inspect_text(opened, config, checkpoint, text, token, Path(out) if out else opened.folder / "inspect")
        return
    model, _ = load_model(opened, checkpoint)
    data = build.load_data(config, opened.folder)
    pixels, normalised = _picture(picture, data)
    inputs, targets = next(iter(DataLoader(data.train, batch_size=min(SAMPLES, len(data.train)))))

    folder = opened.folder / "inspect" if out is None else Path(out)
    make_folder(folder)
    rows, shape = opened.metrics(), tuple(data.info.shape)
    curves.draw(rows, f"{short_name(config.model)} on {short_name(config.dataset)}", folder / "curves.png")
    loss = build.build_objective(config, data)
    drawn = {
        "curves.png": f"curves of {len(rows)} {'epoch' if len(rows) == 1 else 'epochs'}",
        "filters.png": drawings.draw_filters(model, shape, folder / "filters.png"),
        "histograms.png": drawings.draw_histograms(model, loss, inputs, targets, folder / "histograms.png"),
    }
    if pixels is not None:
        drawn["activations.png"] = drawings.draw_activations(model, normalised, folder / "activations.png")
        drawn["receptive_fields.png"] = drawings.draw_receptive_fields(model, pixels, folder / "receptive_fields.png")
    for name, text in drawn.items():
        click.echo(f"{folder / name}: {text}" if text else f"no {name}: the model has nothing to draw there")


def _inspect_text(opened: Run, config: Any, checkpoint: str, text: str | None, token: str | None, folder: Path) -> None:
    from numbanet.training.restore import load_task
    from numbanet.training.tasks.inspection import inspect_text

    opened.config = config
    task, model, _ = load_task(opened, checkpoint)
    for line in inspect_text(task, model, folder, text, token):
        click.echo(line)


def _picture(name: str | None, data: Any) -> tuple[Any, Any]:
    """A picture as bytes (c, h, w) and as the network takes it; the first test picture unless there is a ``name``.

    (None, None) for data that are no pictures.
    """
    import numpy as np

    import numbanet
    from numbanet.data import Normalise, read_pictures
    from numbanet.training.errors import ConfigError

    info = data.info
    if info.mean is None or len(info.shape) != 3:
        if name is not None:
            raise ConfigError(f"the run's data are no pictures, so {name} cannot be shown to its model")
        return None, None
    if name is not None:
        pixels = read_pictures(name, info.shape, info.style)[0]
        return pixels, numbanet.from_numpy(Normalise(info.mean, info.std)(pixels[None]))
    normalised = data.test[0][0].numpy()
    by_channel = (slice(None), None, None)
    shares = normalised * np.asarray(info.std)[by_channel] + np.asarray(info.mean)[by_channel]
    return np.clip(shares * 255 + 0.5, 0, 255).astype(np.uint8), numbanet.from_numpy(normalised[None])
