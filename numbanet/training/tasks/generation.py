"""A language model as the step that decoding asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from numbanet.autograd import no_grad
from numbanet.creation import from_numpy
from numbanet.nn import Module
from numbanet.text import TextError, Tokenizer, generate
from numbanet.text.sampling import Step


def language_step(model: Module) -> Step:
    """The step of a language model, as :func:`numbanet.text.generate` calls it; the first state is None.

    The model has ``start(batch) -> state`` and ``step(tokens, state) -> logits``, which moves the state on. One that
    attends forgets when its positions are used up: it is shown the later half of them anew, so that a token costs the
    same on average however long the text becomes.
    """
    limit = most_positions(model)

    def step(tokens: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        with no_grad():
            seen, kept = (tokens[:, :0], model.start(len(tokens))) if state is None else state
            if limit is not None:
                seen = np.concatenate([seen, tokens], axis=1)
                if seen.shape[1] > limit:
                    tokens = seen = seen[:, -max(1, limit // 2) :]
                    kept = model.start(len(tokens))
            logits = model.step(from_numpy(np.ascontiguousarray(tokens)), kept)
        return logits.numpy(), (seen, kept)

    return step


def most_positions(model: Module) -> int | None:
    """How many tokens a language model sees at once; None for a recurrent one, which has no limit."""
    positions = getattr(model, "positions", None)
    return None if positions is None else positions.max_len


def continued_texts(
    model: Module, tokenizer: Tokenizer, prompt: str, length: int, count: int = 1, **options: Any
) -> Iterator[str]:
    """``count`` texts that begin with ``prompt`` and have ``length`` tokens more, made side by side.

    ``options`` are those of :func:`numbanet.text.generate`.

    Raises:
        TextError: the prompt is empty, has tokens that the model has never seen, or more than it has positions.
    """
    ids = tokenizer.encode_known(prompt, "the prompt")
    limit = most_positions(model)
    if limit is not None and len(ids) > limit:
        raise TextError(f"the prompt has {len(ids)} tokens; the model sees at most {limit} at once")
    unknown = tokenizer.vocabulary.unknown
    forbidden = () if unknown is None else (unknown,)
    rows = np.repeat(ids[None], count, axis=0)
    made = list(generate(language_step(model), None, rows, length, forbidden=forbidden, **options))
    for text in np.concatenate([rows, np.stack(made, axis=1)], axis=1) if made else rows:
        yield tokenizer.decode(text)
