"""``numbanet train``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from numbanet.cli import STARTED
from numbanet.cli.options import given, setting_options
from numbanet.training import toml
from numbanet.training.config import SETTINGS, Config, check_used, merged
from numbanet.training.errors import Interrupted, RunError
from numbanet.training.own import short_name
from numbanet.training.recipes import default_dataset, fitting, recipe
from numbanet.training.run import check_free, latest_name

_MODEL, *_OTHERS = SETTINGS


@click.command(short_help="Train a model, or go on with a run.")
@click.argument("model", required=False)
@click.option("--model", "named", metavar="MODEL", help="the same as the argument MODEL")
@setting_options(_OTHERS)
@click.option(
    "--config", "config_file", metavar="F.toml", help="settings from a file, such as another run's config.toml"
)
@click.option("--out", metavar="DIR", help="the run folder to make; without it runs/MODEL-DATASET, -2, -3, ...")
@click.option(
    "--resume", is_flag=True, help="go on with the run in --out, or with the last one of the model and data set"
)
def command(
    model: str | None, named: str | None, config_file: str | None, out: str | None, resume: bool, **options: Any
) -> None:
    """Train MODEL, or go on with a run (--resume).

    A setting comes from its option, else from --config, else from the recipe of the model and the data set, else it
    has its default; options of the model and of the data set are taken one by one. What a file says of its optimizer
    does not count with another --optimizer. Everything about the run goes into one folder. Ctrl-C saves and says how to
    go on; a run that goes on gives the very same result as one left alone. Only epochs, threads and data_dir may change
    then.
    """
    flags = given(options)
    wanted = merged(fitting(toml.read(config_file), flags.get("optimizer")) if config_file else {}, flags)
    if model is not None and named is not None and model != named:
        raise click.UsageError(f"MODEL and --model name two models, {model} and {named}")
    if model is not None or named is not None:
        wanted["model"] = model or named
    trainer = _resumed(out, wanted) if resume else _new(out, wanted, flags)
    try:
        trainer.fit()
    except Interrupted as stop:
        folder = trainer.run.folder
        again = f"numbanet train {trainer.config.model} --resume --out {shlex.quote(str(folder))}"
        raise Interrupted(f"{stop}. Go on with: {again}", stop.signal_number) from None


def _new(out: str | None, wanted: dict[str, Any], flags: dict[str, Any]) -> Any:
    if "model" not in wanted:
        raise click.UsageError("which model? For example: numbanet train lenet5 (see `numbanet models`)")
    wanted.setdefault("dataset", default_dataset(wanted))
    config = Config.from_dict(wanted, recipe(wanted["model"], wanted["dataset"], wanted.get("optimizer")))
    check_used(config, flags)
    if out is not None:
        check_free(Path(out))
    from numbanet.cli.console import train_reporter
    from numbanet.training.trainer import Trainer

    return Trainer(config, out, train_reporter(), STARTED)


def _resumed(out: str | None, wanted: dict[str, Any]) -> Any:
    if out is None:
        if "model" not in wanted:
            raise click.UsageError("--resume needs --out DIR, or the MODEL whose last run is to go on")
        dataset = wanted.get("dataset", default_dataset(wanted))
        base = Path("runs") / f"{short_name(wanted['model'])}-{short_name(dataset)}"
        folder = latest_name(base)
        if folder is None:
            raise RunError(f"there is no run {base} to go on with; say which by --out DIR")
        out = str(folder)
    from numbanet.cli.console import train_reporter
    from numbanet.training.trainer import Trainer

    return Trainer.resume(out, wanted, train_reporter(), STARTED)
