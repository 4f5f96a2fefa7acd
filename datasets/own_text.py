"""text and pairs: files of the user's own."""

from __future__ import annotations

from pathlib import Path

from numbanet.datasets.errors import DatasetError
from numbanet.datasets.pairs import read_pairs
from numbanet.datasets.text_info import LANGUAGE, TRANSLATION, TextInfo, TextParts, split_text
from numbanet.kernels.philox import permutation
from numbanet.text import read_text

_STREAM = 0x4F57

TEXT = TextInfo(
    name="text",
    title="A text file of yours (--text FILE); its last tenth is for testing",
    source="yours",
    licence="yours",
    task=LANGUAGE,
    tokenizer="characters",
    unit="characters",
)
PAIRS = TextInfo(
    name="pairs",
    title="A file of yours with a source, a tab and a target in each line (--pairs FILE)",
    source="yours",
    licence="yours",
    task=TRANSLATION,
    tokenizer="words",
)


def read_own_text(info: TextInfo, paths: dict[str, Path], file: str = "") -> TextParts:
    """The text of a file, the last tenth for testing."""
    if not file:
        raise DatasetError("which text? Name a file by --text FILE")
    train, test = split_text(read_text(file))
    return TextParts(train, None, test)


def read_own_pairs(info: TextInfo, paths: dict[str, Path], file: str = "") -> TextParts:
    """The pairs of a file, dealt out at random (and always alike): a tenth for validation, a tenth for testing."""
    if not file:
        raise DatasetError("which pairs? Name a file by --pairs FILE")
    pairs = read_pairs(file)
    if len(pairs) < 3:
        raise DatasetError(f"{file} has {len(pairs)} pairs; training, validation and testing need at least 3")
    order = permutation(0, _STREAM, 0, len(pairs)).tolist()
    tenth = max(1, len(pairs) // 10)
    parts = (order[2 * tenth :], order[:tenth], order[tenth : 2 * tenth])
    return TextParts(*([pairs[number] for number in sorted(part)] for part in parts))
