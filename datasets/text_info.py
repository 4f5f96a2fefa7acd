"""What is known about a data set of texts, and what it holds when it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from numbanet.datasets.info import RemoteFile

# what is learned from a data set, and what its parts are
LANGUAGE = "language"  # a text: str
TRANSLATION = "translation"  # pairs of a source and a target: list of (str, str)
CLASSIFICATION = "classification"  # texts and the numbers of their classes: list of (str, int)
REGRESSION = "regression"  # series and numbers: (inputs (n, T, features) float32, targets (n, 1) float32)


@dataclass(frozen=True, slots=True)
class TextInfo:
    """A data set of texts in words and numbers.

    ``task`` is LANGUAGE, TRANSLATION, CLASSIFICATION or REGRESSION; ``unit`` names what ``n_train``,
    ``n_validation`` and ``n_test`` count (0: not known before the files are there). ``tokenizer`` is the kind that
    suits it; ``folders``, ``layouts`` and ``downloads`` are as in :class:`~numbanet.datasets.DatasetInfo`.
    """

    name: str
    title: str
    source: str
    licence: str
    task: str
    tokenizer: str = ""
    unit: str = "pairs"
    classes: tuple[str, ...] = ()
    n_train: int = 0
    n_validation: int = 0
    n_test: int = 0
    folders: tuple[str, ...] = ()
    layouts: tuple[tuple[str, ...], ...] = ()
    downloads: tuple[RemoteFile, ...] = ()

    @property
    def download_bytes(self) -> int:
        """How much a download transfers; 0 if there is none."""
        return sum(file.nbytes for file in self.downloads)


class TextParts(NamedTuple):
    """The contents of a data set of texts, as its ``task`` says; ``validation`` is None where there is no such part."""

    train: Any
    validation: Any | None
    test: Any


class TextSplits(NamedTuple):
    """A loaded data set of texts."""

    train: Any
    validation: Any | None
    test: Any
    info: TextInfo
    paths: dict[str, Path]


def split_text(text: str, share: float = 0.1) -> tuple[str, str]:
    """A text without its last tenth (or another share), and that tenth."""
    cut = len(text) - round(len(text) * share)
    return text[:cut], text[cut:]
