"""What a model of texts has learned, drawn: attention, alignments, embeddings, positions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from numbanet import nn
from numbanet.autograd import no_grad
from numbanet.creation import from_numpy
from numbanet.text import TextError, Tokenizer
from numbanet.training.files import make_folder
from numbanet.training.tasks.generation import most_positions
from numbanet.training.tasks.language import LanguageTask
from numbanet.training.tasks.task import TextTask
from numbanet.training.tasks.translation import TranslationTask
from numbanet.training.text_drawings import (
    draw_alignment,
    draw_embedding_map,
    draw_heads,
    draw_positions,
    neighbours,
    shown,
)

_MAPPED = 250  # tokens of an embedding's map
_LINES = 6  # tokens whose neighbours are told unless one is asked for
_TOKENS = 40  # of a text whose attention is drawn
_POSITIONS = 256


def inspect_text(task: TextTask, model: nn.Module, folder: Path, text: str | None, token: str | None) -> Iterator[str]:
    """Draw all there is to see of a model into PNG files of a folder, and say what was found, line by line.

    ``text`` goes through the model to show its attention, without it one of the test part; ``token`` is the one whose
    neighbours are told.

    Raises:
        TextError: the text has more tokens than the model takes, or the token is not in the vocabulary.
    """
    if token is not None and not any(token in tokenizer.vocabulary for tokenizer in task.tokenizers.values()):
        raise TextError(f"{token!r} is not in the vocabulary")
    yield from _attention(task, model, folder, text)
    yield from _embeddings(task, model, folder, token)
    yield from _positions(model, folder)


# --- attention -----------------------------------------------------------------------------------------------------
def _attention(task: TextTask, model: nn.Module, folder: Path, text: str | None) -> Iterator[str]:
    with no_grad():
        batch, rows, columns = _seen(task, model, text)
        with recorded_attention(model) as weights:
            task.forward(model)(batch)
        additive = model.alignments(*batch).numpy()[0] if hasattr(model, "alignments") else None
    make_folder(folder)  # nothing is left behind by a text that the model does not take
    for name, (recorded, is_cross) in weights.items():
        path = folder / f"attention-{name}.png"
        draw_heads(
            recorded, rows, columns if is_cross else (rows if recorded.shape[-1] == len(rows) else columns), name, path
        )
        yield f"{path}: attention of {len(recorded)} heads"
    crossing = [recorded.mean(axis=0) for recorded, is_cross in weights.values() if is_cross]
    aligned = additive if additive is not None else crossing[-1] if crossing else None
    if aligned is not None:
        path = folder / "alignment.png"
        draw_alignment(aligned, columns, rows, path)
        yield f"{path}: where the model looks in the source for each token of the target"


def _seen(task: TextTask, model: nn.Module, text: str | None) -> tuple[Any, list[str], list[str]]:
    """What the model is to see of a text, the tokens that attend, and those of a source."""
    if isinstance(task, TranslationTask):
        if text is None:
            source = task.ids_of("source", task.splits.test[0][0], task.config.sequence_length)
        else:
            (source,) = task.encode([text])
            if not len(source):
                raise TextError(f"the text has no tokens; the model takes 1 to {task.config.sequence_length}")
        found = task.decode(model, [source])[0]
        answer = found.tokens[: task.config.sequence_length - 1]
        target = task.tokenizers["target"].vocabulary
        inputs = np.array([[target.begin, *answer]], np.int64)
        batch = from_numpy(source[None].copy()), from_numpy(inputs)
        # the row of a token is that of the step that made it; an answer that was cut never came to its end
        has_end = len(found.tokens) < task.longest_answer(source)
        rows = target.decode([*answer, target.end]) if has_end else [*target.decode(answer), "…"]
        return batch, rows, task.tokenizers["source"].vocabulary.decode(source)
    tokenizer, is_language = task.tokenizers["tokenizer"], isinstance(task, LanguageTask)
    most = most_positions(model) if is_language else task.config.sequence_length
    if text is None:
        text, shown_tokens = (task.splits.test[:2000], _TOKENS) if is_language else (task.splits.test[0][0], most)
        ids = tokenizer.encode(text)[: min(shown_tokens, most or shown_tokens)]
    else:
        ids = tokenizer.encode_known(text, "the text")
        if not 0 < len(ids) <= (most or len(ids)):
            raise TextError(f"the text has {len(ids)} tokens; the model takes 1 to {most}")
    tokens = tokenizer.vocabulary.decode(ids)
    return from_numpy(ids[None]), tokens, tokens


@contextmanager
def recorded_attention(model: nn.Module) -> Iterator[dict[str, tuple[np.ndarray, bool]]]:
    """Of every MultiheadAttention that is called, by name: its weights (heads, T, S); whether it looks at a source."""
    found: dict[str, tuple[np.ndarray, bool]] = {}
    watched = {name: module for name, module in model.named_modules() if isinstance(module, nn.MultiheadAttention)}
    for name, module in watched.items():
        module.__dict__["forward"] = partial(_recording, module, name, found)
    try:
        yield found
    finally:
        for module in watched.values():
            del module.__dict__["forward"]


def _recording(
    module: nn.MultiheadAttention, name: str, found: dict, query: Any, key: Any, value: Any,
    key_padding_mask: Any = None, need_weights: bool = True, *rest: Any, **options: Any,
) -> tuple[Any, Any]:  # fmt: skip
    options["average_attn_weights"] = False
    output, weights = type(module).forward(module, query, key, value, key_padding_mask, True, *rest, **options)
    found[name] = weights.numpy()[0], key is not query
    return output, weights if need_weights else None


# --- embeddings ----------------------------------------------------------------------------------------------------
def _embeddings(task: TextTask, model: nn.Module, folder: Path, token: str | None) -> Iterator[str]:
    for name, tokenizer in task.tokenizers.items():
        module = _embedding_of(model, name, tokenizer)
        if module is not None:
            yield from _embedding(name, tokenizer, module.weight.detach().numpy(), folder, token)


def _embedding_of(model: nn.Module, name: str, tokenizer: Tokenizer) -> nn.Embedding | None:
    """The embedding that a model calls as the task the tokenizer, else the first one of that size."""
    modules = [getattr(model, name)] if hasattr(model, name) else [module for _, module in model.named_modules()]
    embeddings = [module for module in modules if isinstance(module, nn.Embedding)]
    return next((module for module in embeddings if module.num_embeddings == len(tokenizer)), None)


def _embedding(name: str, tokenizer: Tokenizer, vectors: np.ndarray, folder: Path, token: str | None) -> Iterator[str]:
    tokens = tokenizer.vocabulary.tokens
    first = len(tokenizer.vocabulary.specials)
    chosen = range(first, min(len(tokens), first + _MAPPED))
    path = folder / f"embedding-{name}.png"
    draw_embedding_map(vectors[list(chosen)], [tokens[number] for number in chosen], path)
    yield f"{path}: the embeddings of {len(chosen)} tokens in two dimensions"
    told = [tokenizer.vocabulary[token]] if token in tokenizer.vocabulary else _words(tokenizer, token)
    for number in told:
        near = ", ".join(f"{shown(tokens[other])} {cosine:.2f}" for other, cosine in neighbours(vectors, number, 8))
        yield f"nearest to {shown(tokens[number])}: {near}"


def _words(tokenizer: Tokenizer, token: str | None) -> list[int]:
    """Some tokens that are likely to have a meaning: the first ones of at least four letters, or any."""
    if token is not None:
        return []
    tokens, first = tokenizer.vocabulary.tokens, len(tokenizer.vocabulary.specials)
    long = [number for number in range(first, len(tokens)) if len(tokens[number]) > 3 and tokens[number].isalpha()]
    return (long or list(range(first, len(tokens))))[:_LINES]


# --- positions -----------------------------------------------------------------------------------------------------
def _positions(model: nn.Module, folder: Path) -> Iterator[str]:
    kinds = (nn.SinusoidalPositionalEncoding, nn.LearnedPositionalEncoding)
    for name, module in model.named_modules():
        if isinstance(module, kinds):
            encoding = module.table().detach().numpy()[:_POSITIONS]
            path = folder / f"positions-{name}.png"
            draw_positions(encoding, path)
            yield f"{path}: the encoding of {len(encoding)} positions"
