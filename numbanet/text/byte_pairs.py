"""Byte-pair encoding: tokens are bytes and what frequent pairs of tokens make, so that no text is unknown.

Sennrich, Haddow, Birch 2016, "Neural machine translation of rare words with subword units", over bytes as in Radford
et al. 2019 (GPT-2), whose printable form of bytes is used here: a space is Ġ, a line end Ċ.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from numbanet.text.byte_pairs_training import learn_merges
from numbanet.text.errors import TextError
from numbanet.text.tokenizer import Tokenizer
from numbanet.text.vocabulary import SPECIALS, Vocabulary

# Pieces, which no token crosses: letters, digits or marks with the space before them, and white space. None is longer
# than 64 characters, so that the time for a text grows with its length whatever it holds.
_PIECES = re.compile(r" ?[^\W\d_]{1,63}| ?\d{1,63}| ?(?:[^\s\w]|_){1,63}|\s{1,64}(?!\S)|\s")

_KEPT_PIECES = 200_000  # how many pieces are remembered with their numbers
_NONE = 1 << 62  # the rank of a pair that is never merged


def _printable_bytes() -> list[str]:
    """A printable character for each byte, GPT-2's: visible Latin-1 stands for itself, the rest for 256, 257, …"""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(256, 512))
    return [chr(byte if byte in visible else next(others)) for byte in range(256)]


_PRINTABLE = _printable_bytes()
_BYTE_OF = {character: byte for byte, character in enumerate(_PRINTABLE)}


class BytePairTokenizer(Tokenizer):
    """Byte-pair encoding. Special tokens come first, then the 256 bytes, then one token a merge, in their order.

    Args:
        merges: pairs of tokens in their printable form, in the order in which they were learned.
        specials: the special tokens; text never becomes one of them.
        lower: whether upper case becomes lower case first.
    """

    kind = "byte-pairs"

    def __init__(
        self, merges: Sequence[tuple[str, str]], specials: Sequence[str] = SPECIALS, lower: bool = False
    ) -> None:
        self.merges = [tuple(pair) for pair in merges]
        super().__init__(Vocabulary([*_PRINTABLE, *(left + right for left, right in self.merges)], specials), lower)
        self._first_byte = len(specials)
        vocabulary, first = self.vocabulary, len(specials) + 256
        for left, right in self.merges:
            if left not in vocabulary or right not in vocabulary:
                raise TextError(f"the merge {left!r} {right!r} has a token that no merge before it makes")
        # the number of a merged pair is its rank: earlier merges have smaller numbers
        self._merged = {(vocabulary[a], vocabulary[b]): first + rank for rank, (a, b) in enumerate(self.merges)}
        self._pieces: dict[str, list[int]] = {}

    @classmethod
    def train(
        cls, text: str, size: int = 8192, specials: Sequence[str] = SPECIALS, lower: bool = False
    ) -> BytePairTokenizer:
        """Learn merges from ``text`` until the vocabulary has ``size`` tokens or no pair comes twice.

        Raises:
            ValueError: ``size`` leaves no room for the 256 bytes and the special tokens.
        """
        if size < 256 + len(specials):
            raise ValueError(f"byte pairs need a vocabulary of at least {256 + len(specials)} tokens, not {size}")
        pieces = Counter(_PIECES.findall(text.lower() if lower else text))
        counts = {tuple(_utf8(piece)): count for piece, count in pieces.items()}
        tokens = list(_PRINTABLE)
        merges = []
        for left, right in learn_merges(counts, size - 256 - len(specials)):
            merges.append((tokens[left], tokens[right]))
            tokens.append(tokens[left] + tokens[right])
        return cls(merges, specials, lower)

    def encode(self, text: str) -> np.ndarray:
        ids: list[int] = []
        known = self._pieces
        for piece in _PIECES.findall(text.lower() if self.lower else text):
            numbers = known.get(piece)
            if numbers is None:
                if len(known) >= _KEPT_PIECES:
                    known.clear()
                numbers = known[piece] = self._encode_piece(piece)
            ids += numbers
        return np.array(ids, np.int64)

    def _encode_piece(self, piece: str) -> list[int]:
        """The pair that was learned first is merged, the leftmost one, until no pair is known."""
        merged = self._merged
        ids = [self._first_byte + byte for byte in _utf8(piece)]
        ranks = [merged.get(pair, _NONE) for pair in itertools.pairwise(ids)]
        while ranks:
            best = min(ranks)
            if best == _NONE:
                break
            at = ranks.index(best)
            ids[at : at + 2] = [best]
            del ranks[at]
            if at < len(ranks):
                ranks[at] = merged.get((best, ids[at + 1]), _NONE)
            if at:
                ranks[at - 1] = merged.get((ids[at - 1], best), _NONE)
        return ids

    def tokens(self, text: str) -> list[str]:
        return self.vocabulary.decode(self.encode(text))

    def encode_known(self, text: str, source: str) -> np.ndarray:
        return self.encode(text)

    def join(self, tokens: list[str]) -> str:
        """Bytes that are no UTF-8, as a text that was cut may have, become the replacement character."""
        data = bytearray()
        for token in tokens:
            if token in self.vocabulary.specials:
                data += token.encode()
            else:
                data += bytes(_BYTE_OF[character] for character in token)
        return data.decode("utf-8", errors="replace")

    def as_dict(self) -> dict[str, Any]:
        content = super().as_dict()
        del content["tokens"]  # the merges say them
        return {**content, "merges": [f"{left} {right}" for left, right in self.merges]}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> BytePairTokenizer:
        merges = [tuple(line.split(" ")) for line in content["merges"]]
        if any(len(pair) != 2 for pair in merges):
            raise ValueError("a merge is two tokens with a space between them")
        return cls(merges, content["specials"], content["lower"])


def _utf8(piece: str) -> bytes:
    try:
        return piece.encode()
    except UnicodeEncodeError as error:
        raise TextError(f"the text holds {piece[error.start]!r}, which is half a character and not UTF-8") from None
