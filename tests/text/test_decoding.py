"""Decoding: against probabilities in the open, and beam search against a search through all answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from numbanet.text import TextError, beam_search, choose, generate, greedy_search, probabilities
from numbanet.text.beam import penalty

LOGITS = np.array([[2.0, 1.0, 0.0, -1.0, 1.5], [0.0, 0.0, 3.0, 0.0, 0.0]])


# --- one token ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature(temperature):
    np.testing.assert_allclose(
        probabilities(LOGITS, temperature=temperature), softmax(LOGITS / temperature, axis=1), rtol=1e-12
    )


def test_top_k():
    shares = probabilities(LOGITS[:1], top_k=2)
    assert (shares > 0).tolist() == [[True, False, False, False, True]]
    assert shares.sum() == pytest.approx(1)
    assert shares[0, 0] / shares[0, 4] == pytest.approx(np.exp(0.5))
    np.testing.assert_array_equal(probabilities(LOGITS, top_k=9), probabilities(LOGITS))
    assert (probabilities(LOGITS[1:], top_k=2) > 0).all(), "as probable as the last of them"


@pytest.mark.parametrize(("top_p", "kept"), [(1.0, 5), (0.95, 4), (0.9, 3), (0.7, 2), (0.5, 2), (0.4, 1), (1e-9, 1)])
def test_top_p(top_p, kept):
    full = softmax(LOGITS[0])
    shares = probabilities(LOGITS[:1], top_p=top_p)[0]
    assert (shares > 0).sum() == kept
    best = np.sort(full)[::-1]
    assert best[:kept].sum() >= top_p - 1e-12
    assert best[: kept - 1].sum() < top_p
    np.testing.assert_allclose(shares[shares > 0], full[shares > 0] / best[:kept].sum())


def test_choice_follows_the_draw():
    shares = softmax(LOGITS[0])
    edges = np.concatenate([[0], shares.cumsum()])
    for token in range(5):
        middle = (edges[token] + edges[token + 1]) / 2
        assert choose(LOGITS[:1], np.array([middle])).tolist() == [token]
    assert choose(LOGITS, np.array([0.0, 1 - 2.0**-53]), top_k=1).tolist() == [0, 2]
    assert choose(LOGITS, np.zeros(2), temperature=0).tolist() == [0, 2]


def test_forbidden_tokens():
    assert choose(LOGITS, np.zeros(2), temperature=0, forbidden=(0, 2)).tolist() == [4, 1]
    assert probabilities(LOGITS, forbidden=(0,))[:, 0].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "the temperature must be a finite number above 0"),
        ({"temperature": np.inf}, "the temperature must be a finite number above 0"),
        ({"temperature": np.nan}, "the temperature must be a finite number above 0"),
        ({"top_k": 0}, "top_k must be 1 or more"),
        ({"top_p": 0}, "top_p must be above 0"),
        ({"top_p": 1.1}, "top_p must be above 0 and at most 1"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        probabilities(LOGITS, **options)


def test_diverged_model():
    with pytest.raises(TextError, match="its training has diverged"):
        choose(np.array([[0.0, np.nan]]), np.zeros(1))


# --- texts ----------------------------------------------------------------------------------------------------------
class Chain:
    """A Markov chain over V tokens that depends on the last two: its state is the last token."""

    def __init__(self, size: int, seed: int = 0) -> None:
        self.logits = np.random.default_rng(seed).normal(size=(size, size, size)) * 2
        self.shown: list[int] = []

    def step(self, tokens, state):
        assert tokens.dtype == np.int64
        self.shown.append(tokens.shape[1])
        for column in tokens.T:
            before, state = state, column
        return self.logits[before, state], state

    @staticmethod
    def reorder(state, rows):
        return state[rows]


def test_generated_text_is_shown_once():
    """The prompt at once, then the new tokens one by one: what a key/value cache needs."""
    chain = Chain(6)
    steps = list(generate(chain.step, np.array([0]), np.array([[1, 2, 3]]), 4, temperature=0))
    assert chain.shown == [3, 1, 1, 1]
    before, last = 2, 3
    for token in np.concatenate(steps).tolist():
        assert token == chain.logits[before, last].argmax()
        before, last = last, token


def test_samples_depend_on_the_seed_and_not_on_the_others():
    chain = Chain(50)

    def run(rows, seed):
        start = np.zeros(rows, np.int64)
        return np.stack(list(generate(chain.step, start, np.ones((rows, 1), np.int64), 30, seed=seed)))

    np.testing.assert_array_equal(run(3, 5), run(3, 5))
    np.testing.assert_array_equal(run(3, 5)[:, :1], run(1, 5))
    assert (run(3, 5) != run(3, 6)).any()
    assert (run(3, 5)[:, 0] != run(3, 5)[:, 1]).any()


def test_samples_have_the_model_s_frequencies():
    chain = Chain(4, seed=3)
    tokens = np.concatenate(list(generate(chain.step, np.zeros(400, np.int64), np.ones((400, 1), np.int64), 1)))
    np.testing.assert_allclose(np.bincount(tokens, minlength=4) / 400, softmax(chain.logits[0, 1]), atol=0.08)


def test_generation_stops_at_the_end():
    chain = Chain(4)
    tokens = list(generate(chain.step, np.array([0]), np.array([[1]]), 200, end=2))
    assert tokens[-1] == [2]
    assert all(token != 2 for token in tokens[:-1])
    assert len(tokens) < 200


def test_empty_prompt():
    with pytest.raises(TextError, match="the prompt is empty"):
        next(generate(Chain(4).step, np.array([0]), np.zeros((1, 0), np.int64), 3))


# --- beam search ----------------------------------------------------------------------------------------------------
BEGIN, END = 0, 1


def all_answers(chain: Chain, start: int, length: int, alpha: float) -> list[tuple[float, list[int]]]:
    """Every answer up to a length with its score, the best first."""
    size, found = len(chain.logits), []
    for count in range(length + 1):
        for tokens in itertools.product(range(2, size), repeat=count):
            whole = [*tokens, END] if count < length else list(tokens)
            before, last, total = start, BEGIN, 0.0
            for token in whole:
                total += log_softmax(chain.logits[before, last])[token]
                before, last = last, token
            found.append((total / penalty(len(whole), alpha), list(tokens)))
    return sorted(found, key=lambda answer: -answer[0])


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_best_answers(seed, alpha):
    chain, rows = Chain(5, seed), 3
    start = np.arange(rows) + 2
    found = beam_search(
        chain.step, start, chain.reorder, BEGIN, END, rows, 4, beams=300, length_penalty=alpha, forbidden=(BEGIN,)
    )
    for row, answers in enumerate(found):
        expected = all_answers(chain, row + 2, 4, alpha)
        # the answer cannot begin with the begin token again, so the oracle's paths are all there are
        assert answers[0].tokens == expected[0][1]
        assert answers[0].score == pytest.approx(expected[0][0])


@pytest.mark.parametrize("beams", [1, 2, 5])
def test_questions_do_not_see_each_other(beams):
    chain = Chain(8, 1)
    start = np.array([2, 3, 4, 5])
    together = beam_search(chain.step, start, chain.reorder, BEGIN, END, 4, 10, beams=beams)
    for row in range(4):
        alone = beam_search(chain.step, start[row : row + 1], chain.reorder, BEGIN, END, 1, 10, beams=beams)
        assert alone[0] == together[row]
        assert len(together[row]) <= beams


@pytest.mark.parametrize("beams", [1, 3])
def test_each_question_has_its_own_limit(beams):
    """Together they have the answers that each has alone with its limit, and those that none ends are cut there."""
    chain, start, limits = Chain(8, 1), np.array([2, 3, 4, 5]), [3, 9, 1, 6]
    chain.logits[:, :, END] = -20
    together = beam_search(chain.step, start, chain.reorder, BEGIN, END, 4, limits, beams=beams)
    for row, limit in enumerate(limits):
        alone = beam_search(chain.step, start[row : row + 1], chain.reorder, BEGIN, END, 1, limit, beams=beams)
        assert alone[0] == together[row]
        assert len(together[row][0].tokens) == limit


def test_rows_that_stay_are_not_moved():
    """The greedy choice moves a state only when a question is done."""
    chain, moved = Chain(8, 1), []
    chain.logits[:, :, END] = -20

    def reorder(state, rows):
        moved.append(rows.tolist())
        return state[rows]

    beam_search(chain.step, np.array([2, 3, 4]), reorder, BEGIN, END, 3, [9, 4, 9], beams=1)
    assert moved == [[0, 2]]


@pytest.mark.parametrize("seed", range(5))
def test_greedy_search_is_the_loop_that_it_says(seed):
    chain = Chain(7, seed)
    (found,) = greedy_search(chain.step, np.array([3]), chain.reorder, BEGIN, END, 1, 12)
    before, last, tokens = 3, BEGIN, []
    while len(tokens) < 12:
        before, last = last, int(chain.logits[before, last].argmax())
        if last == END:
            break
        tokens.append(last)
    assert found.tokens == tokens


def test_wider_beams_find_better_answers():
    totals = []
    for beams in (1, 3, 300):
        scores = []
        for seed in range(10):
            chain = Chain(6, seed)
            found = beam_search(
                chain.step, np.array([2]), chain.reorder, BEGIN, END, 1, 5, beams=beams, length_penalty=0
            )
            scores.append(found[0][0].score)
        totals.append(scores)
    greedy, narrow, all_ = map(np.array, totals)
    assert (greedy <= all_ + 1e-12).all()
    assert greedy.sum() < narrow.sum() <= all_.sum()


def test_the_length_penalty_makes_longer_answers():
    lengths = []
    for alpha in (0.0, 3.0):
        chain = Chain(5, 2)
        found = beam_search(chain.step, np.array([2]), chain.reorder, BEGIN, END, 1, 8, beams=50, length_penalty=alpha)
        lengths.append(len(found[0][0].tokens))
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize("options", [{"beams": 0}, {"length_penalty": -1}])
def test_wrong_beam(options):
    with pytest.raises(ValueError, match="beam search needs"):
        beam_search(Chain(4).step, np.array([2]), Chain.reorder, BEGIN, END, 1, 5, **options)
