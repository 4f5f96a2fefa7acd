"""Tokenizers: what they cut, that nothing is lost, that files give back the same tokenizer."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pydoc_data.topics import topics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbanet.text import (
    SPECIALS,
    BytePairTokenizer,
    CharacterTokenizer,
    TextError,
    WordTokenizer,
    load_tokenizer,
)
from numbanet.text.byte_pairs_training import learn_merges

TEXT = "the cat sat on the mat; the other cat sat on the hat.\nThe end\n"
TOKENIZERS = {
    "characters": CharacterTokenizer.train(TEXT),
    "characters, lower": CharacterTokenizer.train(TEXT, lower=True),
    "words": WordTokenizer.train(TEXT),
    "words, lower": WordTokenizer.train(TEXT, ("<unk>", "<eos>"), lower=True, min_count=2),
    "words, spaces": WordTokenizer.train(TEXT, spaces=True, max_size=9),
    "byte-pairs": BytePairTokenizer.train(TEXT, 280),
    "byte-pairs, lower": BytePairTokenizer.train(TEXT, 280, lower=True),
    "byte-pairs, no specials": BytePairTokenizer.train(TEXT, 270, ()),
}
UNICODE = st.text(st.characters(exclude_categories=["Cs"]))


# --- all kinds -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", TOKENIZERS)
def test_saved_and_loaded(name, tmp_path):
    tokenizer = TOKENIZERS[name]
    tokenizer.save(tmp_path / "tokenizer.json")
    again = load_tokenizer(tmp_path / "tokenizer.json")
    assert type(again) is type(tokenizer)
    assert again.as_dict() == tokenizer.as_dict()
    assert again.vocabulary.tokens == tokenizer.vocabulary.tokens
    np.testing.assert_array_equal(again.encode(TEXT + "é"), tokenizer.encode(TEXT + "é"))


@pytest.mark.parametrize("name", ["characters", "byte-pairs", "byte-pairs, no specials"])
def test_known_text_comes_back(name):
    tokenizer = TOKENIZERS[name]
    ids = tokenizer.encode(TEXT)
    assert ids.dtype == np.int64
    assert tokenizer.decode(ids) == TEXT
    assert tokenizer.encode("").tolist() == []
    assert len(tokenizer) == len(tokenizer.vocabulary)


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if "lower" in name])
def test_lower_case(name):
    tokenizer = TOKENIZERS[name]
    np.testing.assert_array_equal(tokenizer.encode("THE Cat"), tokenizer.encode("the cat"))
    assert tokenizer.decode(tokenizer.encode("THE CAT")) == "the cat"


def test_special_tokens_are_silent():
    tokenizer = TOKENIZERS["byte-pairs"]
    ids = [tokenizer.vocabulary.begin, *tokenizer.encode("cat"), tokenizer.vocabulary.end, 0, 0]
    assert tokenizer.decode(ids) == "cat"
    assert tokenizer.decode([tokenizer.vocabulary.unknown]) == "<unk>"


@pytest.mark.parametrize(
    ("name", "prompt", "unknown"),
    [("characters", "the Qat", "characters that the model has never seen: 'Q'"), ("words", "a dog", "'a', 'dog'")],
)
def test_unknown_in_a_prompt(name, prompt, unknown):
    with pytest.raises(TextError, match=f"the prompt has .*{unknown}; it knows"):
        TOKENIZERS[name].encode_known(prompt, "the prompt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "is not a tokenizer"),
        ("[1]", "is not a tokenizer of numbanet"),
        ('{"format": "numbanet tokenizer", "kind": "letters"}', "is not a tokenizer of numbanet"),
        ('{"format": "numbanet tokenizer", "format_version": 9, "kind": "words"}', "has format version 9"),
        ('{"format": "numbanet tokenizer", "format_version": 1, "kind": "words"}', "is damaged: 'tokens'"),
    ],
)
def test_files_that_are_none(content, message, tmp_path):
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(TextError, match=message):
        load_tokenizer(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("merges", "message"),
    [(["a"], "two tokens with a space"), (["ab c"], "'ab' 'c' has a token that no merge before it makes")],
)
def test_damaged_merges(merges, message, tmp_path):
    content = {**TOKENIZERS["byte-pairs"].as_dict(), "merges": merges}
    (tmp_path / "t.json").write_text(json.dumps(content))
    with pytest.raises(TextError, match=f"is damaged: .*{message}"):
        load_tokenizer(tmp_path / "t.json")


# --- words ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't panic!", ["Don't", "panic", "!"]),
        ("a two-year-old, 3.14 (really).", ["a", "two-year-old", ",", "3.14", "(", "really", ")", "."]),
        ("one\n\ntwo", ["one", "\n", "\n", "two"]),
        ("Ein Mädchen läuft…", ["Ein", "Mädchen", "läuft", "…"]),
        ("", []),
    ],
)
def test_words(text, tokens):
    assert WordTokenizer.train(text).tokens(text) == tokens


def test_words_between_spaces():
    tokenizer = WordTokenizer.train("it 's , `` good ''\n", spaces=True)
    assert tokenizer.tokens("it 's , ''\n") == ["it", "'s", ",", "''", "\n"]
    assert tokenizer.decode(tokenizer.encode("it 's ,")) == "it 's ,"


@pytest.mark.parametrize(
    "text",
    ["A man, a plan (a canal): Panama!", "“Yes,” he said; it's 5.30.\nNo?", "two-year-old twins don't"],
)
def test_words_are_joined_as_they_are_written(text):
    tokenizer = WordTokenizer.train(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


# --- byte pairs ----------------------------------------------------------------------------------------------------
def merges_by_definition(text: str, count: int) -> list[tuple[str, str]]:
    """Sennrich's algorithm as it is written: count all pairs, merge the most frequent one, again."""
    from numbanet.text.byte_pairs import _PIECES, _PRINTABLE

    order = {token: number for number, token in enumerate(_PRINTABLE)}
    pieces = Counter(tuple(_PRINTABLE[byte] for byte in piece.encode()) for piece in _PIECES.findall(text))
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for piece, often in pieces.items():
            for pair in zip(piece, piece[1:], strict=False):  # noqa: RUF007
                pairs[pair] += often
        pairs = {pair: often for pair, often in pairs.items() if often > 1 and "".join(pair) not in order}
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], order[pair[0]], order[pair[1]]))
        merges.append(best)
        order["".join(best)] = len(order)
        again = Counter()
        for piece, often in pieces.items():
            parts, at = [], 0
            while at < len(piece):
                step = 2 if piece[at : at + 2] == best else 1
                parts.append("".join(piece[at : at + step]))
                at += step
            again[tuple(parts)] += often
        pieces = again
    return merges


