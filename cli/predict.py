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
    """The most probable classes of pictures or texts, by the model in the folder RUN. The percentages of a run with
    the loss bce are of each class by itself, and runs with mse and its like have scores in their place.

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

    build.check_names(config, opened.folder)
    build.use_machine(config)
    if issubclass(task_class(config, opened.folder), TextTask):
        _predict_texts(opened, files, checkpoint, top)
        return
    info = build.data_info(config, opened.folder)
    if info.style is None:
        raise ConfigError(f"the model in {run} was not trained on pictures, but on inputs {tuple(info.shape)}")
    names = _names(files)
    model, _ = load_model(opened, checkpoint)
    pictures, skipped = _read(names, info, config.skip_corrupt)  # all, before anything is said
    are_shares = config.loss in ("cross_entropy", "bce")
    shown = (lambda score: f"{100 * score:.1f} %") if are_shares else (lambda score: f"score {score:.3f}")
    if skipped:
        click.echo(f"note: {plural(len(skipped), 'picture')} left out that cannot be read, such as {skipped[0]}")
    for name, batch in pictures:
        for index, scores in enumerate(_scores(model, batch, info, config.loss)):
            label = f"{name}[{index}]" if len(batch) > 1 else name
            best = scores.argsort()[::-1][:top]
            click.echo(f"{label}: " + ", ".join(f"{info.classes[k]} ({shown(scores[k])})" for k in best))


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
    texts, names = [], []
    for file in files:
        name = "standard input" if file == "-" else file
        text = decode_text(sys.stdin.buffer.read(), name) if file == "-" else read_text(file)
        for number, line in enumerate(lines_of(text), start=1):
            if line.strip():
                texts.append(line)
                names.append(f"{name}, line {number},")
    for text, shares in zip(texts, task.probabilities(model, texts, names), strict=True):
        best = shares.argsort()[::-1][:top]
        classes = ", ".join(f"{task.info.classes[k]} ({100 * shares[k]:.1f} %)" for k in best)
        click.echo(f"{classes}: {text}")


def _scores(model: Any, pictures: Any, info: Any, loss: str) -> Any:
    """What the model says of the classes (n, classes) of uint8 pictures (n, channels, height, width)."""
    import numpy as np

    import numbanet
    from numbanet.data import Normalise
    from numbanet.training.objective import Objective

    objective, normalise = Objective(loss), Normalise(info.mean, info.std)
    with numbanet.no_grad():
        chunks = [pictures[start : start + 500] for start in range(0, len(pictures), 500)]
        rows = [objective.scores(model(numbanet.from_numpy(normalise(chunk)))).numpy() for chunk in chunks]
    return np.concatenate(rows)
