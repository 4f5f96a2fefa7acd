"""``numbanet generate``."""

from __future__ import annotations

from typing import Any

import click

from numbanet.cli.options import FiniteRange, given, setting_options
from numbanet.training.run import CHECKPOINTS, Run


@click.command(short_help="Text by a trained language model.")
@click.argument("run")
@click.option("--prompt", metavar="TEXT", help="what the text begins with; without it a new line")
@click.option("--length", type=click.IntRange(min=1), default=300, show_default=True, help="tokens to make")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="texts to make")
@click.option(
    "--temperature", type=FiniteRange(min=0), default=0.8, show_default=True, help="0: the most probable token"
)
@click.option("--top-k", type=click.IntRange(min=1), help="choose among the k most probable tokens")
@click.option(
    "--top-p", type=FiniteRange(0, 1, min_open=True), help="choose among the fewest tokens of this probability"
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="which random choices")
@click.option("--checkpoint", type=click.Choice(CHECKPOINTS), default="last", show_default=True, help="which weights")
@setting_options(["threads", "backend"])
def command(
    run: str,
    prompt: str | None,
    length: int,
    count: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int,
    checkpoint: str,
    **options: Any,
) -> None:
    """Let the language model in the folder RUN go on with a prompt.

    Tokens are drawn from softmax(logits / temperature), among the top k or the top p if asked for. The same seed gives
    the same text.
    """
    opened = Run.open(run)
    config = opened.config.replace(**given(options))

    from numbanet.text import TextError
    from numbanet.training import build
    from numbanet.training.restore import load_task
    from numbanet.training.tasks.generation import continued_texts
    from numbanet.training.tasks.language import LanguageTask

    build.check_names(config)
    build.use_machine(config)
    task, model, _ = load_task(opened, checkpoint, LanguageTask)
    tokenizer = task.tokenizers["tokenizer"]
    if prompt is None:
        prompt = "\n"
        try:
            tokenizer.encode_known(prompt, "the prompt")
        except TextError:
            raise TextError(
                "the model has seen no line end to begin with; say by --prompt what the text begins with"
            ) from None
    choice = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    for number, text in enumerate(continued_texts(model, tokenizer, prompt, length, count, **choice)):
        if number:
            click.echo("-" * 20)
        click.echo(text.removeprefix("\n"))
