"""Beam search: the most probable whole answers, not the most probable next tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from numbanet.text.errors import TextError
from numbanet.text.sampling import Step, log_softmax

# reorder(state, rows) -> the state whose n-th row is row rows[n] of the one given
Reorder = Callable[[Any, np.ndarray], Any]


class Hypothesis(NamedTuple):
    """An answer without its end, its score, and the sum of the logarithms of its tokens' probabilities."""

    tokens: list[int]
    score: float
    log_probability: float


def penalty(length: int, alpha: float) -> float:
    """What scores are divided by: ((5 + length) / 6)^α (Wu et al. 2016, "Google's neural machine translation system").

    α = 0 compares sums, which favours short answers; the length counts the end.
    """
    return ((5 + length) / 6) ** alpha


def greedy_search(
    step: Step,
    state: Any,
    reorder: Reorder,
    begin: int,
    end: int,
    rows: int,
    max_length: int | Sequence[int],
    **options: Any,
) -> list[Hypothesis]:
    """The most probable token again and again, until the end: :func:`beam_search` with a beam of one."""
    found = beam_search(step, state, reorder, begin, end, rows, max_length, beams=1, length_penalty=0.0, **options)
    return [best[0] for best in found]


def beam_search(
    step: Step,
    state: Any,
    reorder: Reorder,
    begin: int,
    end: int,
    rows: int,
    max_length: int | Sequence[int],
    *,
    beams: int = 4,
    length_penalty: float = 0.6,
    forbidden: tuple[int, ...] = (),
) -> list[list[Hypothesis]]:
    """The answers with the highest scores, for several questions side by side.

    In every step each question keeps the ``beams`` most probable beginnings that have not ended. A question is done
    when no beginning can end with a better score than the best answer that it has; then it leaves the batch.

    Args:
        step, state: the model and its state before the first token, one row a question.
        reorder: makes a state of some rows of a state, in any order and number; it is not called for all of them in
            their order.
        begin, end: the first token, and the one that ends an answer.
        rows: how many questions.
        max_length: how many tokens an answer may have, the end included; then it is cut. One number, or one a question.
        beams: how many beginnings are kept.
        length_penalty: α of :func:`penalty`, 0 or more.
        forbidden: tokens that are never chosen.

    Returns:
        For each question up to ``beams`` answers, the best one first.
    """
    limits = np.broadcast_to(np.asarray(max_length, np.int64), (rows,)).tolist()
    if beams < 1 or min(limits, default=1) < 1 or length_penalty < 0:
        raise ValueError("beam search needs beams ≥ 1, max_length ≥ 1 and length_penalty ≥ 0")
    answers: list[list[Hypothesis]] = [[] for _ in range(rows)]
    live = {row: [([], 0.0)] for row in range(rows)}  # beginnings: their tokens and log probability
    last = np.full((rows, 1), begin, np.int64)
    for length in range(1, max(limits, default=0) + 1):
        if not live:
            break
        logits, state = step(last, state)
        if not np.isfinite(logits).all():
            raise TextError("the model gives no finite numbers any more: its training has diverged")
        gains = log_softmax(logits)
        gains[:, list(forbidden)] = -np.inf
        scale, parents, tokens, first, going_on = penalty(length, length_penalty), [], [], 0, {}
        for row, beginnings in live.items():
            ours, is_last = gains[first : first + len(beginnings)], length == limits[row]
            ended, kept = _extended(beginnings, ours, end, beams, is_last)
            answers[row] += [Hypothesis(ids, log / scale, log) for ids, log in ended]
            answers[row] = sorted(answers[row], key=lambda answer: -answer.score)[:beams]
            best_possible = penalty(limits[row], length_penalty)
            if kept and not (answers[row] and answers[row][0].score >= kept[0][2] / best_possible):
                going_on[row] = [(ids, log) for _, ids, log in kept]
                parents += [first + parent for parent, _, _ in kept]
                tokens += [ids[-1] for _, ids, _ in kept]
            first += len(beginnings)
        live, last = going_on, np.array(tokens, np.int64)[:, None]
        if live and parents != list(range(first)):  # as they stand, a state of attention is not copied
            state = reorder(state, np.array(parents, np.int64))
    return answers


def _extended(
    beginnings: list[tuple[list[int], float]], gains: np.ndarray, end: int, beams: int, is_last: bool
) -> tuple[list[tuple[list[int], float]], list[tuple[int, list[int], float]]]:
    """The best continuations of one question's beginnings: answers that end here, and (parent, tokens, log) that go on.

    ``gains`` (beginnings, V) are the logarithms of the next tokens' probabilities; those that ``is_last`` says end
    anyhow. Of the 2·beams best continuations at most ``beams`` are the end (one a beginning), so that enough are left
    to go on.
    """
    totals = np.array([log for _, log in beginnings])[:, None] + gains
    flat, size = totals.reshape(-1), gains.shape[1]
    count = min(2 * beams, flat.size)
    best = np.argpartition(-flat, count - 1)[:count]
    best = best[np.lexsort((best, -flat[best]))]  # equal scores in the order of their numbers
    ended, kept = [], []
    for rank, candidate in enumerate(best.tolist()):
        log = float(flat[candidate])
        if log == -np.inf:
            break
        parent, token = divmod(candidate, size)
        ids = beginnings[parent][0]
        if token == end:
            if rank < beams:  # as one of the best; so a beam of one is the greedy choice
                ended.append((ids, log))
        elif is_last:
            ended.append(([*ids, token], log))
        elif len(kept) < beams:
            kept.append((parent, [*ids, token], log))
    return ended, kept
