"""``numbanet evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from numbanet.cli.options import MOST_BEAMS, FiniteRange, OutFile, given, setting_options
from numbanet.training.recipes import default_dataset
from numbanet.training.run import CHECKPOINTS, Run

PARTS = ("test", "validation", "train")


@click.command(short_help="Loss and accuracy of a trained model on test data.")
@click.argument("run")
@click.option("--checkpoint", type=click.Choice(CHECKPOINTS), default="last", show_default=True, help="which weights")
@click.option("--part", type=click.Choice(PARTS), default="test", show_default=True, help="which part of the data")
@click.option("--plot", metavar="FILE.png", type=OutFile(), help="the confusion matrix; without it RUN/confusion.png")
@click.option(
    "--beams", type=click.IntRange(1, MOST_BEAMS), default=1, show_default=True, help="width of the beam search"
)
@click.option("--length-penalty", type=FiniteRange(min=0), default=0.6, show_default=True, help="of the beam search")
@setting_options(
    ["dataset", "text", "pairs", "data_dir", "skip_corrupt", "limit", "threads", "backend", "eval_batch_size"]
)
def command(
    run: str, checkpoint: str, part: str, plot: Path | None, beams: int, length_penalty: float, **options: Any
) -> None:
    """Loss and accuracy of the model in the folder RUN on test data, for each class too, and what it takes for what.

    Of language models the perplexity and the bits that a character takes, of classifiers of texts what naive Bayes
    reaches, of translators BLEU. The test data of a text of yours are its last tenth, of pairs a tenth of them.

    What is not given is taken from the run. "best" are the weights with the lowest loss of the validation part, or of
    training where there is none; the test data never choose.
    """
    opened = Run.open(run)
    # the model is made for the run's own data set: another one must fit its inputs and classes
    own = opened.config
    wanted = given(options)
    if "dataset" not in wanted and wanted.keys() & {"text", "pairs"}:
        wanted["dataset"] = default_dataset(wanted)
    if wanted.get("dataset", own.dataset) != own.dataset:
        wanted = {"text": "", "pairs": "", **wanted}
    config = own.replace(**wanted)

    from numbanet.cli.console import plural
    from numbanet.training import build
    from numbanet.training.errors import ConfigError
    from numbanet.training.evaluation import evaluate
    from numbanet.training.own import short_name
    from numbanet.training.restore import load_model
    from numbanet.training.tasks import TextTask, task_class

    build.check_names(config)
    config = build.use_machine(config)
    if issubclass(task_class(own, opened.folder), TextTask):
        _evaluate_text(opened, config, checkpoint, part, {"beams": beams, "length_penalty": length_penalty})
        return
    folder = opened.folder if config.dataset == own.dataset else None
    if folder is None:
        _check_alike(build.data_info(own, opened.folder), build.data_info(config), own.dataset, config.dataset)
    model, state = load_model(opened, checkpoint)
    # --limit takes its share of the run's own parts: what was held out stays apart from what was trained on
    reading = {"validation": 0.0} if part == "test" else {"limit": own.limit}
    data = build.load_data(config.replace(**reading), folder)
    samples = getattr(data, part)
    if samples is None:
        raise ConfigError("the run held out no validation part; choose --part test or train")
    if part != "test":
        samples = build.limited(samples, config)
    # weights of classes do not count in an evaluation, and few samples may not have all classes to balance
    objective = build.build_objective(config.replace(class_weights=()), data)
    result = evaluate(model, samples, config.eval_batch_size, objective)
    title = (
        f"{short_name(own.model)} of {opened.checkpoint_path(checkpoint)} "
        f"({plural(state.state['progress']['epoch'], 'epoch')}) on {plural(result.samples, f'{part} sample')} of "
        f"{short_name(config.dataset)}"
    )
    if data.skipped:
        click.echo(f"note: {plural(len(data.skipped), 'picture')} left out, such as {data.skipped[0]}")
    click.echo(title)
    click.echo(f"loss {result.loss:.4f}" + _accuracy(result))
    if result.confusion is not None:
        _show_classes(result.confusion, data.info.classes)
        name = "-".join(["confusion", *[checkpoint] * (checkpoint != "last"), *[part] * (part != "test")])
        _draw(result.confusion, data.info.classes, title, plot or opened.folder / f"{name}.png")


def _evaluate_text(opened: Run, config: Any, checkpoint: str, part: str, decoding: dict[str, Any]) -> None:
    from numbanet.cli.console import plural
    from numbanet.training.errors import ConfigError
    from numbanet.training.restore import load_task
    from numbanet.training.tasks import make_task, task_class

    task, model, state = load_task(opened, checkpoint)
    if task_class(config) is not type(task):
        raise ConfigError(f"the run was trained on {opened.config.dataset}; {config.dataset} is another kind of data")
    task = make_task(config, opened.folder)
    if getattr(task.data, part) is None:
        raise ConfigError("the run held out no validation part; choose --part test or train")
    lines = task.report(model, part, **decoding)
    click.echo(
        f"{opened.config.model} of {opened.checkpoint_path(checkpoint)} "
        f"({plural(state.state['progress']['epoch'], 'epoch')}) on the {part} part of {config.dataset}"
    )
    for line in lines:
        click.echo(line)


def _check_alike(mine: Any, other: Any, own_name: str, name: str) -> None:
    from numbanet.training.errors import ConfigError

    if (mine.shape, len(mine.classes)) != (other.shape, len(other.classes)):
        raise ConfigError(
            f"the run was trained on {own_name} (pictures {mine.shape}, {len(mine.classes)} classes); "
            f"{name} has {other.shape} and {len(other.classes)}"
        )


def _accuracy(result: Any) -> str:
    from numbanet.cli.console import percent

    if result.accuracy is None:
        return ""
    return f"  accuracy {percent(result.accuracy)}  errors {result.samples - result.correct:,}"


def _show_classes(confusion: Any, classes: Any) -> None:
    """A line a class; below, the matrix, or of many classes what is confused most often."""
    from numbanet.cli.console import percent, table
    from numbanet.training.confusion import MOST_NUMBERS, per_class, worst_pairs

    rows = [
        (row.name, f"{row.samples:,}", percent(row.recall), percent(row.precision), percent(row.f1))
        for row in per_class(confusion, classes)
    ]
    click.echo("\n" + table(rows, ("class", "samples", "recall", "precision", "F1")))
    if len(classes) <= MOST_NUMBERS:
        matrix = [(name, *map(str, counts)) for name, counts in zip(classes, confusion.tolist(), strict=True)]
        click.echo("\n" + table(matrix, ("class \\ taken for", *classes)))
        return
    pairs = [(classes[t], classes[p], f"{count:,}") for t, p, count in worst_pairs(confusion, 10)]
    if pairs:
        click.echo("\n" + table(pairs, ("class", "taken for", "times")))


def _draw(confusion: Any, classes: Any, title: str, path: Path) -> None:
    from numbanet.training.confusion import draw

    try:
        draw(confusion, classes, title, path)
    except ImportError as error:
        click.echo(f"note: no picture of the confusion matrix: {error}")
    else:
        click.echo(f"\ndrawn: {path}")
