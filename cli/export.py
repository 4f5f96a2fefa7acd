"""``numbanet export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from numbanet.cli.options import given, setting_options
from numbanet.training.run import CHECKPOINTS, Run


@click.command(short_help="Write the weights of a trained model for PyTorch or NumPy.")
@click.argument("run")
@click.option(
    "--format",
    "format_",
    type=click.Choice(("npz", "torch")),
    default="npz",
    show_default=True,
    help="npz for numpy.load, torch for torch.load",
)
@click.option("--checkpoint", type=click.Choice(CHECKPOINTS), default="last", show_default=True, help="which weights")
@click.option("--out", metavar="FILE", help="the file to write; without it weights.npz or weights.pt in RUN")
@setting_options(["backend"])
def command(run: str, format_: str, checkpoint: str, out: str | None, **options: Any) -> None:
    """Write the weights of the model in the folder RUN, under the keys that PyTorch has for them.

    A torch file is what torch.load(FILE, weights_only=True) reads; PyTorch is not needed to write it. A file that is
    there is replaced.
    """
    opened = Run.open(run)

    from numbanet import interop
    from numbanet.cli.console import plural
    from numbanet.training import build
    from numbanet.training.errors import RunError
    from numbanet.training.own import short_name
    from numbanet.training.restore import load_model

    build.use_machine(opened.config.replace(**given(options)))
    model, state = load_model(opened, checkpoint)
    path = opened.folder / f"weights{interop.SUFFIXES[format_]}" if out is None else Path(out)
    if path.is_dir() or not path.parent.is_dir():
        raise RunError(f"cannot write {path}: {'it is a folder' if path.is_dir() else f'no folder {path.parent}'}")
    weights = model.state_dict()
    interop.save_weights(weights, path, format_)
    click.echo(
        f"{short_name(opened.config.model)} of {opened.checkpoint_path(checkpoint)} "
        f"({plural(state.state['progress']['epoch'], 'epoch')}): {plural(len(weights), 'tensor')}, "
        f"{sum(value.numel() for value in weights.values()):,} numbers, in {path}"
    )
