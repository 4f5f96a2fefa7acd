"""``numbanet evaluate``."""

from __future__ import annotations

from typing import Any

import click

from numbanet.cli.options import given, setting_options
from numbanet.training.run import CHECKPOINTS, Run


@click.command(short_help="Loss and accuracy of a trained model on test data.")
@click.argument("run")
@click.option("--checkpoint", type=click.Choice(CHECKPOINTS), default="last", show_default=True, help="which weights")
@setting_options(["dataset", "data_dir", "limit", "threads", "backend", "eval_batch_size"])
def command(run: str, checkpoint: str, **options: Any) -> None:
    """Loss and accuracy of the model in the folder RUN on test data.

    What is not given is taken from the run. "best" are the weights with the lowest loss of the validation part, or of
    training where there is none; the test data never choose.
    """
    opened = Run.open(run)
    # dataset_info and build_model below are of the run's own data set: another one must fit its pictures and classes
    own = opened.config
    config = own.replace(**given(options))

    from numbanet.cli.console import percent, plural
    from numbanet.training import build
    from numbanet.training.errors import ConfigError
    from numbanet.training.evaluation import evaluate
    from numbanet.training.restore import load_model

    build.check_names(config)
    config = build.use_machine(config)
    mine, other = build.data_info(own), build.data_info(config)
    if (mine.shape, len(mine.classes)) != (other.shape, len(other.classes)):
        raise ConfigError(
            f"the run was trained on {own.dataset} (pictures {mine.shape}, {len(mine.classes)} classes); "
            f"{config.dataset} has {other.shape} and {len(other.classes)}"
        )
    model, state = load_model(opened, checkpoint)
    test = build.load_test_data(config)
    result = evaluate(model, test, config.eval_batch_size)
    click.echo(
        f"{own.model} of {opened.checkpoint_path(checkpoint)} ({plural(state.state['progress']['epoch'], 'epoch')}) "
        f"on {plural(result.samples, 'test sample')} of {config.dataset}"
    )
    click.echo(
        f"loss {result.loss:.4f}  accuracy {percent(result.accuracy)}  errors {result.samples - result.correct:,}"
    )
