"""Text from files: encodings, line ends, and what is wrong with them."""

from __future__ import annotations

import gzip

import pytest

from numbanet.text import TextError, lines_of, read_text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"one\ntwo\n", "one\ntwo\n"),
        (b"one\r\ntwo\rthree", "one\ntwo\nthree"),
        (b"\xef\xbb\xbfone", "one"),
        ("Grüße, 世界 🙂".encode(), "Grüße, 世界 🙂"),
    ],
)
def test_text(content, text, tmp_path):
    (tmp_path / "a.txt").write_bytes(content)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(content))
    assert read_text(tmp_path / "a.txt") == read_text(tmp_path / "a.txt.gz") == text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"one\ntwo\nth\xffree", r"a.txt is not UTF-8 text: byte 0xff at position 10 \(line 3\)"),
        ("a.txt", b"caf\xe9", r"byte 0xe9 at position 3 \(line 1\); save it as UTF-8"),
        ("a.txt", b"cut \xe4\xb8", r"byte 0xe4 at position 4"),
        ("a.txt", b"", "a.txt is empty"),
        ("a.txt", b" \n\n", "a.txt is empty"),
        ("a.txt", None, "there is no file .*a.txt"),
        ("a.gz", b"plain", "a.gz is damaged: Not a gzipped file"),
        ("a.gz", gzip.compress(b"text" * 99, mtime=0)[:20], "a.gz is damaged"),
    ],
)
def test_mistakes(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=message):
        read_text(tmp_path / name)


def test_only_a_line_end_ends_a_line():
    """Sentences of Multi30k hold Unicode's line separators, and a line more in one language moves all pairs."""
    text = "one\x0ctwo\u2028three\x85\n\nlast"
    assert lines_of(text) == lines_of(text + "\n") == ["one\x0ctwo\u2028three\x85", "", "last"]


def test_folder(tmp_path):
    with pytest.raises(TextError, match="cannot read"):
        read_text(tmp_path)
