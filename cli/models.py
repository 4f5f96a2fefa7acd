"""``numbanet models``."""

from __future__ import annotations

import click


@click.group(invoke_without_command=True, short_help="Models that can be trained.")
@click.pass_context
def command(ctx: click.Context) -> None:
    """List the models, or show one."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command.command("list", short_help="All models.")
@click.argument("pattern", default="*")
def list_(pattern: str = "*") -> None:
    """The names of the models that match PATTERN, such as "lenet*"."""
    from numbanet import models
    from numbanet.cli.console import table

    rows = []
    for name in models.list_models(pattern):
        info = models.model_info(name)
        rows.append((name, "x".join(map(str, info.input_shape)), f"{info.parameters:,}", info.summary))
    click.echo(table(rows, ("model", "input", "parameters", "what it is")) if rows else f"no model matches {pattern!r}")


@command.command(short_help="One model: where it comes from, its layers, its recipes.")
@click.argument("name")
def show(name: str) -> None:
    """Where the model NAME comes from, its layers, and the recipes it is trained by."""
    from numbanet import models
    from numbanet.training.errors import ConfigError, unknown_name
    from numbanet.training.recipes import list_recipes, recipe

    if name not in models.list_models():
        raise ConfigError(unknown_name("model", name, models.list_models()))
    info = models.model_info(name)
    click.echo(f"{name}: {info.doc}\n")
    click.echo(f"source: {info.source}")
    click.echo(f"input: {'x'.join(map(str, info.input_shape))}, parameters: {info.parameters:,}\n")
    click.echo(repr(models.create_model(name)))
    for model, dataset in list_recipes():
        if model == name:
            settings = ", ".join(f"{key} {value}" for key, value in recipe(model, dataset).items())
            click.echo(f"\nrecipe for {'other data' if dataset == 'any' else dataset}: {settings}")
