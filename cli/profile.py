"""``numbanet profile``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from numbanet.cli.options import OutFile, setting_options


@click.command(short_help="Where the time of a model's training step or inference goes, call by call.")
@click.argument("model")
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(min=1), help="samples a batch")
@setting_options(["dataset", "backend", "threads", "model_options"])
@click.option("--inference", is_flag=True, help="an inference instead of a training step")
@click.option(
    "--repeats", default=20, show_default=True, type=click.IntRange(min=1), help="replays, whose median counts"
)
@click.option("--top", default=0, type=click.IntRange(min=0), help="show so many calls only; 0: all")
@click.option(
    "--trace", metavar="FILE", type=OutFile(), help="write a trace for Perfetto or Chrome's about:tracing (JSON)"
)
def command(
    model: str,
    batch_size: int,
    dataset: str | None,
    backend: str | None,
    threads: int | str | None,
    model_options: dict[str, Any] | None,
    inference: bool,
    repeats: int,
    top: int,
    trace: Path | None,
) -> None:
    """Time the calls of the compiled training step of MODEL (SGD with momentum on the mean cross-entropy) one by one.

    GFLOP/s count 2 a multiply-add of convolutions, products and their gradients, GB/s each array that a call works
    with once. The share of the peak is the larger of two: of the GFLOP/s of a large product, and of the GB/s of a large
    copy, which caches and Winograd's form of a convolution can exceed.
    """
    import numbanet
    from numbanet.cli.console import plural, table
    from numbanet.cli.planning import make_functions
    from numbanet.graph.cost import measure_peak
    from numbanet.graph.profile import chrome_trace, profile
    from numbanet.kernels.backend import load_backend

    name = "inference" if inference else "training"
    functions = make_functions(model, batch_size, dataset, backend, model_options or {}, threads)
    function, arguments = functions.calls[name]
    before = measure_peak(load_backend(numbanet.get_backend()))
    found = profile(function, *arguments, repeats=repeats)
    peak = before.or_better(measure_peak(found.plan.backend))
    total = sum(one.seconds for one in found.timings)
    rows = []
    for one in sorted(found.timings, key=lambda timing: -timing.seconds)[: top or None]:
        of_peak = max(one.gflops / peak.gflops, one.gbytes / peak.gbytes)
        shape = "x".join(map(str, one.call.writes[0].shape)) if one.call.writes else ""
        rows.append(
            (
                f"{1e6 * one.seconds:,.1f}",
                f"{100 * one.seconds / total:.1f} %",
                f"{one.gflops:.1f}" if one.flops else "-",
                f"{one.gbytes:.1f}",
                f"{100 * of_peak:.0f} %",
                one.call.name,
                one.call.node.module or "-",
                shape or "-",
            )
        )
    click.echo(table(rows, ("us", "share", "GFLOP/s", "GB/s", "of peak", "call", "module", "writes")))
    click.echo(
        f"\n{model}, {name}, batch {batch_size}, {plural(numbanet.get_num_threads(), 'thread')}: "
        f"{1e3 * found.seconds:.3f} ms a replay, {1e3 * total:.3f} ms the {len(found.timings)} calls one by one; "
        f"peak {peak.gflops:.0f} GFLOP/s, {peak.gbytes:.1f} GB/s"
    )
    if trace is not None:
        trace.write_text(json.dumps(chrome_trace(found, f"{model}, {name}")), encoding="utf-8")
