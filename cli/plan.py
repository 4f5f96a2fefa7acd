"""``numbanet plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from numbanet.cli.options import OutFile, setting_options


@click.command(short_help="What a model's training step and inference do, level by level, and the memory they need.")
@click.argument("model")
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(min=1), help="samples a batch")
@setting_options(["dataset", "backend", "model_options"])
@click.option("--inference", is_flag=True, help="show the calls of an inference instead of a training step's")
@click.option("--kernels", is_flag=True, help="show which kernels each call is made of")
@click.option("--dot", metavar="FILE", type=OutFile(), help="write the plan for Graphviz to draw")
@click.option("--svg", metavar="FILE", type=OutFile(), help="draw the plan (needs the graphviz package)")
def command(
    model: str,
    batch_size: int,
    dataset: str | None,
    backend: str | None,
    model_options: dict[str, Any] | None,
    inference: bool,
    kernels: bool,
    dot: Path | None,
    svg: Path | None,
) -> None:
    """Show how the compiled training step of MODEL is planned: SGD with momentum on the mean cross-entropy.

    Calls stand in levels that depend on earlier ones only. FLOPs are 2 a multiply-add of forward convolutions and
    products, bytes what a call reads and writes. Nothing is computed, and no kernel is compiled.
    """
    from numbanet.cli.console import table
    from numbanet.cli.planning import make_functions
    from numbanet.graph.inspect import dot_source, lines_of, memory_of, plan_of
    from numbanet.models.summary import flops_of
    from numbanet.tensor import Tensor

    functions = make_functions(model, batch_size, dataset, backend, model_options or {})
    plans = {name: plan_of(function, *arguments) for name, (function, arguments) in functions.calls.items()}
    plan = plans["inference" if inference else "training"]
    counted: set[int] = set()
    rows = []
    for line in lines_of(plan):
        node = line.call.node
        flops = (
            0
            if id(node) in counted
            else flops_of(node.op, *[list(map(Tensor, a)) for a in (node.inputs, node.outputs)])
        )
        counted.add(id(node))
        level = str(line.level) if line.last == line.level else f"{line.level}-{line.last}"
        shape = "x".join(map(str, line.shape)) or "-"
        row = (level, line.name, line.call.node.module or "-", shape, f"{flops:,}", f"{line.nbytes:,}")
        rows.append((*row, ", ".join(line.kernels)) if kernels else row)
    headings = ("level", "call", "module", "writes", "FLOPs", "bytes")
    click.echo(table(rows, (*headings, "kernels") if kernels else headings))
    click.echo("")
    layout = [
        (f"{offset:,}", f"{life.nbytes:,}", f"{life.first}-{life.last}", getattr(storage, "where", "") or "workspace")
        for storage, offset, life in sorted(plan.arena, key=lambda one: one[1])
    ]
    click.echo(table(layout, ("arena at", "bytes", "levels", "made at")))
    click.echo(f"\n{functions.parameters:,} parameters, {len(plan.calls)} calls in {len(plan.levels)} levels")
    for name, one in plans.items():
        memory = memory_of(one)
        click.echo(
            f"{name}: peak {memory.peak:,} bytes = arena {memory.arena:,} (side by side {memory.temporary:,}) "
            f"+ tensors of the model {memory.outside:,} + inputs {memory.inputs:,} "
            f"+ results and gradients {memory.outliving:,}"
        )
    segments = plan.host_segments
    click.echo("host segments: none" if not segments else f"host segments: {len(segments)}")
    for name, reason in sorted({(call.name, reason) for call, reason in segments}):
        click.echo(f"  {name}: {reason}")
    if dot:
        dot.write_text(dot_source(plan), encoding="utf-8")
    if svg:
        _draw(dot_source(plan), svg)


def _draw(source: str, path: Path) -> None:
    """Have Graphviz draw; ClickException if it is not there."""
    try:
        import graphviz

        picture = graphviz.Source(source).pipe(format="svg")
    except Exception as error:  # the package, or the program that it calls, may be lacking
        raise click.ClickException(
            f"--svg needs the graphviz package and program ({error}); --dot needs neither"
        ) from None
    path.write_bytes(picture)
