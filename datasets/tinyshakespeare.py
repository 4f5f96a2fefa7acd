"""tinyshakespeare: 1.1 MB of Shakespeare's plays (Karpathy 2015)."""

from __future__ import annotations

from pathlib import Path

from numbanet.datasets.info import RemoteFile
from numbanet.datasets.text_info import LANGUAGE, TextInfo, TextParts, split_text
from numbanet.text import read_text

_MIRRORS = ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare",)

INFO = TextInfo(
    name="tinyshakespeare",
    title="Tiny Shakespeare: 1.1 MB of his plays",
    source="https://github.com/karpathy/char-rnn, data/tinyshakespeare/input.txt",
    licence="public domain",
    task=LANGUAGE,
    tokenizer="characters",
    unit="characters",
    n_train=1_003_854,
    n_test=111_540,
    folders=("tinyshakespeare", "text"),
    layouts=(("input.txt",), ("tinyshakespeare.txt",)),
    downloads=(RemoteFile("input.txt", "6fb458f1232090904fb40fe944165e91", 1_115_394, _MIRRORS),),
)


def read(info: TextInfo, paths: dict[str, Path]) -> TextParts:
    """The text; its last tenth, which is usually called the validation split, is for testing."""
    (path,) = paths.values()
    # int(0.9 · n) characters for training, as nanoGPT cuts it
    text = read_text(path)
    train, test = split_text(text, 1 - int(0.9 * len(text)) / len(text))
    return TextParts(train, None, test)
