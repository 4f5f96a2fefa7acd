"""Words as tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence

from numbanet.text.tokenizer import Tokenizer
from numbanet.text.vocabulary import SPECIALS, Vocabulary

# a word with its inner apostrophes, hyphens, points and commas (don't, two-year-old, 3.14), else a single character
_WORDS = re.compile(r"\n|\w+(?:[-'’.,]\w+)*|[^\w\s]")
_LINES = re.compile(r"\n|[^\s]+")

# how written English and German set marks: no space before the first kind, none after the second
_CLOSING = re.compile(r" ([.,:;!?%)\]}…”]|'(?:s|t|re|ve|m|ll|d)\b|n't\b)")
_OPENING = re.compile(r"([(\[{“„$]) ")
_BREAK = re.compile(r" ?\n ?")


class WordTokenizer(Tokenizer):
    """Words, marks of punctuation and line ends are tokens.

    Args:
        vocabulary: the words.
        lower: whether upper case becomes lower case first.
        spaces: tokens are what stands between spaces, for text that is cut into tokens already.
    """

    kind = "words"
    unit = "word"

    def __init__(self, vocabulary: Vocabulary, lower: bool = False, spaces: bool = False) -> None:
        super().__init__(vocabulary, lower)
        self.spaces = spaces

    @classmethod
    def train(
        cls,
        text: str,
        specials: Sequence[str] = SPECIALS,
        min_count: int = 1,
        max_size: int | None = None,
        lower: bool = False,
        spaces: bool = False,
    ) -> WordTokenizer:
        """The tokenizer that knows the words of ``text`` (see :meth:`Vocabulary.build`)."""
        tokens = split_words(text, lower, spaces)
        return cls(Vocabulary.build(tokens, specials, min_count, max_size), lower, spaces)

    def tokens(self, text: str) -> list[str]:
        return split_words(text, self.lower, self.spaces)

    def join(self, tokens: list[str]) -> str:
        text = _BREAK.sub("\n", " ".join(tokens))
        return text if self.spaces else _OPENING.sub(r"\1", _CLOSING.sub(r"\1", text))

    def settings(self) -> dict[str, bool]:
        return {**super().settings(), "spaces": self.spaces}


def split_words(text: str, lower: bool = False, spaces: bool = False) -> list[str]:
    """The words and marks of a text in their order, line ends included; what is between spaces if ``spaces``."""
    return (_LINES if spaces else _WORDS).findall(text.lower() if lower else text)
