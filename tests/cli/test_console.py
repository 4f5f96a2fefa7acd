"""What training looks like on a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from numbanet.cli.console import PlainReporter, TerminalReporter, plural, table, train_reporter
from numbanet.training.config import Config

ROW = {"epoch": 1, "train_loss": 0.51234, "test_loss": None, "test_accuracy": 0.97351, "seconds": 1.26}
SUMMARY = {
    "test_accuracy": 0.98,
    "epochs": 1,
    "seconds_total": 12.0,
    "seconds_compile": 3.0,
    "seconds_training": 8.0,
    "seconds_loading": 0.5,
    "samples_per_second": 12345.6,
}
SUMMARY_LINE = (
    "test accuracy 98.00 % after 1 epoch; 12.0 s, 3.0 s of them compiling; 12,346 samples/s, "
    "6.2 % of the time for loading"
)


def test_plain_lines(capsys) -> None:
    reporter = train_reporter()
    assert type(reporter) is PlainReporter
    reporter.begin(Config(epochs=12, backend="numpy"), Path("runs/x"), 1000, "64 samples", 4)
    for done in range(3):
        reporter.compiling(done, 2)
    reporter.note("a word")
    reporter.epoch(ROW)
    reporter.end(SUMMARY, Path("runs/x"))
    reporter.end(None, Path("runs/x"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "compiling kernels, first run only: 0 of 2",
        "compiling kernels, first run only: 1 of 2",
        "compiling kernels, first run only: 2 of 2",
        "note: a word",
        "epoch  1/12  train loss 0.5123  test loss -  accuracy 97.35 %  1.3 s",
        SUMMARY_LINE,
    ]


def test_terminal_shows_bars_and_keeps_the_lines() -> None:
    console = pytest.importorskip("rich.console")
    stream = io.StringIO()
    reporter = TerminalReporter(console.Console(file=stream, force_terminal=True, width=110, highlight=False))
    reporter.begin(Config(epochs=12, backend="numpy"), Path("runs/[x]"), 1000, "64 samples", 4)
    reporter.compiling(0, 11)
    reporter.compiling(5, 11)
    reporter.bar.refresh()
    reporter.progress(1, 3, 0.25)
    reporter.bar.refresh()
    reporter.epoch(ROW)
    reporter.end(SUMMARY, Path("runs/[x]"))
    shown = stream.getvalue()
    assert "compiling kernels, first run only:" in shown
    assert "5 of 11" in shown
    assert "epoch 1/12" in shown
    assert "loss 0.2500" in shown
    assert "writing to runs/[x]" in shown  # not taken for markup
    assert "epoch  1/12  train loss 0.5123" in shown
    assert shown.rstrip().endswith("12,346 samples/s, 6.2 % of the time for loading")
    assert not reporter.bar.live.is_started
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is back


def test_terminal_ends_without_a_bar() -> None:
    console = pytest.importorskip("rich.console")
    stream = io.StringIO()
    reporter = TerminalReporter(console.Console(file=stream, force_terminal=True))
    reporter.end(None, Path("runs/x"))
    assert not reporter.bar.live.is_started
    assert "epoch" not in stream.getvalue()


def test_table_and_plural() -> None:
    assert table([("a", "1"), ("long", "22")], ("x", "y")) == "x     y\na     1\nlong  22"
    assert [plural(count, "epoch") for count in (1, 2, 1000)] == ["1 epoch", "2 epochs", "1,000 epochs"]
