"""``numbanet datasets``."""

from __future__ import annotations

from pathlib import Path

import click

from numbanet.cli.options import OutFile, setting_options

_DATA_DIR = click.option(
    "--data-dir", metavar="DIR", help="folder to look in; without it NUMBANET_DATA and the user's cache"
)


@click.group(invoke_without_command=True, short_help="Data sets to train on.")
@click.pass_context
def command(ctx: click.Context) -> None:
    """List the data sets, tell about one, or download its files."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command.command("list", short_help="All data sets, and whether they are here.")
@_DATA_DIR
def list_(data_dir: str | None = None) -> None:
    """All data sets, and whether their files are on this machine."""
    from numbanet import datasets
    from numbanet.cli.console import table

    rows = []
    for name in datasets.list_datasets():
        info = datasets.dataset_info(name)
        missing = f"no, {_megabytes(info)} to download" if info.downloads else "no"
        here = "yes" if datasets.locate(name, data_dir) is not None else missing
        kind = "x".join(map(str, info.shape)) if isinstance(info, datasets.DatasetInfo) else info.task
        rows.append((name, kind, _count(info.n_train), _count(info.n_test), here, info.title))
    click.echo(table(rows, ("data set", "pictures or task", "training", "test", "here", "what it is")))


@command.command(short_help="One data set: source, licence, files.")
@click.argument("name")
@_DATA_DIR
def info(name: str, data_dir: str | None) -> None:
    """Source, licence, classes and files of the data set NAME."""
    from numbanet import datasets

    about = datasets.dataset_info(name)
    paths = datasets.locate(name, data_dir)
    click.echo(f"{name}: {about.title}\nsource: {about.source}\nlicence: {about.licence}")
    if isinstance(about, datasets.DatasetInfo):
        click.echo(
            f"pictures: {'x'.join(map(str, about.shape))}; {about.n_train:,} for training, {about.n_test:,} for testing"
        )
        click.echo(f"mean {_numbers(about.mean)}, standard deviation {_numbers(about.std)}")
    else:
        parts = {"training": about.n_train, "validation": about.n_validation, "testing": about.n_test}
        counts = ", ".join(f"{count:,} for {part}" for part, count in parts.items() if count)
        click.echo(f"task: {about.task}" + (f"; {about.unit}: {counts}" if counts else ""))
    if about.classes:
        click.echo(f"classes: {', '.join(about.classes)}")
    if paths is None:
        fetched = f"`numbanet datasets fetch {name}` downloads {_megabytes(about)}"
        click.echo(f"not on this machine; {fetched if about.downloads else 'it must be got by hand'}")
    for path in (paths or {}).values():
        click.echo(f"file: {path}")


@command.command(short_help="A sheet of pictures, original and augmented.")
@click.argument("name")
@_DATA_DIR
@click.option(
    "--augment", metavar="SPEC", help="such as flip,crop(padding=4); default: what suits the data set; without it: all"
)
@click.option("--out", metavar="FILE", type=OutFile(), help="the picture to write; without it NAME.png")
@click.option("--count", type=click.IntRange(1, 100), default=10, show_default=True, help="pictures in a row")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="which pictures, which numbers")
@click.option("--image-size", type=click.IntRange(0), default=0, help="side of the pictures of a folder")
@setting_options(["skip_corrupt"])
def show(
    name: str,
    data_dir: str | None,
    augment: str | None,
    out: Path | None,
    count: int,
    seed: int,
    image_size: int,
    skip_corrupt: bool | None,
) -> None:
    """Draw training pictures of the data set NAME as they are, after each augmentation, and after all of them.

    For its own row, an augmentation is done to every picture (p=1).
    """
    from numbanet import datasets
    from numbanet.data import AUGMENTATIONS, parse_augmentations
    from numbanet.data.contact_sheet import augmented_rows, draw_sheet
    from numbanet.training.files import replacing

    path = out or Path(f"{datasets.short_name(name)}.png")
    own = {"image_size": image_size} if datasets.is_own(name) else {}
    about = datasets.dataset_info(name, **own)
    steps = parse_augmentations(",".join(AUGMENTATIONS) if augment is None else augment, getattr(about, "augment", ""))
    if not hasattr(about, "shape"):
        raise click.UsageError(f"{name} holds no pictures")
    if own:
        own["skip_corrupt"] = bool(skip_corrupt)
    rows = augmented_rows(datasets.load(name, data_dir, **own).train, steps, count, seed, together=augment is not None)
    with replacing(path) as stream:
        draw_sheet(rows).save(stream, "PNG")
    click.echo(f"{path}: " + ", ".join(label for label, _ in rows))


@command.command("augmentations", short_help="All augmentations and their parameters.")
def augmentations() -> None:
    """All augmentations for --augment, and their parameters with their defaults."""
    import dataclasses

    from numbanet.data import AUGMENTATIONS
    from numbanet.data.augmentation import as_text

    for name, kind in AUGMENTATIONS.items():
        click.echo(f"{name}: {kind.__doc__}")
        for entry in dataclasses.fields(kind):
            click.echo(f"  {entry.name}={as_text(entry.default)}: {entry.metadata['help']}")


@command.command(short_help="Download a data set.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@_DATA_DIR
def fetch(names: tuple[str, ...], data_dir: str | None) -> None:
    """Download the files of the data sets that are not on this machine yet."""
    from numbanet import datasets

    for name in names:  # a wrong name is found before the first download
        datasets.dataset_info(name)
    for name in names:
        paths = datasets.fetch(name, data_dir)
        click.echo(f"{name}: " + (", ".join(str(path) for path in paths.values()) or "nothing to download"))


def _megabytes(info: object) -> str:
    return f"{info.download_bytes / 1e6:.0f} MB"


def _count(samples: int) -> str:
    return f"{samples:,}" if samples else "-"


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
