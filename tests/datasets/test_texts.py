"""Data sets of texts: what ships or is generated, what is read from files, and what is wrong with files."""

from __future__ import annotations

import gzip
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from numbanet import datasets
from numbanet.datasets import DatasetError, TextInfo
from numbanet.text import TextError

GENERATED = ("adding", "copy", "dates", "reverse")


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        data = text.encode()
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder


# --- without files -------------------------------------------------------------------------------------------------
def test_python_docs():
    docs = datasets.load("python-docs")
    assert docs.paths == {}
    assert docs.validation is None
    assert len(docs.train) > 8 * len(docs.test) > 8 * 20_000
    assert "statement" in docs.train
    assert "statement" in docs.test
    paragraphs = [part for part in docs.test.split("\n\n")[1:] if len(part) > 40]
    assert not [part for part in paragraphs if part in docs.train.split("\n\n")], "seen in training"


@pytest.mark.parametrize("name", GENERATED)
def test_generated_data_are_always_the_same(name):
    options = {} if name == "dates" else {"length": 12}
    one, two = (datasets.load(name, **options) for _ in range(2))
    info = datasets.dataset_info(name)
    for part, count in (("train", info.n_train), ("validation", info.n_validation), ("test", info.n_test)):
        first, second = getattr(one, part), getattr(two, part)
        if name == "adding":
            first, second = first[0].tolist(), second[0].tolist()
        assert len(first) == count
        assert first == second


def test_dates():
    dates = datasets.load("dates")
    pairs = dates.train + dates.validation + dates.test
    assert len({target for _, target in pairs}) == len(pairs), "a day that comes twice"
    for source, target in pairs[:500]:
        day = date.fromisoformat(target)
        numbers = [int(number) for number in re.findall(r"\d+", source)]
        assert day.year in numbers
        assert day.day in numbers
        assert day.strftime("%b") in source or day.month in numbers
    sources = [source for source, _ in pairs]
    for example in ("1st of", "2nd of", "3rd of", "11th of", "12th of", "13th of", "21st of", "22nd of", "23rd of"):
        assert any(source.startswith((example, f"the {example}")) for source in sources), example
    assert {target: source for source, target in pairs}["2064-09-13"] == "Saturday, 13 September 2064"


