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
@click.option("--out", metavar="DIR", help="the folder of the drawings; without it inspect in RUN")
@setting_options(["data_dir", "threads", "backend"])
def command(run: str, checkpoint: str, picture: str | None, out: str | None, **options: Any) -> None:
    """Draw what the model in the folder RUN looks like inside.

    Learning curves; the filters of the first layer; activation maps of a picture; how large the weights and the
    gradients of each layer are; how much of a picture the layers see. Drawings that are there are replaced.
    """
    opened = Run.open(run)
    config = opened.config.replace(**given(options))

    import numbanet
    from numbanet.data import DataLoader, Normalise, read_pictures
    from numbanet.training import build, curves, drawings
    from numbanet.training.errors import RunError
    from numbanet.training.restore import load_model

    build.check_names(config)
    config = build.use_machine(config)
    model, _ = load_model(opened, checkpoint)
    data = build.load_data(config)
    info = data.info
    if picture is None:
        pixels = data.test.as_bytes()[0][0]
    else:
        pixels = read_pictures(picture, info.shape, info.style)[0]
    normalised = numbanet.from_numpy(Normalise(info.mean, info.std)(pixels[None]))
    inputs, targets = next(iter(DataLoader(data.train, batch_size=min(SAMPLES, len(data.train)))))

    folder = opened.folder / "inspect" if out is None else Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {(error.strerror or str(error)).lower()}") from None
    rows = opened.metrics()
    curves.draw(rows, f"{config.model} on {config.dataset}", folder / "curves.png")
    drawn = {
        "curves.png": f"loss and error of {len(rows)} epochs",
        "filters.png": drawings.draw_filters(model, info.shape, folder / "filters.png"),
        "activations.png": drawings.draw_activations(model, normalised, folder / "activations.png"),
        "histograms.png": drawings.draw_histograms(model, inputs, targets, folder / "histograms.png"),
        "receptive_fields.png": drawings.draw_receptive_fields(model, pixels, folder / "receptive_fields.png"),
    }
    for name, text in drawn.items():
        click.echo(f"{folder / name}: {text}" if text else f"no {name}: {config.model} has nothing to draw there")
