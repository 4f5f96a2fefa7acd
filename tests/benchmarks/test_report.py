"""What a person reads: lines, the summary, the worst, the Markdown table in its place."""

from __future__ import annotations

import pytest
import report
from bars import judge_all

from tests.benchmarks.records import record, row

LENET = record(
    "training/lenet5",
    {"numbanet": row(1.0, 1.1, 1.2), "torch NCHW": row(4.0, 4.4, 4.8), "torch channels_last": row(3.6, 3.5, 3.7)},
    {"numbanet": row(1.9, 2.0, 2.1), "torch NCHW": row(6.0, 6.0, 6.0)},
)
GEMM = record(
    "gemm/square/64", {"numbanet": row(1.0), "numbanet eager": row(1.5), "numpy": row(0.9), "torch": row(2.0)}
)
MISSING = record("training/resnet20", {"torch NCHW": row(9.0)}, unavailable={"numbanet": "no BatchNorm2d"})


def test_record_text() -> None:
    text = report.record_text(LENET)
    assert "3 rounds (1 disturbed after 4 tries)" in text
    assert "numbanet, 1 thread" in text
    assert "against torch: 3.18× by medians (3.08–3.60), 3.50× by minima" in text
    assert "2 threads against 1:" in text
    assert "against numpy" not in text
    assert "against numpy: 0.90×" in report.record_text(GEMM)


def test_record_text_says_what_is_missing_and_what_differs() -> None:
    assert "numbanet: not available (no BatchNorm2d)" in report.record_text(MISSING)
    assert "torch COMPUTES SOMETHING ELSE" in report.record_text({**GEMM, "differences": {"torch": 0.5}})


def test_summary() -> None:
    text = report.summary_text([LENET, GEMM, MISSING])
    assert "3 workloads, 9 rounds, 3 of them disturbed" in text
    assert "holds  training step, lenet5" in text
    assert "FAILS  training step, resnet20" in text
    assert "not measured: training/resnet20" in text
    assert "torch, faster format" in text


def test_a_planted_slow_side_is_seen() -> None:
    slow = {**LENET, "sides": {**LENET["sides"], "numbanet": row(2.0, 2.0, 2.0)}}
    (verdict,) = judge_all([slow])
    assert "FAILS" in report.verdict_text(verdict)


def test_families() -> None:
    found = {(family, rival): medians for family, rival, medians, _, _ in report.families([LENET, GEMM])}
    assert found["training", "torch NCHW"] == pytest.approx(4.0)
    assert found["training", "torch, faster format"] == pytest.approx(3.5 / 1.1)
    assert found["gemm", "numpy"] == pytest.approx(0.9)


def test_worst() -> None:
    names = [name for _, name in report.worst([LENET, GEMM, MISSING])]
    assert names == ["gemm/square/64", "training/lenet5"]
    assert report.worst([LENET, GEMM], 1) == [(0.9, "gemm/square/64")]


def test_markdown_has_no_rate_where_nothing_was_counted() -> None:
    uncounted = {**LENET, "sides": {**LENET["sides"], "numbanet": {**row(1.0, 1.1, 1.2), "rate": 0.0, "share": 0.0}}}
    for one, blank in ((LENET, False), (uncounted, True)):
        line = report.markdown([one]).split("\n")[-1]
        assert ("/s" not in line and "%" not in line) is blank


def test_markdown_has_a_cell_a_column() -> None:
    lines = report.markdown([LENET, GEMM, MISSING]).split("\n")
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1
    assert "3.18 (3.08–3.60)" in lines[2]
    assert "not available" in lines[4]


def test_replace_section() -> None:
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter"
    assert report.replace_section(text, "new") == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter"
    with pytest.raises(ValueError, match="no place for a table"):
        report.replace_section("before", "new")
