"""Tasks on text: their batches, what is evaluated, decoding; with the smallest models."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import numbanet
from numbanet import optim
from numbanet.data.sequences import IGNORED
from numbanet.text import TextError
from numbanet.training.errors import ConfigError
from numbanet.training.tasks import SampleTask, inspection, make_task
from numbanet.training.tasks.generation import continued_texts
from numbanet.training.tasks.language import whole_text
from numbanet.training.tasks.naive_bayes import naive_bayes_accuracy
from tests.training.conftest import small_config
from tests.training.tiny_text import tiny_models  # noqa: F401

pytestmark = pytest.mark.usefixtures("tiny_models")

SENTENCES = ["a good film", "bad , bad film", "good good", "so bad", "what a good and good film it was"]


def sst2(folder: Path = Path("data")) -> str:
    """A data set like sst2 in a folder."""
    folder.mkdir()
    lines = "".join(f"{int('good' in text)} {text}\n" for text in SENTENCES * 8)
    for name in ("train", "dev", "test"):
        (folder / f"{name}.txt").write_text(lines)
    return str(folder)


def pairs() -> str:
    """Numbers in words and digits."""
    words = ["one", "two", "three"]
    lines = [f"{words[a]} {words[b]}\t{a + 1} {b + 1}\n" for a in range(3) for b in range(3)]
    Path("pairs.tsv").write_text("".join(lines * 6))
    return "pairs.tsv"


def task_of(changes: dict, **settings):
    common = {"model_options": {}, "limit": 0, "batch_size": 4}
    return make_task(small_config(**{**common, **settings, **changes}))


def language(**changes):
    Path("a.txt").write_text("the cat sat on the mat, the dog sat on the log. " * 40)
    return task_of(changes, model="tiny_recurrent", dataset="text", text="a.txt", sequence_length=8)


def classification(**changes):
    return task_of(changes, model="tiny_classifier", dataset="sst2", data_dir=sst2())


def samples(**changes):
    return make_task(small_config(**changes))


def translation(**changes):
    return task_of(changes, model="tiny_translator", dataset="pairs", pairs=pairs(), sequence_length=12)


def test_pictures_have_no_text_task():
    assert isinstance(make_task(small_config()), SampleTask)


# --- a whole text --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("count", "length", "rows"), [(100, 7, 3), (22, 7, 3), (9, 8, 1), (9, 8, 20), (257, 16, 4)])
def test_every_token_but_the_first_is_a_target_once(count, length, rows, streams):
    ids = np.arange(count)
    batches = list(whole_text(ids, length, rows, streams))
    assert {inputs.shape for inputs, _ in batches} == {(rows, length)}
    counted = np.concatenate([targets[targets != IGNORED] for _, targets in batches])
    assert sorted(counted) == list(range(1, count))
    for inputs, targets in batches:
        shown = targets != IGNORED
        np.testing.assert_array_equal(targets[shown], inputs[shown] + 1)
    if streams:
        for (_, before), (after, wanted) in zip(batches, batches[1:], strict=False):  # noqa: RUF007
            goes_on = (wanted[:, 0] != IGNORED) & (before[:, -1] != IGNORED)
            np.testing.assert_array_equal(after[goes_on, 0], before[goes_on, -1])


# --- language ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model", ["tiny_recurrent", "tiny_windows"])
def test_language_evaluation_is_the_mean_over_the_text(model):
    task = language(model=model)
    network = task.build_model().eval()
    part = task.data.test
    result = task.evaluate(network, part)
    assert result.targets == len(part.tokens) - 1
    losses = []
    rows, carried = whole_text(part.tokens, 8, 4, streams=model == "tiny_recurrent"), None
    for inputs, targets in rows:
        if model == "tiny_recurrent":
            logits, carried = network(numbanet.from_numpy(inputs), carried)
        else:
            logits = network(numbanet.from_numpy(inputs))
        shares = logits.detach().numpy().astype(np.float64)
        shares = shares - np.log(np.exp(shares).sum(-1, keepdims=True))
        losses += [-shares[i, t, targets[i, t]] for i, t in zip(*np.nonzero(targets != IGNORED), strict=True)]
    assert result.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert result.perplexity == pytest.approx(math.exp(result.loss))
    assert result.extra["bits_per_character"] == pytest.approx(result.loss / math.log(2))


def test_bits_are_those_of_the_text_s_own_characters():
    """Not of what its tokens are decoded to, where an unknown word is <unk> and spaces are single."""
    task = language(tokenizer="words")
    task.splits = task.splits._replace(test="a  cat   sat on  a\nmat  " * 20)
    network, part = task.build_model(), task.data.test
    result = task.evaluate(network, part)
    assert task.unknown_share(part) > 0
    bits = result.loss * len(part.tokens) / math.log(2)
    assert result.extra["bits_per_character"] == pytest.approx(bits / len(task.splits.test))


@pytest.mark.parametrize(("eval_batch_size", "sizes"), [(500, {12}), (5, {4}), (2, {4})])
def test_windows_are_evaluated_in_larger_batches(eval_batch_size, sizes):
    """Of equal sizes; as many as the setting says, and no fewer than in training. Streams are those of training."""
    task = language(model="tiny_windows", eval_batch_size=eval_batch_size)
    network = task.build_model()
    test = task.data.test
    test.tokens = test.tokens[:96]  # 12 windows
    assert {len(targets) for _, targets in task.batches(network, test)} == sizes
    training, evaluation = task.examples(network)
    assert (len(training[0][1]), len(evaluation[0][1])) == (4, *sizes)
    streams = language(eval_batch_size=eval_batch_size)
    assert {len(targets) for _, targets in streams.batches(streams.build_model(), test)} == {4}


def test_a_state_is_carried_from_window_to_window():
    task = language()
    network = task.build_model().eval()
    forward = task.forward(network)
    windows = [inputs for inputs, _ in task.loader(network)][:3]
    by_parts = [forward(window).detach().numpy() for window in windows]
    at_once = network(numbanet.cat(windows, 1))[0].detach().numpy()
    np.testing.assert_allclose(np.concatenate(by_parts, 1), at_once, atol=1e-6)
    assert not any(tensor.requires_grad for tensor in forward.carried)
    forward.begin_epoch()
    np.testing.assert_array_equal(forward(windows[0]).detach().numpy(), by_parts[0])


def test_language_data():
    task = language(validation=0.25, limit=0)
    whole = task.splits.train
    ids = task.tokenizers["tokenizer"].encode(whole)
    np.testing.assert_array_equal(
        np.concatenate([task.data.train.tokens, task.data.validation.tokens]), ids, "the end is held out"
    )
    assert task.files().keys() == {"tokenizer.json"}
    assert len(language(limit=3).data.train.tokens) == 25
    assert _steps(language(model="tiny_windows", epoch_steps=7)) == 7
    assert _steps(language(model="tiny_windows")) == 54


def _steps(task) -> int:
    return len(task.loader(task.build_model()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sequence_length": 5000}, "the train text of text has 1728 tokens, fewer than a window of 5000"),
        ({"sequence_length": 500}, "the test text of text has 192 tokens, fewer than a window of 500"),
        ({"batch_size": 500}, "500 streams of windows of 8 tokens need a text of 4001 tokens"),
        ({"epoch_steps": 3}, "an epoch of tiny_recurrent is the whole text, whose state it carries"),
        ({"tokenizer": "byte-pairs", "vocabulary": 100}, "vocabulary 100: byte pairs need .* at least 257 tokens"),
        ({"model_options": {"widht": 3}}, "tiny_recurrent cannot be made for text: .*no option 'widht'"),
    ],
)
def test_language_mistakes(changes, message):
    def prepare() -> None:
        task = language(**changes)
        task.loader(task.build_model())
        _ = task.data

    with pytest.raises(ConfigError, match=message):
        prepare()


# --- classification ------------------------------------------------------------------------------------------------
def test_classification():
    task = classification()
    assert len(task.data.train) == 40
    network = task.build_model()
    for tokens, labels in task.loader(network):
        assert network(tokens).shape == (len(labels), 2)
    result = task.evaluate(network, task.data.test)
    assert result.targets == 40
    assert 0 <= result.accuracy <= 1
    assert task.info.classes == ("negative", "positive")


def test_long_texts_are_cut_and_said():
    task = classification(sequence_length=3)
    assert max(task.data.train.lengths) == 3
    assert task.notes[0] == "16 of 40 train texts are cut after 3 tokens"
    with pytest.raises(TextError, match="text 2 has 4 tokens; the model takes 1 to 3"):
        task.encode(["a film", "so bad a film"])
    with pytest.raises(TextError, match="text 1 has 0 tokens"):
        task.encode([" "])


def test_validation_twice():
    with pytest.raises(ConfigError, match="sst2 has a validation part of its own"):
        _ = classification(validation=0.1).data


def test_naive_bayes():
    """By hand: token 1 is found in 2 of 2 texts of class 1 and in none of class 0."""
    train = [np.array([1, 2]), np.array([1, 1]), np.array([0, 2])]
    labels = np.array([1, 1, 0])
    test, wanted = [np.array([1]), np.array([0]), np.array([2, 0])], np.array([1, 0, 0])
    assert naive_bayes_accuracy(train, labels, test, wanted, 3) == 1.0
    assert naive_bayes_accuracy(train, labels, test, 1 - wanted, 3) == 0.0


@pytest.mark.parametrize("make", [language, classification, samples])
def test_reverse_is_for_translation(make):
    with pytest.raises(ConfigError, match="reverse source: only translation has a source and a target to reverse"):
        make(reverse="source")


# --- translation ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("reverse", ["none", "source", "target"])
def test_translation_batches(reverse):
    task = translation(reverse=reverse)
    network = task.build_model()
    source, target = task.tokenizers["source"], task.tokenizers["target"]
    assert set(source.vocabulary.tokens[4:]) == {"one", "two", "three"}
    for (rows, inputs), wanted in task.loader(network):
        assert network(rows, inputs).shape == (*wanted.shape, len(target))
        for row, begun, ended in zip(*(part.numpy() for part in (rows, inputs, wanted)), strict=True):
            words = source.vocabulary.decode(row[row != source.vocabulary.padding])
            numbers = target.vocabulary.decode(ended[ended != IGNORED])
            assert numbers.pop() == "<eos>"
            assert target.vocabulary.decode(begun[: len(numbers) + 1]) == ["<bos>", *numbers]
            spelled = [{"one": "1", "two": "2", "three": "3"}[word] for word in words]
            assert numbers == (spelled[::-1] if reverse != "none" else spelled)


@pytest.mark.parametrize("reverse", ["none", "source", "target"])
def test_translation_is_learned_and_decoded(reverse):
    task = translation(reverse=reverse)
    network, objective = task.build_model(), task.objective()
    optimizer, forward = optim.Adam(network.parameters(), lr=0.03), task.forward(network)
    for _ in range(12):
        for inputs, targets in task.loader(network):
            optimizer.zero_grad()
            objective(forward(inputs), targets).backward()
            optimizer.step()
    network.eval()
    texts, wanted = zip(*sorted(set(task.splits.train)), strict=True)
    for beams in (1, 3):
        assert task.translate(network, list(texts), beams) == list(wanted)
    assert task.evaluate(network, task.data.test).accuracy > 0.95


@pytest.mark.parametrize("beams", [1, 3])
def test_a_line_alone_and_among_longer_ones(beams):
    """Also where nothing but its limit ends a translation."""
    task = translation(sequence_length=64)
    network = task.build_model().eval()
    network.output.bias.data[task.tokenizers["target"].vocabulary.end] = -100.0
    lines = ["one two", "two " * 30, "three"]
    together = task.translate(network, lines, beams)
    assert [task.translate(network, [line], beams)[0] for line in lines] == together
    assert [len(text.split()) for text in together] == [24, 64, 22]


def test_long_pairs_are_left_out_and_said():
    Path("long.tsv").write_text("one\t1\n" * 20 + "one one one one\t1\none\t1 1 1 1\n" + "two\t2\n" * 20)
    task = translation(pairs="long.tsv", sequence_length=3)
    assert max(task.data.train.lengths) == 1
    left_out = sum(int(note.split()[0]) for note in task.notes)
    assert left_out == 2
    with pytest.raises(TextError, match="line 2 has 4 tokens; the model takes at most 3"):
        task.translate(task.build_model(), ["one", "one one one one"])
    assert task.translate(task.build_model(), ["", " "]) == ["", ""]


def test_a_long_source_keeps_its_beginning():
    """However its tokens stand."""
    task = translation(reverse="source")
    assert task.tokenizers["source"].vocabulary.decode(task.ids_of("source", "one two three", 2)) == ["two", "one"]


def test_embeddings_are_told_by_the_tokens_that_are_theirs(monkeypatch):
    """Vocabularies of one size do not change places."""
    options = {"d_model": 8, "num_layers": 1, "num_heads": 1, "dim_feedforward": 8}
    task, told = translation(model="transformer", model_options=options), {}
    network = task.build_model()
    assert len(task.tokenizers["source"]) == len(task.tokenizers["target"])
    monkeypatch.setattr(
        inspection, "_embedding", lambda name, tokenizer, vectors, *_: told.update({name: vectors}) or ()
    )
    assert not list(inspection._embeddings(task, network, Path(), None))
    for name in ("source", "target"):
        np.testing.assert_array_equal(told[name], getattr(network, name).weight.detach().numpy())


def test_lengths_of_batches_are_even():
    """So few shapes come that most are replayed; but no sentence becomes longer than the longest."""
    task = translation(batch_size=1, model_options={})
    widths = {(inputs[0].shape[1], targets.shape[1]) for inputs, targets in task.loader(task.build_model())}
    assert widths == {(2, 3)}  # the longest target has two words and its end
    Path("more.tsv").write_text("one two three\t1 2 3 4 5\none\t1 2\n" * 20)
    task = translation(batch_size=1, pairs="more.tsv")
    widths = {(inputs[0].shape[1], targets.shape[1]) for inputs, targets in task.loader(task.build_model())}
    assert widths == {(3, 6), (2, 4)}


def test_every_pair_too_long():
    with pytest.raises(ConfigError, match="no train pair of pairs has at most 1 tokens, the --sequence-length"):
        _ = translation(sequence_length=1).data


# --- generation ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model", ["tiny_recurrent", "tiny_windows"])
def test_generation_sees_what_came_before(model):
    """Token by token as the whole text would have it; past its positions a model sees the later half of them."""
    task = language(model=model)
    network, tokenizer = task.build_model().eval(), task.tokenizers["tokenizer"]
    (text,) = continued_texts(network, tokenizer, "the c", 20, temperature=0)
    ids = tokenizer.encode(text).tolist()
    assert len(ids) == 25
    seen = ids[:5]
    for token in ids[5:]:
        if model == "tiny_windows" and len(seen) > 8:
            seen = seen[-4:]
        inputs = numbanet.tensor(np.array([seen]))
        logits = (network(inputs)[0] if model == "tiny_recurrent" else network(inputs)).detach().numpy()[0, -1]
        logits[tokenizer.vocabulary.unknown] = -np.inf
        assert token == logits.argmax()
        seen.append(token)


def test_texts_are_made_side_by_side():
    task = language()
    network, tokenizer = task.build_model().eval(), task.tokenizers["tokenizer"]
    texts = list(continued_texts(network, tokenizer, "the", 10, 3, seed=1))
    assert len(set(texts)) == 3
    assert all(text.startswith("the") and len(text) == 13 for text in texts)
    assert texts[0] == next(continued_texts(network, tokenizer, "the", 10, 1, seed=1))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("the Q!", r"the prompt has characters that the model has never seen: '!', 'Q'; it knows \d+ characters"),
        ("the cat sat", "the prompt has 11 tokens; the model sees at most 8 at once"),
        ("", "the prompt is empty"),
    ],
)
def test_wrong_prompts(prompt, message):
    task = language(model="tiny_windows")
    with pytest.raises(TextError, match=message):
        next(continued_texts(task.build_model(), task.tokenizers["tokenizer"], prompt, 5))
