"""dates: dates as people write them, and their ISO form ("3rd of May 1987" → "1987-05-03"); generated."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from numbanet.datasets.text_info import TRANSLATION, TextInfo, TextParts
from numbanet.kernels.philox import permutation, random_bits

_STREAM = 0x4454
_FIRST = date(1900, 1, 1)
_DAYS = 73_049  # 1900 to 2099
_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_FORMATS = (
    "{ordinal} of {month} {year}",
    "the {ordinal} of {month}, {year}",
    "{month} {day}, {year}",
    "{day} {month} {year}",
    "{day} {short} {year}",
    "{weekday}, {day} {month} {year}",
    "{year}, {month} {day}",
    "{day}.{number}.{year}",
)

INFO = TextInfo(
    name="dates",
    title="Dates as people write them, and their ISO form",
    source="generated",
    licence="none needed",
    task=TRANSLATION,
    tokenizer="characters",
    n_train=10_000,
    n_validation=1_000,
    n_test=1_000,
)


def read(info: TextInfo, paths: dict[str, Path]) -> TextParts:
    """Days drawn at random without repetition, so that no day of the test part has been seen in training."""
    count = info.n_train + info.n_validation + info.n_test
    days = permutation(0, _STREAM, 0, _DAYS)[:count].tolist()
    kinds = (random_bits(0, _STREAM, 0, count, substream=1) % len(_FORMATS)).tolist()
    pairs = [_pair(_FIRST + timedelta(day), _FORMATS[kind]) for day, kind in zip(days, kinds, strict=True)]
    end = info.n_train + info.n_validation
    return TextParts(pairs[: info.n_train], pairs[info.n_train : end], pairs[end:])


def _pair(day: date, form: str) -> tuple[str, str]:
    month = _MONTHS[day.month - 1]
    words = {"ordinal": _ordinal(day.day), "weekday": _WEEKDAYS[day.weekday()], "month": month, "short": month[:3]}
    return form.format(day=day.day, number=day.month, year=day.year, **words), day.isoformat()


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number // 10 != 1 else 0, "th")
    return f"{number}{ending}"
