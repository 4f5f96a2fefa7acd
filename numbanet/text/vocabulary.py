"""Vocabulary: which tokens there are, and the number of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from numbanet.text.errors import TextError

PADDING, UNKNOWN, BEGIN, END = "<pad>", "<unk>", "<bos>", "<eos>"
SPECIALS = (PADDING, UNKNOWN, BEGIN, END)


class Vocabulary:
    """Tokens and their numbers: the special ones first, then the others in the order given.

    Args:
        tokens: the ordinary tokens, each once.
        specials: which of ``<pad>``, ``<unk>``, ``<bos>`` and ``<eos>`` there are, in this order.

    :attr:`padding`, :attr:`unknown`, :attr:`begin` and :attr:`end` are the numbers of the special tokens, or None.
    """

    def __init__(self, tokens: Iterable[str], specials: Sequence[str] = SPECIALS) -> None:
        self.specials = tuple(specials)
        self.tokens = (*self.specials, *tokens)
        strange = [token for token in self.specials if token not in SPECIALS]
        if strange:
            raise ValueError(f"special tokens are {', '.join(SPECIALS)}, not {strange[0]!r}")
        self._ids = {token: number for number, token in enumerate(self.tokens)}
        if len(self._ids) < len(self.tokens):
            double = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise ValueError(f"the token {double!r} stands in the vocabulary twice")
        self.padding, self.unknown, self.begin, self.end = (self._ids.get(special) for special in SPECIALS)
        # "<pad>" that somebody wrote into a text is a word like any other; "<unk>", as corpora have it, is what it says
        self._words = {token: number for token, number in self._ids.items() if token not in self.specials}
        if self.unknown is not None:
            self._words[UNKNOWN] = self.unknown

    @classmethod
    def build(
        cls,
        tokens: Iterable[str],
        specials: Sequence[str] = SPECIALS,
        min_count: int = 1,
        max_size: int | None = None,
    ) -> Vocabulary:
        """The vocabulary of a text: every token that comes at least ``min_count`` times, the most frequent first.

        Equally frequent ones are in alphabetical order. ``max_size`` bounds the size, special tokens included.
        """
        counts = Counter(tokens)
        for special in specials:
            counts.pop(special, None)
        kept = sorted((token for token, count in counts.items() if count >= min_count), key=lambda t: (-counts[t], t))
        return cls(kept[: None if max_size is None else max(0, max_size - len(specials))], specials)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._ids

    def __getitem__(self, token: str) -> int:
        """The number of a token, special ones included."""
        return self._ids[token]

    def encode(self, tokens: Sequence[str]) -> np.ndarray:
        """The numbers (int64) of ordinary tokens; what is not known becomes ``<unk>``.

        Raises:
            TextError: a token is not known and the vocabulary has no ``<unk>``.
        """
        if self.unknown is not None:
            words, unknown = self._words, self.unknown
            return np.array([words.get(token, unknown) for token in tokens], np.int64)
        try:
            return np.array([self._words[token] for token in tokens], np.int64)
        except KeyError as error:
            raise TextError(
                f"{error.args[0]!r} is not in the vocabulary of {len(self)} tokens, which has no {UNKNOWN}"
            ) from None

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The tokens of numbers.

        Raises:
            TextError: a number is not that of a token.
        """
        ids = np.asarray(ids, np.int64).reshape(-1)
        if len(ids) and not 0 <= ids.min() <= ids.max() < len(self):
            wrong = next(i for i in ids.tolist() if not 0 <= i < len(self))
            raise TextError(f"there is no token number {wrong}: the vocabulary has {len(self)}, from 0")
        return [self.tokens[number] for number in ids.tolist()]
