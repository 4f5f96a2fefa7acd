"""Bars turn red where they should: a slow side, slow minima alone, something left out."""

from __future__ import annotations

import pytest
from bars import BARS, LARGE, Bar, judge, judge_all

from tests.benchmarks.records import record, row

BY_TEXT = {bar.text: bar for bar in BARS}


def conv(name: str, ours: float, nchw: float, last: float, **more: object) -> dict:
    sides = {"numbanet": row(ours, ours, ours), "torch NCHW": row(*[nchw] * 3), "torch channels_last": row(*[last] * 3)}
    return record(f"convolution/{name}/forward", sides, **more)


def bar(text: str) -> Bar:
    """The one bar whose text begins so."""
    (found,) = [one for key, one in BY_TEXT.items() if key.startswith(text)]
    return found


def test_good_records_hold_every_bar_that_speaks_of_them() -> None:
    verdicts = judge_all([conv("a", 1.0, 2.0, 1.5), conv("b", 1.0, 1.4, 1.2)])
    assert len(verdicts) == 2
    assert all(verdict.holds for verdict in verdicts)


def test_one_slow_kernel_turns_its_bar_red() -> None:
    fine = [conv(str(number), 1.0, 3.0, 3.0) for number in range(20)]
    verdict = judge(bar("convolutions against the faster"), [*fine, conv("slow", 1.3, 3.0, 1.0)])
    assert not verdict.holds
    assert verdict.worst == ("convolution/slow/forward", pytest.approx(1 / 1.3))
    assert judge(bar("convolutions against the faster"), fine).holds


def test_a_slow_mean_turns_its_bar_red() -> None:
    assert not judge(bar("convolutions against the faster"), [conv("a", 1.0, 2.0, 1.05)]).holds
    assert not judge(bar("convolutions against PyTorch NCHW"), [conv("a", 1.0, 1.4, 9.0)]).holds


@pytest.mark.parametrize(("median", "minimum", "holds"), [(3.1, 3.1, True), (3.1, 2.9, False), (2.9, 3.1, False)])
def test_medians_and_minima_both_have_to_hold(median: float, minimum: float, holds: bool) -> None:
    sides = {"numbanet": row(1.0), "torch NCHW": row(median, least=minimum)}
    assert judge(bar("training step, lenet5"), [record("training/lenet5", sides)]).holds is holds


@pytest.mark.parametrize(
    "sides", [{"torch NCHW": row(9.0)}, {"numbanet": row(1.0)}, {}], ids=["ours", "theirs", "both"]
)
def test_what_is_missing_turns_its_bar_red(sides: dict) -> None:
    missing = record("convolution/missing/forward", sides)
    verdict = judge(bar("convolutions against PyTorch NCHW"), [conv("a", 1.0, 9.0, 9.0), missing])
    assert verdict.missing == ["convolution/missing/forward"]
    assert not verdict.holds
    assert not judge(bar("convolutions against PyTorch NCHW"), [missing]).holds


def test_share_of_the_peak_is_asked_of_large_convolutions_only() -> None:
    slow = {"numbanet": row(1.0, share=0.59), "torch NCHW": row(9.0)}
    large = record("convolution/a/forward", slow, bars=["peak"])
    assert not judge(bar("large convolutions"), [large]).holds
    assert judge(bar("large convolutions"), [record("convolution/a/forward", slow)]) is None


def test_bandwidth_is_asked_of_large_kernels_only() -> None:
    slow = {"numbanet": row(1.0, share=0.8), "torch": row(9.0)}
    text = "large memory-bound kernels"
    assert not judge(bar(text), [record("pointwise/a/forward", slow, nbytes=LARGE)]).holds
    assert judge(bar(text), [record("pointwise/a/forward", slow, nbytes=LARGE - 1)]) is None


def test_scaling_is_asked_where_one_thread_was_measured() -> None:
    sides = {"numbanet": row(1.0), "torch NCHW": row(9.0)}
    text = "ResNet-20 on 2 threads"
    assert judge(bar(text), [record("training/resnet20", sides)]) is None
    assert judge(bar(text), [record("training/resnet20", sides, {"numbanet": row(1.85)})]).holds
    assert not judge(bar(text), [record("training/resnet20", sides, {"numbanet": row(1.75)})]).holds


def test_products_are_held_against_numpy() -> None:
    sides = {"numbanet": row(1.0), "numpy": row(1.1), "torch": row(0.5)}
    assert judge(bar("products"), [record("gemm/square/64", sides)]).holds


def test_bars_are_those_of_the_issue() -> None:
    asked = {one.text: (one.mean, one.each, one.aim) for one in BARS}
    assert asked[bar("training step, resnet20").text] == (None, 1.2, 1.6)
    assert asked[bar("training step, alexnet64").text] == (None, 1.0, 1.3)
    assert asked[bar("training step, mlp").text] == (None, 1.3, 1.6)
    assert asked[bar("memory-bound").text] == (1.5, 1.0, None)
    assert asked[bar("optimisers").text] == (None, 0.95, None)
    assert asked[bar("attention").text] == (1.3, 1.0, None)
    assert asked[bar("compiled training steps of sequence").text] == (1.6, 1.1, 2.0)
