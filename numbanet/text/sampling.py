"""Choosing the next token: greedy, by temperature, among the top k, among the top p."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from numbanet.kernels.philox import uniform
from numbanet.text.errors import TextError

# step(tokens (n, T) int64, state) -> (logits (n, V) after the last of them, state)
Step = Callable[[np.ndarray, Any], tuple[np.ndarray, Any]]

_STREAM = 0x5341  # of random numbers, apart from those of training


def generate(
    step: Step,
    state: Any,
    prompt: np.ndarray,
    length: int,
    *,
    seed: int = 0,
    end: int | None = None,
    **options: Any,
) -> Iterator[np.ndarray]:
    """Go on with prompts, token by token.

    Args:
        step: the model: it is shown the tokens that are new, and keeps what it knows of earlier ones in its state.
        state: the state before the prompt.
        prompt: (n, T) int64, T ≥ 1: n texts of one length that are gone on with side by side.
        length: how many tokens to make at most.
        seed: which random numbers; one a token and text, whatever the other texts are.
        end: the token after which to stop, once every text has had it.
        options: temperature, top_k, top_p and forbidden: see :func:`choose`.

    Yields:
        The next tokens (n,) int64.
    """
    tokens = np.atleast_2d(np.asarray(prompt, np.int64))
    if not tokens.shape[1]:
        raise TextError("the prompt is empty: the model needs a token to go on from")
    ended = np.zeros(len(tokens), bool)
    for position in range(length):
        logits, state = step(tokens, state)
        chosen = choose(logits, _draws(seed, position, len(tokens)), **options)
        yield chosen
        ended |= chosen == end
        if ended.all():
            return
        tokens = chosen[:, None]


def choose(
    logits: np.ndarray,
    draws: np.ndarray,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    forbidden: tuple[int, ...] = (),
) -> np.ndarray:
    """One token (n,) a row of ``logits`` (n, V), by the ``draws`` (n,) from [0, 1).

    It is drawn from :func:`probabilities`; temperature 0 takes the most probable one. ``forbidden`` tokens are never
    chosen.
    """
    if temperature == 0:
        return _allowed(logits, forbidden).argmax(axis=1).astype(np.int64)
    shares = probabilities(logits, temperature=temperature, top_k=top_k, top_p=top_p, forbidden=forbidden)
    sums = shares.cumsum(axis=1)
    # the first token whose sum is above the draw; a draw next to 1 must not run past the last one with a share
    passed = (sums <= (draws * sums[:, -1])[:, None]).sum(axis=1)
    last = shares.shape[1] - 1 - (shares[:, ::-1] > 0).argmax(axis=1)
    return np.minimum(passed, last).astype(np.int64)


def probabilities(
    logits: np.ndarray,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    forbidden: tuple[int, ...] = (),
) -> np.ndarray:
    """What :func:`choose` draws from: softmax(logits / temperature) (n, V) float64, with zeros where not allowed.

    ``top_k`` keeps the k most probable tokens (and those as probable as the last of them), ``top_p`` then the fewest
    tokens whose probabilities add up to p or more (Holtzman et al. 2020); what is kept adds up to 1 again.

    Raises:
        ValueError: temperature is not above 0 or not finite, top_k below 1, or top_p not in (0, 1].
    """
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"the temperature must be a finite number above 0, or 0 for the most probable token, not {temperature}"
        )
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be 1 or more, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, not {top_p}")
    scaled = _allowed(logits, forbidden) / temperature
    if top_k is not None and top_k < scaled.shape[1]:
        least = np.partition(scaled, -top_k, axis=1)[:, -top_k, None]
        scaled = np.where(scaled < least, -np.inf, scaled)
    shares = np.exp(log_softmax(scaled))
    if top_p is not None:
        order = np.argsort(-shares, axis=1, kind="stable")
        ranked = np.take_along_axis(shares, order, axis=1)
        kept = ranked.cumsum(axis=1) - ranked < top_p  # what came before does not suffice
        shares[np.arange(len(shares))[:, None], order] = np.where(kept, ranked, 0)
        shares /= shares.sum(axis=1, keepdims=True)
    return shares


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """log softmax along the last axis, in float64."""
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _allowed(logits: np.ndarray, forbidden: tuple[int, ...]) -> np.ndarray:
    logits = np.array(logits, np.float64)
    if not np.isfinite(logits).all():
        raise TextError("the model gives no finite numbers any more: its training has diverged")
    logits[:, list(forbidden)] = -np.inf
    return logits


def _draws(seed: int, position: int, count: int) -> np.ndarray:
    """A number in [0, 1) a text, which depends on the text's number and the position alone."""
    # streams are numbered by text, so that a text alone and the same text among others draw the same
    return np.array(
        [uniform((1,), np.dtype(np.float64), seed, _STREAM + (row << 16), 2 * position)[0] for row in range(count)]
    )
