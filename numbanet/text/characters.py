"""Characters as tokens."""

from __future__ import annotations

from collections.abc import Sequence

from numbanet.text.tokenizer import Tokenizer
from numbanet.text.vocabulary import UNKNOWN, Vocabulary


class CharacterTokenizer(Tokenizer):
    """Every character (Unicode code point) is a token; numbers follow the order of the code points."""

    kind = "characters"
    unit = "character"

    @classmethod
    def train(cls, text: str, specials: Sequence[str] = (UNKNOWN,), lower: bool = False) -> CharacterTokenizer:
        """The tokenizer that knows the characters of ``text``."""
        return cls(Vocabulary(sorted(set(text.lower() if lower else text)), specials), lower)

    def tokens(self, text: str) -> list[str]:
        return list(text.lower() if self.lower else text)

    def join(self, tokens: list[str]) -> str:
        return "".join(tokens)