@pytest.mark.parametrize(("name", "expected"), [("copy", lambda text: text), ("reverse", lambda text: text[::-1])])
@pytest.mark.parametrize("length", [1, 5, 20])
def test_letters(name, expected, length):
    pairs = datasets.load(name, length=length).train
    assert all(target == expected(source) for source, target in pairs)
    assert {len(source) for source, _ in pairs} == set(range(max(1, length // 2), length + 1))


@pytest.mark.parametrize("length", [2, 11])
def test_adding(length):
    inputs, targets = datasets.load("adding", length=length).test
    assert inputs.shape == (1000, length, 2)
    assert targets.shape == (1000, 1)
    assert inputs.dtype == targets.dtype == np.float32
    numbers, marks = inputs[..., 0], inputs[..., 1]
    assert (marks.sum(axis=1) == 2).all()
    assert (marks[:, : length // 2].sum(axis=1) == 1).all()
    np.testing.assert_allclose((numbers * marks).sum(axis=1), targets[:, 0], rtol=1e-6)
    assert ((targets - 1) ** 2).mean() == pytest.approx(1 / 6, abs=0.02)


def test_adding_without_two_halves():
    with pytest.raises(DatasetError, match="a number in each half of a series: 1 step is too few"):
        datasets.load("adding", length=1)


# --- from files ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["input.txt", "tinyshakespeare.txt"])
def test_tinyshakespeare(name, tmp_path):
    text = "".join(chr(97 + i % 26) for i in range(1234))
    shakespeare = datasets.load("tinyshakespeare", write(tmp_path, {name: text}))
    assert shakespeare.train + shakespeare.test == text
    assert len(shakespeare.train) == int(0.9 * 1234)


def test_sst2(tmp_path):
    files = {"train.txt": "1 good film\n0 bad , bad\n", "dev.txt": "0 no\n", "test.txt": "1 yes"}
    sst2 = datasets.load("sst2", write(tmp_path, files))
    assert sst2.train == [("good film", 1), ("bad , bad", 0)]
    assert (sst2.validation, sst2.test) == ([("no", 0)], [("yes", 1)])


@pytest.mark.parametrize("line", ["good film", "2 good film", "1", "1 ", "-1 film"])
def test_sst2_with_a_wrong_line(line, tmp_path):
    write(tmp_path, {"train.txt": f"1 good film\n{line}\n", "dev.txt": "0 no\n", "test.txt": "1 yes"})
    with pytest.raises(DatasetError, match=r"train.txt, line 2: expected a label from 0 to 1, a space and a text"):
        datasets.load("sst2", tmp_path)


def test_multi30k(tmp_path):
    parts = ("train", "val", "test_2016_flickr")
    files = {f"{part}.{language}.gz": f"{part} {language}\nzwei\n" for part in parts for language in ("de", "en")}
    multi30k = datasets.load("multi30k", write(tmp_path, files))
    assert multi30k.train == [("train de", "train en"), ("zwei", "zwei")]
    assert multi30k.test[0] == ("test_2016_flickr de", "test_2016_flickr en")
    write(tmp_path, {"val.en.gz": "one line\n"})
    with pytest.raises(DatasetError, match=r"val.de.gz has 2 lines and .*val.en.gz has 1: they do not match"):
        datasets.load("multi30k", tmp_path)


def test_own_text(tmp_path):
    write(tmp_path, {"a.txt": "abcdefghij" * 10})
    own = datasets.load("text", file=tmp_path / "a.txt")
    assert own.train + own.test == "abcdefghij" * 10
    assert len(own.test) == 10


def test_own_pairs(tmp_path):
    pairs = [(f"source {i}", f"target {i}") for i in range(30)]
    write(tmp_path, {"a.tsv": "\n".join("\t".join(pair) for pair in pairs) + "\n\n"})
    own = datasets.load("pairs", file=tmp_path / "a.tsv")
    assert (len(own.train), len(own.validation), len(own.test)) == (24, 3, 3)
    assert sorted(own.train + own.validation + own.test) == sorted(pairs)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (
            "a\tb\nonly one\n",
            DatasetError,
            r"line 2: expected a source, a tab and a target, not 1 column \('only one'\)",
        ),
        ("a\tb\tc\n", DatasetError, "line 1: .* not 3 columns"),
        ("a\tb\n\nc\t \n", DatasetError, "line 3: the target is empty"),
        ("a\tb\n", DatasetError, "has 1 pairs; training, validation and testing need at least 3"),
        ("", TextError, "a.tsv is empty"),
    ],
)
def test_wrong_pairs(content, error, message, tmp_path):
    write(tmp_path, {"a.tsv": content})
    with pytest.raises(error, match=message):
        datasets.load("pairs", file=tmp_path / "a.tsv")


@pytest.mark.parametrize(("name", "option"), [("text", "--text FILE"), ("pairs", "--pairs FILE")])
def test_no_file_named(name, option):
    with pytest.raises(DatasetError, match=option):
        datasets.load(name)


@pytest.mark.parametrize("name", ["sst2", "multi30k"])
def test_what_cannot_be_downloaded_says_where_to_get_it(name, tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBANET_OFFLINE", raising=False)
    with pytest.raises(DatasetError, match="Get it from .*https://github.com/.*, or name the folder"):
        datasets.load(name, tmp_path)


def test_every_data_set_of_texts_says_what_it_is():
    infos = [datasets.dataset_info(name) for name in datasets.list_datasets()]
    texts = [info for info in infos if isinstance(info, TextInfo)]
    assert len(texts) == 10
    for info in texts:
        assert info.title
        assert info.source
        assert info.licence
        assert info.task in ("language", "translation", "classification", "regression")
        assert bool(info.classes) == (info.task == "classification")
