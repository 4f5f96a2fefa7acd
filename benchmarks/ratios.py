"""Ratios of records: how many times as fast ours is, by medians and by minima."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True)
class Ratio:
    """The other side's time over ours.

    ``median`` is the median of the rounds' ratios of medians, ``low`` and ``high`` their range, ``minima`` the ratio of
    minima, ``corrected`` the median ratio when each side's times are weighed with the machine's speed around them."""

    median: float
    low: float
    high: float
    minima: float
    corrected: float

    @property
    def worse(self) -> float:
        """What a bar is held against: the smaller of the ratios of medians and minima."""
        return min(self.median, self.minima)


def ratio(record: Record, rival: str = "torch", place: str = "sides") -> Ratio | None:
    """Ours against the fastest side whose name begins with ``rival``; None if either is lacking.

    ``place`` is "sides", or "single" for one thread on all sides."""
    rows = record[place]
    ours = rows.get(record["ours"])
    others = [row for side, row in rows.items() if side.startswith(rival) and side != record["ours"]]
    if ours is None or not others:
        return None
    return compare_rows(ours, others)


def compare_rows(ours: Record, others: list[Record]) -> Ratio:
    """Ours against the fastest of others, by medians and by minima each (they need not be the same one)."""
    other = min(others, key=lambda row: row["median_ms"])
    pairs = list(zip(other["round_medians_ms"], ours["round_medians_ms"], strict=True))
    ratios = [theirs / mine for theirs, mine in pairs]
    peaks = zip(pairs, other["round_peaks"], ours["round_peaks"], strict=True)
    corrected = [theirs * a / (mine * b) for (theirs, mine), a, b in peaks if b]
    return Ratio(
        statistics.median(ratios), min(ratios), max(ratios),
        min(row["min_ms"] for row in others) / ours["min_ms"],
        statistics.median(corrected) if corrected else statistics.median(ratios),
    )  # fmt: skip


def scaling(record: Record) -> Ratio | None:
    """How many times as fast ours is on all threads as on one; None if one thread was not measured."""
    ours, single = (record[place].get(record["ours"]) for place in ("sides", "single"))
    return compare_rows(ours, [single]) if ours and single else None


def geometric_mean(values: Iterable[float]) -> float:
    """exp of the mean logarithm; NaN of nothing."""
    logs = [math.log(value) for value in values]
    return math.exp(statistics.fmean(logs)) if logs else math.nan
