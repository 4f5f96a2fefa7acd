"""Text and tokens: tokenizers, vocabularies, and decoding, which turns a model's logits into text.

Decoding works on arrays and on functions ``step(tokens, state) -> (logits, state)``; it knows no models.
"""

from __future__ import annotations

from numbanet.text.beam import Hypothesis, beam_search, greedy_search
from numbanet.text.bleu import Bleu, corpus_bleu
from numbanet.text.byte_pairs import BytePairTokenizer
from numbanet.text.characters import CharacterTokenizer
from numbanet.text.errors import TextError
from numbanet.text.files import decode_text, lines_of, read_text
from numbanet.text.sampling import choose, generate, probabilities
from numbanet.text.tokenizer import Tokenizer, load_tokenizer
from numbanet.text.vocabulary import BEGIN, END, PADDING, SPECIALS, UNKNOWN, Vocabulary
from numbanet.text.words import WordTokenizer

__all__ = [
    "BEGIN",
    "END",
    "PADDING",
    "SPECIALS",
    "UNKNOWN",
    "Bleu",
    "BytePairTokenizer",
    "CharacterTokenizer",
    "Hypothesis",
    "TextError",
    "Tokenizer",
    "Vocabulary",
    "WordTokenizer",
    "beam_search",
    "choose",
    "corpus_bleu",
    "decode_text",
    "generate",
    "greedy_search",
    "lines_of",
    "load_tokenizer",
    "probabilities",
    "read_text",
]
