"""BLEU: sacrebleu's figure, its signature, and a clear word where it is missing."""

from __future__ import annotations

import sys

import pytest

from numbanet.text import TextError, corpus_bleu


def test_bleu():
    pytest.importorskip("sacrebleu", reason="the extra `text` is not installed")
    same = corpus_bleu(["a man is riding a horse ."], ["a man is riding a horse ."])
    assert same.score == pytest.approx(100)
    assert "tok:13a" in same.signature
    other = corpus_bleu(["the man rides a Horse"], ["a man is riding a horse ."], tokenize="none", lowercase=True)
    assert 0 < other.score < 30
    assert "case:lc" in other.signature
    assert "tok:none" in other.signature


def test_tokens_are_warned_of_only_where_text_is_wanted(caplog):
    pytest.importorskip("sacrebleu", reason="the extra `text` is not installed")
    lines = ["a man is riding a horse ."] * 101
    corpus_bleu(lines, lines, tokenize="none")
    assert not caplog.records
    corpus_bleu(lines, lines)
    assert "tokenized" in caplog.text


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(TextError, match=r"pip install 'numbanet\[text\]'"):
        corpus_bleu(["a"], ["a"])


def test_different_numbers():
    pytest.importorskip("sacrebleu", reason="the extra `text` is not installed")
    with pytest.raises(TextError, match="2 translations with 1 references"):
        corpus_bleu(["a", "b"], ["a"])