@pytest.mark.parametrize("text", [TEXT, "aaaa aaa aa aaaaaaa", "abcbc abc bc abcabc ab c", "ähä öhö ähä öhö 世界世界"])
def test_merges_are_those_of_the_definition(text):
    assert BytePairTokenizer.train(text, 256 + 40, ()).merges == merges_by_definition(text, 40)


@given(st.text("ab \n", max_size=60))
def test_merges_of_any_text_are_those_of_the_definition(text):
    assert BytePairTokenizer.train(text, 256 + 20, ()).merges == merges_by_definition(text, 20)


@given(st.text("abc", min_size=1, max_size=40))
def test_encoding_applies_the_merges_in_their_order(text):
    tokenizer = BytePairTokenizer.train("abcabcab aabbcc abab cc bcbc aaa aaa cacb cacb", 290, ())
    parts = list(text)
    for left, right in tokenizer.merges:
        at = 0
        while at < len(parts) - 1:
            if (parts[at], parts[at + 1]) == (left, right):
                parts[at : at + 2] = [left + right]
            at += 1
    assert tokenizer.tokens(text) == parts


@given(UNICODE)
def test_any_text_comes_back(text):
    tokenizer = TOKENIZERS["byte-pairs"]
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.vocabulary.unknown not in tokenizer.encode(text)


def test_special_tokens_are_never_made_of_text():
    tokenizer = TOKENIZERS["byte-pairs"]
    ids = tokenizer.encode("<eos><pad>")
    assert ids.min() >= len(SPECIALS)
    assert tokenizer.decode(ids) == "<eos><pad>"


def test_bytes_that_are_no_text():
    tokenizer = TOKENIZERS["byte-pairs, no specials"]
    assert tokenizer.decode([0xE4, 0xB8]) == "\ufffd"
    with pytest.raises(TextError, match="half a character"):
        tokenizer.encode("a\udcff")


def test_vocabulary_too_small():
    with pytest.raises(ValueError, match="at least 260 tokens, not 259"):
        BytePairTokenizer.train(TEXT, 259)


def test_nothing_comes_twice():
    assert list(learn_merges({(1, 2, 3): 1}, 5)) == []
    assert list(learn_merges({(1, 2): 2}, 5)) == [(1, 2)]


def test_a_megabyte_in_two_seconds():
    text = "\n\n".join(topics[name] for name in sorted(topics))
    tokenizer = BytePairTokenizer.train(text[:40_000], 1000)
    began = time.process_time()
    tokenizer.encode(text)
    assert (time.process_time() - began) * 1e6 / len(text.encode()) <= 2


def test_the_time_grows_with_the_length_alone():
    """Also where no word comes twice and where there are no spaces."""
    letters = "".join(random.Random(0).choices("etaoinshrdlu ", k=50_000))
    tokenizer = BytePairTokenizer.train(letters[:5_000], 400)
    for text in (letters, letters.replace(" ", ""), "a" * 50_000):
        began = time.process_time()
        tokenizer.encode(text)
        assert time.process_time() - began <= 1, "several times what it takes"
