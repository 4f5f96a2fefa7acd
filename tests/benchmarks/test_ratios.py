"""Ratios of medians, of minima, and of times weighed with the machine's speed."""

from __future__ import annotations

import math

import pytest
from ratios import compare_rows, geometric_mean, ratio, scaling

from tests.benchmarks.records import record, row


def test_ratio_of_rounds() -> None:
    found = compare_rows(row(1.0, 2.0, 4.0, least=0.5), [row(3.0, 4.0, 4.0, least=2.0)])
    assert (found.median, found.low, found.high) == (2.0, 1.0, 3.0)
    assert found.minima == 4.0
    assert found.worse == 2.0


def test_the_fastest_other_side_counts_by_medians_and_by_minima() -> None:
    sides = {"numbanet": row(1.0), "torch NCHW": row(4.0, least=1.5), "torch channels_last": row(2.0)}
    found = ratio(record("convolution/a/forward", sides))
    assert (found.median, found.minima) == (2.0, 1.5)
    assert ratio(record("convolution/a/forward", sides), "torch NCHW").median == 4.0


def test_no_ratio_without_a_side() -> None:
    assert ratio(record("gemm/a", {"torch": row(1.0)})) is None
    assert ratio(record("gemm/a", {"numbanet": row(1.0)})) is None
    assert ratio(record("gemm/a", {"numbanet": row(1.0), "torch": row(1.0)}), "torch", "single") is None


def test_our_second_column_is_no_rival() -> None:
    sides = {"numbanet": row(1.0), "numbanet eager": row(0.1), "numpy": row(2.0)}
    assert ratio(record("gemm/a", sides), "numpy").median == 2.0


def test_corrected_ratio_takes_out_the_machine() -> None:
    """Twice the time at half the speed is the same work."""
    found = compare_rows(row(2.0, 2.0, peak=40.0), [row(1.0, 1.0, peak=80.0)])
    assert (found.median, found.corrected) == (0.5, 1.0)
    assert compare_rows(row(2.0, peak=0.0), [row(1.0, peak=0.0)]).corrected == 0.5


def test_scaling() -> None:
    one = record("training/resnet20", {"numbanet": row(1.0)}, {"numbanet": row(1.9, least=1.8)})
    assert (scaling(one).median, scaling(one).minima) == (1.9, 1.8)
    assert scaling(record("training/resnet20", {"numbanet": row(1.0)})) is None


def test_geometric_mean() -> None:
    assert geometric_mean([0.5, 2.0, 8.0]) == pytest.approx(2.0)
    assert math.isnan(geometric_mean([]))
