"""Commands on text: what they say and do, and what they say of wrong input (one line, exit code 2, nothing changed)."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from numbanet.cli import main
from tests.cli.conftest import snapshot
from tests.training.tiny_text import registered_tiny_models

TEXT = "the cat sat on the mat, the dog sat on the log.\n" * 20
PAIRS = "".join(f"{a} {b}\t{b.upper()} {a.upper()}\n" for a in ("one", "two", "six") for b in ("one", "ten")) * 8
LABELLED = "1 a good film\n0 a bad film\n1 good good\n0 so bad , bad\n" * 10
COMMON = ["--backend", "numpy", "--batch-size", "4", "--epochs", "1", "--optimizer", "adam", "--lr", "0.01"]
KINDS = {
    "language": ["tiny_recurrent", "--text", "a.txt", "--sequence-length", "8"],
    "windows": ["tiny_windows", "--text", "a.txt", "--sequence-length", "8"],
    "translation": ["tiny_translator", "--pairs", "a.tsv", "--sequence-length", "6"],
    "classes": ["tiny_classifier", "--dataset", "sst2", "--data-dir", "data", "--sequence-length", "6"],
}


def write_data() -> None:
    Path("a.txt").write_text(TEXT)
    Path("a.tsv").write_text(PAIRS)
    Path("data").mkdir(exist_ok=True)
    for name in ("train", "dev", "test"):
        Path("data", f"{name}.txt").write_text(LABELLED)


@pytest.fixture(autouse=True)
def tiny_models(monkeypatch):
    registered_tiny_models(monkeypatch)


@pytest.fixture(scope="session")
def text_runs_once(tmp_path_factory) -> Path:
    """A folder with the data and a run of each kind."""
    folder = tmp_path_factory.mktemp("text-runs")
    with pytest.MonkeyPatch.context() as patch:
        registered_tiny_models(patch)
        patch.chdir(folder)
        write_data()
        for kind, arguments in KINDS.items():
            epochs = ["--epochs", "6"] if kind == "translation" else []
            assert main(["train", *arguments, *COMMON, *epochs, "--out", kind]) == 0
    return folder


@pytest.fixture
def runs(text_runs_once, tmp_path) -> Path:
    shutil.copytree(text_runs_once, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def standard_input(monkeypatch) -> Callable[[bytes], None]:
    def give(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


# --- what they do --------------------------------------------------------------------------------------------------
def test_training_says_what_it_came_to(command):
    write_data()
    result = command("train", *KINDS["language"], *COMMON)
    assert result.code == 0, result.err
    assert re.search(r"epoch 1/1  train loss [\d.]+  test loss [\d.]+  perplexity [\d.]+  bits/character ", result.out)
    assert re.search(r"test loss [\d.]+ after 1 epoch; .* tokens/s", result.out)
    assert Path("runs/tiny_recurrent-text/tokenizer.json").exists()
    assert command("train", "tiny_recurrent", "--text", "a.txt", "--epochs", "2", "--resume").code == 0


@pytest.mark.parametrize(
    ("kind", "size"),
    [("language", "864 tokens"), ("windows", "864 tokens"), ("translation", "40 pairs"), ("classes", "40 texts")],
)
def test_training_says_how_much_it_learns_from(command, kind, size):
    write_data()
    assert f" ({size}), 1 epochs of " in command("train", *KINDS[kind], *COMMON).out.splitlines()[0]


def test_evaluate(command, runs):
    for kind, words in {
        "language": r"\d+ tokens: loss [\d.]+  perplexity [\d.]+  [\d.]+ bits per character",
        "windows": r"\d+ tokens: loss",
        "classes": r"40 texts: loss [\d.]+  accuracy [\d.]+ %  errors \d+\nnaive Bayes .*: accuracy 100.00 %",
        "translation": r"4 pairs, 12 tokens: loss .*\n\d of 4 translations are right to the token",
    }.items():
        result = command("evaluate", kind)
        assert result.code == 0, result.err
        assert re.search(words, result.out), result.out


def test_evaluate_with_bleu(command, runs):
    pytest.importorskip("sacrebleu", reason="the extra `text` is not installed")
    result = command("evaluate", "translation", "--part", "validation", "--beams", "3")
    assert re.search(r"BLEU [\d.]+ of the model's tokens \(nrefs:1\|.*tok:none", result.out), result.out
    assert re.search(r"BLEU [\d.]+ of the text \(nrefs:1\|.*tok:13a", result.out)


def test_bleu_without_sacrebleu(command, runs, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu.metrics", None)
    result = command("evaluate", "translation")
    assert result.code == 0
    assert re.search(r"pairs, 12 tokens: loss [\d.]+ .*\n.*\nno BLEU: .*pip install 'numbanet\[text\]'", result.out)


def test_bleu_of_byte_pairs(command):
    """Of the text: byte pairs are no words."""
    pytest.importorskip("sacrebleu", reason="the extra `text` is not installed")
    write_data()
    assert (
        command("train", *KINDS["translation"], *COMMON, "--tokenizer", "byte-pairs", "--vocabulary", "265").code == 0
    )
    out = command("evaluate", "runs/tiny_translator-pairs").out
    assert re.search(r"BLEU [\d.]+ of the text \(nrefs:1\|.*tok:13a", out), out
    assert "model's tokens" not in out


def test_evaluate_on_another_text(command, runs):
    Path("b.txt").write_text("the dog sat on the mat; Quite so. " * 20)
    result = command("evaluate", "language", "--text", "b.txt")
    assert result.code == 0, result.err
    assert "are not in the vocabulary and count as <unk>" in result.out
    assert command("evaluate", "language", "--dataset", "python-docs", "--limit", "5").code == 0
    result = command("evaluate", "language", "--pairs", "a.tsv")
    assert (result.code, result.out) == (2, "")
    assert "the run was trained on text; pairs is another kind of data" in result.err


def test_generate(command, runs):
    first = command("generate", "language", "--prompt", "the cat", "--length", "20", "--seed", "3")
    assert first.code == 0, first.err
    assert first.out.startswith("the cat")
    assert len(first.out) == len("the cat") + 20 + 1
    assert command("generate", "language", "--prompt", "the cat", "--length", "20", "--seed", "3").out == first.out
    assert command("generate", "language", "--prompt", "the cat", "--length", "20", "--seed", "4").out != first.out
    several = command("generate", "windows", "--count", "3", "--length", "9", "--top-k", "2", "--top-p", "0.9").out
    assert several.count("-" * 20) == 2


def test_generate_of_a_text_without_line_ends(command):
    """Without --prompt a text begins with a new line, which such a model does not know."""
    Path("b.txt").write_text(TEXT.replace("\n", " "))
    assert command("train", *KINDS["language"][:2], "b.txt", *COMMON, "--out", "new").code == 0
    result = command("generate", "new", "--length", "5")
    assert (result.code, result.out) == (2, "")
    assert "the model has seen no line end to begin with; say by --prompt what the text begins with" in result.err
    assert command("generate", "new", "--length", "5", "--prompt", "the").code == 0


def test_a_separator_within_a_sentence_is_no_line_end(command, runs):
    Path("in.txt").write_text("one\u2028 ten\nsix\x0cone\n", encoding="utf-8")
    assert command("translate", "translation", "in.txt").out.count("\n") == 2
    Path("in.txt").write_text("good\x85film\nbad film\n", encoding="utf-8")
    result = command("predict", "classes", "in.txt", "--top", "1")
    assert len(re.findall(r"^(positive|negative) ", result.out, re.MULTILINE)) == 2


def test_translate(command, runs, standard_input):
    Path("in.txt").write_text("one ten\n\nsix one\n")
    from_file = command("translate", "translation", "in.txt", "--beams", "2")
    assert from_file.code == 0, from_file.err
    assert from_file.out.count("\n") == 3
    assert from_file.out.split("\n")[1] == ""
    standard_input(b"one ten\n\nsix one\n")
    assert command("translate", "translation", "--beams", "2").out == from_file.out


def test_predict(command, runs, standard_input):
    Path("in.txt").write_text("good film\nbad film\n")
    result = command("predict", "classes", "in.txt", "--top", "1")
    assert result.code == 0, result.err
    assert re.fullmatch(r"(positive|negative) \([\d.]+ %\): good film\n(positive|negative) .*: bad film\n", result.out)
    standard_input(b"good film\nbad film\n")
    assert command("predict", "classes", "-", "--top", "1").out == result.out


def test_inspect(command, runs):
    """Of the smallest models the embeddings; of a Transformer everything there is to draw."""
    result = command("inspect", "language", "--token", "t")
    assert result.code == 0, result.err
    assert Path("language/inspect/embedding-tokenizer.png").read_bytes()[:4] == b"\x89PNG"
    assert re.search(r"nearest to t: .* -?[\d.]+", result.out)
    options = ["d_model=16", "num_layers=1", "num_heads=2", "dim_feedforward=16"]
    sizes = [part for option in options for part in ("--model-option", option)]
    arguments = ["transformer", "--pairs", "a.tsv", "--sequence-length", "6", *COMMON, *sizes, "--limit", "8"]
    assert command("train", *arguments, "--out", "new").code == 0
    result = command("inspect", "new", "--text", "one ten", "--out", "pictures")
    assert result.code == 0, result.err
    found = {path.name for path in Path("pictures").iterdir()}
    assert {"alignment.png", "embedding-source.png", "embedding-target.png", "positions-positions.png"} <= found
    assert sum(name.startswith("attention-") for name in found) == 3
    assert result.out.count("\n") >= len(found)
    Path("a.tsv").unlink()
    assert "nearest to" in command("inspect", "new", "--text", "one ten").out, "a text needs no data"
    Path("a.tsv").write_text("one six ten six one ten six ten\tA\n" * 30)
    assert command("inspect", "new").code == 0, "the first test sentence is longer than the model takes"


# --- wrong input ---------------------------------------------------------------------------------------------------
class Case(NamedTuple):
    arguments: str
    message: str
    files: dict[str, bytes] = {}  # noqa: RUF012
    given: bytes = b""


TRAIN = "train tiny_recurrent --text b.txt --sequence-length 8 --batch-size 2 --backend numpy --out new"
TRANSLATE = "train tiny_translator --pairs b.tsv --backend numpy --batch-size 2 --out new"
CASES = {
    "no such text": Case(TRAIN, "there is no file b.txt"),
    "not utf-8": Case(TRAIN, r"b.txt is not UTF-8 text: byte 0xff at position 6 \(line 2\)", {"b.txt": b"abcd\ne\xff"}),
    "empty": Case(TRAIN, "b.txt is empty: there is no text in it", {"b.txt": b""}),
    "white space": Case(TRAIN, "b.txt is empty: there is no text in it", {"b.txt": b" \n\n "}),
    "shorter than a window": Case(
        TRAIN, "the train text of text has 5 tokens, fewer than a window", {"b.txt": b"012345"}
    ),
    "test part too short": Case(TRAIN, "the test text of text has 4 tokens", {"b.txt": b"0123456789" * 4}),
    "fewer than the streams": Case(
        TRAIN.replace("-size 2", "-size 50"),
        "50 streams of windows of 8 tokens need a text of 401",
        {"b.txt": b"01234 " * 50},
    ),
    "length 0": Case(TRAIN.replace("length 8", "length 0"), "sequence_length must be a whole number, 1 or more, not 0"),
    "no text named": Case("train tiny_recurrent --dataset text --out new", "which text. Name a file by --text FILE"),
    "unknown tokenizer": Case(TRAIN + " --tokenizer letters", "--tokenizer.*'letters'.*'characters', 'words'"),
    "other data beside a text": Case(TRAIN + " --dataset python-docs", "text b.txt: this run is on python-docs"),
    "text and pairs": Case(TRAIN + " --pairs a.tsv", "pairs a.tsv: this run is on text; leave one of them out"),
    "steps of an epoch of pairs": Case(
        TRANSLATE + " --epoch-steps 3", "epoch_steps: only language models draw windows"
    ),
    **{
        f"{option} for a text": Case(f"{TRAIN} --{option} {value}", f"{name}: text holds texts, for which there is no")
        for option, value, name in (
            ("loss", "mse", "loss"),
            ("augment", "flip", "augment"),
            ("class-weights", "balanced", "class_weights"),
            ("weights-act", "sampler", "weights_act"),
        )
    },
    "few positions": Case(
        TRAIN.replace("recurrent", "windows") + " --model-option max_length=4",
        r"model option max_length=4 contradicts text, which needs 8 or more \(sequence_length\); leave it out",
        {"b.txt": b"01234 " * 50},
    ),
    "few words": Case(
        TRAIN + " --model-option vocab_size=3",
        "vocab_size=3 contradicts text, which needs 7; leave it out",
        {"b.txt": b"01234 " * 50},
    ),
    "few classes": Case(
        f"train {' '.join(KINDS['classes'])} --backend numpy --model-option num_classes=1 --out new",
        "num_classes=1 contradicts sst2, which needs 2; leave it out",
    ),
    "another padding": Case(
        TRANSLATE.replace("b.tsv", "a.tsv") + " --model-option padding=3",
        "padding=3 contradicts pairs, which needs 0; leave it out",
    ),
    "two vocabularies as one": Case(
        "train transformer --pairs b.tsv --backend numpy --out new --model-option share_embeddings=true",
        "share_embeddings: the source and the target of pairs have vocabularies of their own",
        {"b.tsv": b"a b\tc d\n" * 40},
    ),
    "no pairs": Case(TRANSLATE, "there is no file b.tsv"),
    "missing column": Case(TRANSLATE, "b.tsv, line 2: expected a source, a tab and a target", {"b.tsv": b"a\tb\nab\n"}),
    "third column": Case(TRANSLATE, "b.tsv, line 1: .* not 3 columns", {"b.tsv": b"a\tb\tc\n"}),
    "empty column": Case(TRANSLATE, "b.tsv, line 1: the target is empty", {"b.tsv": b"a\t\n"}),
    "pairs not utf-8": Case(TRANSLATE, "byte 0xe9 at position 2", {"b.tsv": b"a\t\xe9\n"}),
    "every pair too long": Case(TRANSLATE + " --sequence-length 1", "no train pair", {"b.tsv": b"a b\tb\n" * 20}),
    "labels": Case(
        "train tiny_classifier --dataset sst2 --data-dir . --out new",
        r"train.txt, line 1: expected a label from 0 to 1",
        {"train.txt": b"good film\n", "dev.txt": b"1 a", "test.txt": b"1 a"},
    ),
    "model of another kind": Case(
        "train lenet5 --text b.txt --out new", "the model lenet5 is for pictures", {"b.txt": b"ab"}
    ),
    "unknown character in the prompt": Case(
        "generate language --prompt Qu", "characters that the model has never seen: 'Q', 'u'; it knows"
    ),
    "empty prompt": Case("generate language --prompt=", "the prompt is empty"),
    "long prompt": Case(
        "generate windows --prompt the_cat_sat --length 3".replace("_", "\xa0"), "has never seen|sees at most 8"
    ),
    "prompt beyond the positions": Case(
        "generate windows --prompt thecatsat", "has 9 tokens; the model sees at most 8"
    ),
    "temperature": Case("generate language --temperature -1", "--temperature.*-1"),
    "no temperature": Case("generate language --temperature nan", "--temperature.*nan is not a finite number"),
    "endless temperature": Case("generate language --temperature inf", "--temperature.*inf is not a finite number"),
    "top-p nan": Case("generate language --top-p nan", "--top-p.*nan"),
    "length penalty": Case("translate translation in.txt --length-penalty nan", "--length-penalty.*nan"),
    "top-p": Case("generate language --top-p 1.5", "--top-p.*1.5"),
    "top-k": Case("generate language --top-k 0", "--top-k.*0"),
    "generate by a translator": Case("generate translation", "only language models make text"),
    "translate by a classifier": Case("translate classes", "it has not learned to translate"),
    "predict by a language model": Case("predict language a.txt", "it gives texts no classes"),
    "sentence too long": Case(
        "translate translation b.txt",
        "line 2 has 7 tokens; the model takes at most 6",
        {"b.txt": b"one\none" + b" one" * 6},
    ),
    "input not utf-8": Case("translate translation", "standard input is not UTF-8 text: byte 0xff", given=b"one\n\xff"),
    "no input": Case("translate translation", "standard input is empty"),
    "text too long": Case(
        "predict classes b.txt", "b.txt, line 1, has 7 tokens; the model takes 1 to 6", {"b.txt": b"a" + b" a" * 6}
    ),
    "texts not there": Case("predict classes b.txt", "there is no file b.txt"),
    "inspect without text": Case("inspect translation --text=", "the text has no tokens; the model takes 1 to 6"),
    "too many beams": Case("translate translation in.txt --beams 100000", "--beams.*100000 is not in the range"),
    "inspect with an unknown token": Case("inspect language --token Q", "'Q' is not in the vocabulary"),
    "inspect with an unknown text": Case("inspect language --text Q", "the text has characters .* never seen: 'Q'"),
    "run without tokenizer": Case("generate no-tokenizer", "there is no file no-tokenizer.tokenizer.json"),
    "tokenizer of something else": Case("generate odd-tokenizer", "odd-tokenizer.tokenizer.json is not a tokenizer"),
}


@pytest.mark.parametrize("name", CASES)
def test_wrong_input(name, command, runs, standard_input):
    case = CASES[name]
    for broken in ("no-tokenizer", "odd-tokenizer"):
        shutil.copytree("language", broken)
    Path("no-tokenizer/tokenizer.json").unlink()
    Path("odd-tokenizer/tokenizer.json").write_text('{"a": 1}')
    for file, content in case.files.items():
        Path(file).write_bytes(content)
    standard_input(case.given)
    before = snapshot(runs)
    result = command(*case.arguments.split(" "))
    assert re.search(case.message, result.err), result.err
    assert result.code == 2
    assert result.err.count("\n") == 1, "more than one line"
    assert result.err.startswith("numbanet: ")
    assert result.out == ""
    assert snapshot(runs) == before
