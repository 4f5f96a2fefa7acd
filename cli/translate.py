"""``numbanet translate``."""

from __future__ import annotations

import sys
from typing import Any

import click

from numbanet.cli.options import MOST_BEAMS, FiniteRange, given, setting_options
from numbanet.training.run import CHECKPOINTS, Run


@click.command(short_help="Lines of text, translated by a trained model.")
@click.argument("run")
@click.argument("file", required=False)
@click.option(
    "--beams", type=click.IntRange(1, MOST_BEAMS), default=1, show_default=True, help="width of the beam search"
)
@click.option(
    "--length-penalty",
    type=FiniteRange(min=0),
    default=0.6,
    show_default=True,
    help="what longer answers are forgiven (with beams)",
)
@click.option("--checkpoint", type=click.Choice(CHECKPOINTS), default="last", show_default=True, help="which weights")
@setting_options(["threads", "backend"])
def command(run: str, file: str | None, beams: int, length_penalty: float, checkpoint: str, **options: Any) -> None:
    """Translate each line of FILE, or of standard input, by the model in the folder RUN.

    A line of output for each line of input; empty lines stay empty.
    """
    opened = Run.open(run)
    config = opened.config.replace(**given(options))

    from numbanet.text import decode_text, lines_of, read_text
    from numbanet.training import build
    from numbanet.training.restore import load_task
    from numbanet.training.tasks.translation import TranslationTask

    build.check_names(config)
    build.use_machine(config)
    task, model, _ = load_task(opened, checkpoint, TranslationTask)
    text = decode_text(sys.stdin.buffer.read(), "standard input") if file in (None, "-") else read_text(file)
    for line in task.translate(model, lines_of(text), beams, length_penalty):
        click.echo(line)
