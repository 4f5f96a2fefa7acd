"""What training looks like: one plain line an epoch, and on a terminal a progress bar below them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from numbanet.training.config import Config
from numbanet.training.own import short_name
from numbanet.training.report import Reporter


def train_reporter() -> Reporter:
    """The reporter for where standard output goes."""
    return TerminalReporter() if sys.stdout.isatty() else PlainReporter()


class PlainReporter(Reporter):
    """Lines of plain ASCII text, each complete when it is printed."""

    def begin(self, config: Config, folder: Path, parameters: int, size: str, steps_per_epoch: int) -> None:
        import numbanet

        self.epochs, self.steps = config.epochs, steps_per_epoch
        threads = numbanet.get_num_threads()
        self.say(
            f"{short_name(config.model)} ({parameters:,} parameters) on {short_name(config.dataset)} "
            f"({size}), {config.epochs} epochs of {steps_per_epoch} steps, {config.backend}, "
            f"{plural(threads, 'thread')}; writing to {folder}"
        )

    def note(self, text: str) -> None:
        self.say(f"note: {text}")

    def compiling(self, done: int, total: int) -> None:
        self.say(f"compiling kernels, first run only: {done} of {total}")

    def epoch(self, row: dict[str, Any]) -> None:
        self.say(epoch_line(row, self.epochs))

    def end(self, summary: dict[str, Any] | None, folder: Path) -> None:
        if summary is not None:
            self.say(summary_line(summary))

    def say(self, text: str) -> None:
        """Print a line at once, also into a pipe."""
        click.echo(text)
        sys.stdout.flush()


class TerminalReporter(PlainReporter):
    """The same lines, and a bar for the kernels and for the epoch below them."""

    progress_seconds = 0.1

    def __init__(self, console: Any = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.console = console or Console(highlight=False)
        text, note = TextColumn("{task.description}"), TextColumn("{task.fields[note]}")
        columns = text, BarColumn(), note, TimeRemainingColumn()
        self.bar = Progress(*columns, console=self.console, transient=True, refresh_per_second=5)
        self.task: Any = None
        self.kind = ""

    def compiling(self, done: int, total: int) -> None:
        self._show("compiling", "compiling kernels, first run only:", done, total, f"{done} of {total}")
        if done == total:
            self._hide()

    def progress(self, epoch: int, batch: int, loss: float) -> None:
        done, total = (epoch - 1) * self.steps + batch, self.epochs * self.steps
        self._show("training", f"epoch {epoch}/{self.epochs}", done, total, f"loss {loss:.4f}")

    def end(self, summary: dict[str, Any] | None, folder: Path) -> None:
        self.bar.stop()
        super().end(summary, folder)

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def _hide(self) -> None:
        self.bar.stop()
        self.bar.remove_task(self.task)
        self.kind, self.task = "", None

    def _show(self, kind: str, text: str, done: int, total: int, note: str) -> None:
        if kind != self.kind:  # another bar, whose time is estimated anew
            if self.task is not None:
                self.bar.remove_task(self.task)
            self.kind, self.task = kind, self.bar.add_task(text, total=total, completed=done, note=note)
            self.bar.start()
        self.bar.update(self.task, description=text, completed=done, total=total, note=note)


def epoch_line(row: dict[str, Any], epochs: int) -> str:
    """``epoch  3/20  train loss 0.0912  test loss 0.0871  test accuracy 97.35 %  4.2 s``."""
    width = len(str(epochs))
    held_out = ""
    if "validation_loss" in row:
        held_out = _part(row, "validation")
    return (
        f"epoch {row['epoch']:>{width}}/{epochs}  train loss {_loss(row['train_loss'])}  {held_out}"
        f"{_part(row, 'test')}{row['seconds']:.1f} s"
    )


def summary_line(summary: dict[str, Any]) -> str:
    """What came out, and what it cost."""
    stopped = f"stopped: {summary['stopped']}; " if summary.get("stopped") else ""
    unit = next(unit for unit in ("samples", "texts", "tokens") if f"{unit}_per_second" in summary)
    # how often the most probable token is the right one says less of a text than the loss
    if "test_accuracy" in summary and unit != "tokens":
        result = f"test accuracy {percent(summary['test_accuracy'])}"
    else:
        result = f"test loss {_loss(summary['test_loss'])}"
    loading = summary["seconds_loading"] / summary["seconds_training"]
    return (
        f"{stopped}{result} after {plural(summary['epochs'], 'epoch')}; "
        f"{summary['seconds_total']:.1f} s, {summary['seconds_compile']:.1f} s of them compiling; "
        f"{summary[f'{unit}_per_second']:,.0f} {unit}/s, {100 * loading:.1f} % of the time for loading"
    )


def percent(share: float | None) -> str:
    """97.35 %."""
    return "-" if share is None else f"{100 * share:.2f} %"


def plural(count: int, noun: str) -> str:
    """1 epoch, 2 epochs."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def table(rows: list[tuple[str, ...]], header: tuple[str, ...]) -> str:
    """Columns of plain text, as wide as they need to be."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _part(row: dict[str, Any], part: str) -> str:
    """``test loss 1.5203  perplexity 4.57  bits/character 2.193  accuracy 55.01 %``, as far as there are such."""
    words = [f"{part} loss {_loss(row[f'{part}_loss'])}"]
    for measure, label, digits in (("perplexity", "perplexity", 2), ("bits_per_character", "bits/character", 3)):
        if row.get(f"{part}_{measure}") is not None:
            words.append(f"{label} {row[f'{part}_{measure}']:.{digits}f}")
    if f"{part}_accuracy" in row:
        words.append(f"accuracy {percent(row[f'{part}_accuracy'])}")
    return "  ".join([*words, ""])


def _loss(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.4f}"
