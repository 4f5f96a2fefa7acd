"""Tokenizer: from a text to the numbers of its tokens and back; kept as a plain JSON file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from numbanet.text.errors import TextError
from numbanet.text.files import read_text
from numbanet.text.vocabulary import UNKNOWN, Vocabulary

FORMAT = "numbanet tokenizer"
FORMAT_VERSION = 1


class Tokenizer:
    """The base class: a :class:`Vocabulary`, and how a text is cut into its tokens and put together again.

    With ``lower`` upper case becomes lower case first. Subclasses write :meth:`tokens`, :meth:`join` and, as class
    attributes, :attr:`kind` and :attr:`unit`, what the file and the messages call them.
    """

    kind = ""
    unit = "token"

    def __init__(self, vocabulary: Vocabulary, lower: bool = False) -> None:
        self.vocabulary = vocabulary
        self.lower = lower

    def __len__(self) -> int:
        """The size of the vocabulary."""
        return len(self.vocabulary)

    def tokens(self, text: str) -> list[str]:
        """The tokens of a text, known or not."""
        raise NotImplementedError

    def join(self, tokens: list[str]) -> str:
        """The text of ordinary tokens."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """What the constructor takes besides the tokens, for the file."""
        return {"lower": self.lower}

    def encode(self, text: str) -> np.ndarray:
        """The numbers (int64) of the tokens of a text."""
        return self.vocabulary.encode(self.tokens(text))

    def encode_known(self, text: str, source: str) -> np.ndarray:
        """As :meth:`encode`, for what a person typed: raises :class:`TextError` that names the unknown tokens."""
        tokens = self.tokens(text)
        unknown = sorted({token for token in tokens if token not in self.vocabulary})
        if unknown:
            listed = ", ".join(map(repr, unknown[:10])) + (", …" if len(unknown) > 10 else "")
            raise TextError(
                f"{source} has {self.unit}s that the model has never seen: {listed}; it knows {len(self)} {self.unit}s"
            )
        return self.vocabulary.encode(tokens)

    def decode(self, ids: Any) -> str:
        """The text of numbers; padding, begin and end are left out."""
        silent = {special for special in self.vocabulary.specials if special != UNKNOWN}
        return self.join([token for token in self.vocabulary.decode(ids) if token not in silent])

    # --- files ---------------------------------------------------------------------------------------------------
    def as_dict(self) -> dict[str, Any]:
        """What the file holds."""
        specials = self.vocabulary.specials
        header = {"format": FORMAT, "format_version": FORMAT_VERSION, "kind": self.kind}
        return {**header, **self.settings(), "specials": list(specials), "tokens": self._plain_tokens()}

    def dumps(self) -> str:
        """The text of the file: JSON, a token a line."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=0) + "\n"

    def save(self, path: str | os.PathLike) -> None:
        """Write the tokenizer as a JSON file, for :func:`load_tokenizer`."""
        Path(path).write_text(self.dumps(), encoding="utf-8")

    def _plain_tokens(self) -> list[str]:
        return list(self.vocabulary.tokens[len(self.vocabulary.specials) :])

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Tokenizer:
        """The tokenizer of :meth:`as_dict`."""
        settings = {key: value for key, value in content.items() if key not in _NOT_SETTINGS}
        return cls(Vocabulary(content["tokens"], content["specials"]), **settings)


_NOT_SETTINGS = ("format", "format_version", "kind", "specials", "tokens")


def load_tokenizer(path: str | os.PathLike) -> Tokenizer:
    """The tokenizer of a file that :meth:`Tokenizer.save` wrote.

    Raises:
        TextError: the file cannot be read or is no tokenizer.
    """
    from numbanet.text.byte_pairs import BytePairTokenizer
    from numbanet.text.characters import CharacterTokenizer
    from numbanet.text.words import WordTokenizer

    kinds = {kind.kind: kind for kind in (CharacterTokenizer, WordTokenizer, BytePairTokenizer)}
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise TextError(f"{path} is not a tokenizer: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("kind") not in kinds:
        raise TextError(f"{path} is not a tokenizer of numbanet")
    if content["format_version"] != FORMAT_VERSION:
        raise TextError(
            f"{path} has format version {content['format_version']!r}; this numbanet reads version {FORMAT_VERSION}"
        )
    try:
        return kinds[content["kind"]].from_dict(content)
    except (KeyError, TypeError, ValueError, TextError) as error:
        raise TextError(f"{path} is damaged: {error}") from None
