"""``numbanet predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from numbanet.cli.options import given, setting_options
from numbanet.training.run import CHECKPOINTS, Run


@click.command(short_help="What a trained model sees in pictures, or which classes texts have.")
@click.argument("run")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--checkpoint", type=click.Choice(CHECKPOINTS), default="last", show_default=True, help="which weights")
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="classes to print")
@setting_options(["skip_corrupt", "threads", "backend"])
def command(run: str, files: tuple[str, ...], checkpoint: str, top: int, **options: Any) -> None:
    """The most probable classes of pictures or texts, by the model in the folder RUN.

    FILE is a PNG or JPEG picture of any size, an .npy array of one or more pictures, or a folder, of which all
    pictures are taken, also those in folders in it; for a classifier of texts it is a file with a text in each line,
    or - for standard input.
    """
    opened = Run.open(run)
    # whether pictures are left out is asked of the command, not of the run that was trained
    config = opened.config.replace(**{"skip_corrupt": False, **given(options)})

    from numbanet.cli.console import plural
    from numbanet.training import build
    from numbanet.training.errors import ConfigError
    from numbanet.training.restore import load_model
    from numbanet.training.tasks import TextTask, task_class

    build.check_names(config)
    build.use_machine(config)
    if issubclass(task_class(config), TextTask):
        _predict_texts(opened, files, checkpoint, top)
        return
    info = build.data_info(config, opened.folder)
    if info.style is None:
        raise ConfigError(f"the model in {run} was not trained on pictures, but on inputs {tuple(info.shape)}")
    names = _names(files)
    model, _ = load_model(opened, checkpoint)
    pictures, skipped = _read(names, info, config.skip_corrupt)  # all, before anything is said
    if skipped:
        click.echo(f"note: {plural(len(skipped), 'picture')} left out that cannot be read, such as {skipped[0]}")
    for name, batch in pictures:
        for index, shares in enumerate(_probabilities(model, batch, info)):
            label = f"{name}[{index}]" if len(batch) > 1 else name
            best = shares.argsort()[::-1][:top]
            click.echo(f"{label}: " + ", ".join(f"{info.classes[k]} ({100 * shares[k]:.1f} %)" for k in best))


def _names(files: tuple[str, ...]) -> list[str]:
    """The files, and in the place of folders the pictures in them, by name."""
    from numbanet.datasets.picture_folder import SUFFIXES
    from numbanet.training.errors import ConfigError

    names = []
    for name in files:
        if not Path(name).is_dir():
            names.append(name)
            continue
        found = sorted(path for path in Path(name).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not found:
            raise ConfigError(f"the folder {name} holds no pictures ({', '.join(SUFFIXES)})")
        names += map(str, found)
    return names


def _read(names: list[str], info: Any, skip_corrupt: bool) -> tuple[list[tuple[str, Any]], list[str]]:
    """Pictures (n, channels, height, width) of each file, and the files that were left out."""
    from numbanet.data import PictureError, read_pictures

    pictures, skipped = [], []
    for name in names:
        try:
            pictures.append((name, read_pictures(name, info.shape, info.style)))
        except PictureError:
            if not skip_corrupt:
                raise
            skipped.append(name)
    return pictures, skipped


def _predict_texts(opened: Run, files: tuple[str, ...], checkpoint: str, top: int) -> None:
    """The classes of the lines of files."""
    import sys

    from numbanet.text import decode_text, lines_of, read_text
    from numbanet.training.restore import load_task
    from numbanet.training.tasks.classification import ClassificationTask

    task, model, _ = load_task(opened, checkpoint, ClassificationTask)
    texts = []
    for name in files:
        text = decode_text(sys.stdin.buffer.read(), "standard input") if name == "-" else read_text(name)
        texts += [line for line in lines_of(text) if line.strip()]
    for text, shares in zip(texts, task.probabilities(model, texts), strict=True):
        best = shares.argsort()[::-1][:top]
        classes = ", ".join(f"{task.info.classes[k]} ({100 * shares[k]:.1f} %)" for k in best)
        click.echo(f"{classes}: {text}")


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
