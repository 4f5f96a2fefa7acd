"""Vocabularies: numbers of tokens, the special ones, what is unknown."""

from __future__ import annotations

import numpy as np
import pytest

from numbanet.text import SPECIALS, TextError, Vocabulary


def test_special_tokens_come_first():
    vocabulary = Vocabulary.build(["b", "a", "b", "c"])
    assert vocabulary.tokens == ("<pad>", "<unk>", "<bos>", "<eos>", "b", "a", "c")
    assert (vocabulary.padding, vocabulary.unknown, vocabulary.begin, vocabulary.end) == (0, 1, 2, 3)
    assert (len(vocabulary), vocabulary["a"], "c" in vocabulary, "d" in vocabulary) == (7, 5, True, False)


def test_vocabulary_without_special_tokens():
    vocabulary = Vocabulary("ab", ())
    assert (vocabulary.padding, vocabulary.unknown, vocabulary.begin, vocabulary.end) == (None,) * 4
    with pytest.raises(TextError, match="'c' is not in the vocabulary of 2 tokens, which has no <unk>"):
        vocabulary.encode("abc")


def test_rare_tokens_and_the_largest_size():
    words = ["x", "x", "x", "y", "y", "z", "w", "w"]
    assert Vocabulary.build(words, ("<unk>",), min_count=2).tokens == ("<unk>", "x", "w", "y")
    assert Vocabulary.build(words, ("<unk>",), max_size=3).tokens == ("<unk>", "x", "w")
    assert Vocabulary.build(words, ("<unk>",), max_size=1).tokens == ("<unk>",)


def test_encode_and_decode():
    vocabulary = Vocabulary("ab", SPECIALS)
    ids = vocabulary.encode(list("abxa"))
    assert ids.dtype == np.int64
    assert ids.tolist() == [4, 5, 1, 4]
    assert vocabulary.decode(ids) == ["a", "b", "<unk>", "a"]
    assert vocabulary.encode([]).tolist() == []


def test_special_tokens_in_a_text_are_words_like_any_other():
    vocabulary = Vocabulary.build(["<pad>", "<eos>", "<unk>", "a"])
    assert vocabulary.encode(["<pad>", "<eos>", "<bos>", "<unk>", "a"]).tolist() == [1, 1, 1, 1, 4]


@pytest.mark.parametrize("ids", [[7], [-1], [0, 100]])
def test_numbers_out_of_range(ids):
    with pytest.raises(TextError, match=f"there is no token number {ids[-1]}: the vocabulary has 6, from 0"):
        Vocabulary("ab", SPECIALS).decode(ids)


def test_mistakes():
    with pytest.raises(ValueError, match="the token 'a' stands in the vocabulary twice"):
        Vocabulary("aba")
    with pytest.raises(ValueError, match="special tokens are <pad>, <unk>, <bos>, <eos>, not '<s>'"):
        Vocabulary("ab", ("<s>",))
