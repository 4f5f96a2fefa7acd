"""``numbanet models``."""

from __future__ import annotations

from typing import Any

import click

from numbanet.cli.options import setting_options


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
        rows.append((name, _shape(info.input_shape), f"{info.parameters:,}", f"{info.flops:,}", info.summary))
    heads = ("model", "input", "parameters", "FLOPs", "what it is")
    click.echo(table(rows, heads) if rows else f"no model matches {pattern!r}")


@command.command(short_help="One model: where it comes from, its layers in numbers, its recipes.")
@click.argument("name")
@setting_options(["dataset", "model_options"])
def show(name: str, dataset: str | None, model_options: dict[str, Any] | None) -> None:
    """Where the model NAME comes from, its options, its layers in numbers, and the recipes it is trained by; of a model
    of your own, file.py:make, the layers. If a data set is given, the model is made for it, and its recipe is shown.

    FLOPs are those of one sample forward, 2 a multiply-add of convolutions and products. The receptive field is the
    part of the picture, height by width in pixels, that a value of the layer's output depends on.
    """
    from numbanet import models
    from numbanet.cli.planning import make_model
    from numbanet.training.own import is_function
    from numbanet.training.recipes import recipe, recipes_of

    model, example = make_model(name, dataset, model_options or {})
    if is_function(name):
        click.echo(_layers(model, example))
        return
    info = models.model_info(name)
    options = {**info.options, **(model_options or {})}
    click.echo(f"{name}: {info.doc}\n")
    click.echo(f"source: {info.source}")
    click.echo("options: " + ", ".join(f"{key} {value}" for key, value in options.items()) + "\n")
    click.echo(_layers(model, example))
    recipes = {dataset: recipe(name, dataset)} if dataset else recipes_of(name)
    for data, chosen in recipes.items():
        settings = ", ".join(f"{key} {value}" for key, value in chosen.items())
        click.echo(f"\nrecipe for {'other data' if data == 'any' else data}: {settings}")


def _layers(model: Any, samples: tuple[Any, ...]) -> str:
    """A table of the layers, the input before them, their sums below."""
    from numbanet import models
    from numbanet.cli.console import table

    layers = models.summarise(model, *samples)
    shapes = [tuple(sample.shape[1:]) if hasattr(sample, "shape") else sample for sample in samples]
    rows = [("input", "", " ".join(map(_shape, shapes)), "", "", "")]
    for layer in layers:
        sees = _shape(layer.receptive_field) if layer.receptive_field else "all" if len(shapes[0]) == 3 else ""
        numbers = (f"{value:,}" if value else "" for value in (layer.parameters, layer.flops))
        rows.append((layer.name or "all of it", layer.kind, _shape(layer.output_shape), *numbers, sees))
    sums = (f"{sum(getattr(layer, key) for layer in layers):,}" for key in ("parameters", "flops"))
    rows.append(("sum", "", "", *sums, ""))
    return table(rows, ("layer", "kind", "output", "parameters", "FLOPs", "receptive field"))


def _shape(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
