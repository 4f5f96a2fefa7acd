"""python-docs: the language reference that every CPython ships with, as text; no download, and nothing that we ship."""

from __future__ import annotations

from pathlib import Path

from numbanet.datasets.errors import DatasetError
from numbanet.datasets.text_info import LANGUAGE, TextInfo, TextParts, split_text

INFO = TextInfo(
    name="python-docs",
    title="The language reference of the Python that runs it (0.4 MB of English)",
    source="pydoc_data.topics of your CPython; its text differs a little from version to version",
    licence="PSF licence (it is read from your own Python)",
    task=LANGUAGE,
    tokenizer="characters",
    unit="characters",
)


def read(info: TextInfo, paths: dict[str, Path]) -> TextParts:
    """The topics in alphabetical order, the last tenth for testing; a paragraph of several topics stands there once."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DatasetError(
            "this Python has no pydoc_data.topics, which CPython ships with; train on a text of yours by --text FILE"
        ) from None
    paragraphs = "\n\n".join(topics[name] for name in sorted(topics)).split("\n\n")
    # once: else the last tenth would have been seen in training
    train, test = split_text("\n\n".join(dict.fromkeys(part for part in paragraphs if part.strip())) + "\n")
    return TextParts(train, None, test)
