"""``numbanet predict``."""

from __future__ import annotations

from typing import Any

import click

from numbanet.cli.options import given, setting_options
from numbanet.training.run import CHECKPOINTS, Run


@click.command(short_help="What a trained model sees in pictures.")
@click.argument("run")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--checkpoint", type=click.Choice(CHECKPOINTS), default="last", show_default=True, help="which weights")
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="classes to print")
@setting_options(["threads", "backend"])
def command(run: str, files: tuple[str, ...], checkpoint: str, top: int, **options: Any) -> None:
    """The most probable classes of pictures, by the model in the folder RUN.

    FILE is a PNG or JPEG picture of any size, or an .npy array of one or more pictures.
    """
    opened = Run.open(run)
    config = opened.config.replace(**given(options))

    from numbanet.data import read_pictures
    from numbanet.training import build
    from numbanet.training.restore import load_model

    build.check_names(config)
    build.use_machine(config)
    info = build.data_info(config)
    model, _ = load_model(opened, checkpoint)
    pictures = [(name, read_pictures(name, info.shape, info.style)) for name in files]  # all, before anything is said
    for name, batch in pictures:
        for index, shares in enumerate(_probabilities(model, batch, info)):
            label = f"{name}[{index}]" if len(batch) > 1 else name
            best = shares.argsort()[::-1][:top]
            click.echo(f"{label}: " + ", ".join(f"{info.classes[k]} ({100 * shares[k]:.1f} %)" for k in best))


def _probabilities(model: Any, pictures: Any, info: Any) -> Any:
    """Class probabilities (n, classes) of uint8 pictures (n, channels, height, width)."""
    import numpy as np

    import numbanet
    from numbanet.data import Normalise
    from numbanet.nn import functional as F

    normalise = Normalise(info.mean, info.std)
    with numbanet.no_grad():
        chunks = [pictures[start : start + 500] for start in range(0, len(pictures), 500)]
        rows = [F.softmax(model(numbanet.from_numpy(normalise(chunk))), dim=1).numpy() for chunk in chunks]
    return np.concatenate(rows)
