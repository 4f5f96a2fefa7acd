"""Generated sequences: copy and reverse (letters to letters), and the adding problem (numbers to a number)."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from numbanet.datasets.errors import DatasetError
from numbanet.datasets.text_info import REGRESSION, TRANSLATION, TextInfo, TextParts
from numbanet.kernels.philox import random_bits, uniform

_STREAM = 0x5345
_LETTERS = "abcdefghijklmnopqrstuvwxyz"

_COUNTS = {"n_train": 10_000, "n_validation": 1_000, "n_test": 1_000}
_GENERATED = {"source": "generated", "licence": "none needed"}

COPY = TextInfo(
    name="copy", title="Letters, to be copied", task=TRANSLATION, tokenizer="characters", **_GENERATED, **_COUNTS
)
REVERSE = TextInfo(
    name="reverse",
    title="Letters, to be written backwards",
    task=TRANSLATION,
    tokenizer="characters",
    **_GENERATED,
    **_COUNTS,
)
ADDING = TextInfo(
    name="adding",
    title="The adding problem: the sum of the two marked numbers of a long series",
    source="generated; Hochreiter and Schmidhuber 1997, in the form of Le, Jaitly and Hinton 2015",
    licence="none needed",
    task=REGRESSION,
    unit="series",
    **_COUNTS,
)


def read_copy(info: TextInfo, paths: dict[str, Path], length: int = 20) -> TextParts:
    """Random letters, half of ``length`` to ``length`` of them, and the same again."""
    return _parts(info, [(text, text) for text in _texts(info, length)])


def read_reverse(info: TextInfo, paths: dict[str, Path], length: int = 20) -> TextParts:
    """Random letters, half of ``length`` to ``length`` of them, and the same from the end to the beginning."""
    return _parts(info, [(text, text[::-1]) for text in _texts(info, length)])


def read_adding(info: TextInfo, paths: dict[str, Path], length: int = 150) -> TextParts:
    """Series (n, length, 2): a number in [0, 1) and a mark, 1 at one place in each half and 0 else; the marked sum.

    To answer 1 always has a mean squared error of 1/6, the variance of a sum of two such numbers.

    Raises:
        DatasetError: the series have no two halves.
    """
    if length < 2:
        raise DatasetError(f"the adding problem marks a number in each half of a series: {length} step is too few")
    count = info.n_train + info.n_validation + info.n_test
    numbers = uniform((count, length), np.dtype(np.float32), 0, _STREAM, 0)
    half = length // 2
    places = random_bits(0, _STREAM, 0, 2 * count, substream=1).astype(np.int64).reshape(count, 2)
    places = np.stack([places[:, 0] % half, half + places[:, 1] % (length - half)], axis=1)
    marks = np.zeros((count, length), np.float32)
    np.put_along_axis(marks, places, 1, axis=1)
    inputs = np.stack([numbers, marks], axis=2)
    targets = (numbers * marks).sum(axis=1, keepdims=True)
    ends = np.cumsum([0, info.n_train, info.n_validation, info.n_test])
    return TextParts(*((inputs[a:b], targets[a:b]) for a, b in itertools.pairwise(ends)))


def _texts(info: TextInfo, length: int) -> list[str]:
    count = info.n_train + info.n_validation + info.n_test
    letters = (random_bits(0, _STREAM, 0, count * length, substream=2) % len(_LETTERS)).reshape(count, length)
    least = max(1, length // 2)
    lengths = least + random_bits(0, _STREAM, 0, count, substream=3) % (length - least + 1)
    return [
        "".join(_LETTERS[letter] for letter in row[:size])
        for row, size in zip(letters.tolist(), lengths.tolist(), strict=True)
    ]


def _parts(info: TextInfo, pairs: list[tuple[str, str]]) -> TextParts:
    end = info.n_train + info.n_validation
    return TextParts(pairs[: info.n_train], pairs[info.n_train : end], pairs[end:])
