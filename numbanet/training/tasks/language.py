"""Language models: the next token of a text."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from numbanet.creation import from_numpy
from numbanet.data import DataLoader, StreamSampler, WindowDataset, WindowSampler
from numbanet.data.sequences import IGNORED
from numbanet.nn import Module
from numbanet.tensor import Tensor
from numbanet.text import UNKNOWN, Tokenizer
from numbanet.training.build import Data
from numbanet.training.errors import ConfigError
from numbanet.training.forward import CarriedState, Forward
from numbanet.training.tasks.task import TextTask
from numbanet.training.tasks.tokens import TokenEvaluation

_LOGITS = 2**22  # that an evaluation makes at once: 16 MB


class TextWindows(WindowDataset):
    """Windows of a text of which a token has so many ``characters`` on average, as the text was before it was cut."""

    def __init__(self, tokens: np.ndarray, length: int, characters: float) -> None:
        super().__init__(tokens, length)
        self.characters = characters


class LanguageTask(TextTask):
    """Predict every token of a text from those before it.

    Recurrent models walk through the text in as many streams as a batch has
    rows, window by window; others see windows that begin anywhere. The last tenth of the training text is held out with
    ``validation`` 0.1; samples are windows.
    """

    specials = (UNKNOWN,)
    kind = "language"
    wanted = "only language models make text"

    def train_tokenizers(self) -> dict[str, Tokenizer]:
        return {"tokenizer": self._train_tokenizer([self._texts()[0]])}

    def _texts(self) -> tuple[str, str | None, str]:
        """Training, validation and test text."""
        train, validation = self.splits.train, self.splits.validation
        if self.config.validation:
            cut = len(train) - round(len(train) * self.config.validation)
            train, validation = train[:cut], train[cut:]
        return train, validation, self.splits.test

    def load(self) -> Data:
        parts = {}
        for name, text in zip(("train", "validation", "test"), self._texts(), strict=True):
            parts[name] = None if text is None else self._windows(f"{name} text of {self.config.dataset}", text)
        return Data(info=replace(self.info, n_train=len(parts["train"]), n_test=len(parts["test"])), **parts)

    def _windows(self, what: str, text: str) -> TextWindows:
        length, limit = self.config.sequence_length, self.config.limit
        ids = self.tokenizers["tokenizer"].encode(text)
        characters = len(text) / max(1, len(ids))
        if limit:
            ids = ids[: limit * length + 1]
        if len(ids) <= length:
            raise ConfigError(
                f"the {what} has {len(ids)} tokens, fewer than a window of {length} and its next token: "
                "give a longer text, or train with a smaller --sequence-length"
            )
        return TextWindows(ids, length, characters)

    def model_arguments(self) -> dict[str, Any]:
        return {"vocab_size": len(self.tokenizers["tokenizer"]), "max_length": self.config.sequence_length}

    def loader(self, model: Module) -> DataLoader:
        config, train = self.config, self.data.train
        size, length = len(train.tokens), config.sequence_length
        if carries_state(model) and config.epoch_steps:
            raise ConfigError(f"epoch_steps: an epoch of {config.model} is the whole text, whose state it carries")
        try:
            if carries_state(model):
                sampler = StreamSampler(size, length, config.batch_size)
            else:
                sampler = WindowSampler(size, length, config.batch_size, config.seed, config.epoch_steps or None)
        except ValueError as error:
            raise ConfigError(f"{error}; use a smaller --batch-size or --sequence-length") from None
        return DataLoader(train, batch_sampler=sampler)

    def forward(self, model: Module) -> Forward:
        return CarriedState(model) if carries_state(model) else Forward(model)

    def training_size(self) -> str:
        return f"{len(self.data.train.tokens):,} tokens"

    def training_arrays(self) -> list[np.ndarray]:
        return [self.data.train.tokens]

    def examples(self, model: Module) -> tuple[list[Any], list[Any]]:
        training = self._batches(model, self.data.train, self.config.batch_size)
        return [next(training)], [next(self.batches(model, self.data.test))]

    def batches(self, model: Module, part: WindowDataset) -> Iterator[tuple[Tensor, Tensor]]:
        """As many streams as in training, or larger batches of windows: up to ``eval_batch_size``, in equal parts."""
        config, rows = self.config, self.config.batch_size
        if not carries_state(model):
            windows = -(-(len(part.tokens) - 1) // config.sequence_length)
            logits = config.sequence_length * len(self.tokenizers["tokenizer"])
            rows = -(-windows // -(-windows // max(rows, min(config.eval_batch_size, _LOGITS // logits))))
        return self._batches(model, part, rows)

    def _batches(self, model: Module, part: WindowDataset, rows: int) -> Iterator[tuple[Tensor, Tensor]]:
        for inputs, targets in whole_text(part.tokens, self.config.sequence_length, rows, streams=carries_state(model)):
            yield from_numpy(inputs), from_numpy(targets)

    def evaluate(self, model: Module, part: TextWindows) -> TokenEvaluation:
        """Loss of each token of the part but the first, and the bits that a character takes."""
        result = super().evaluate(model, part)
        bits = result.loss / math.log(2) / part.characters
        return replace(result, extra={"perplexity": result.perplexity, "bits_per_character": bits})

    def report(self, model: Module, part: str, **decoding: Any) -> list[str]:
        samples = getattr(self.data, part)
        result = self.evaluate(model, samples)
        lines = [
            (
                f"{result.targets:,} tokens: loss {result.loss:.4f}  perplexity {result.perplexity:.3f}  "
                f"{result.extra['bits_per_character']:.4f} bits per character  accuracy {100 * result.accuracy:.2f} %"
            )
        ]
        unknown = self.unknown_share(samples)
        if unknown:
            lines.append(f"{100 * unknown:.2f} % of the tokens are not in the vocabulary and count as {UNKNOWN}")
        return lines

    def unknown_share(self, part: WindowDataset) -> float:
        """The share of tokens of a part that are not in the vocabulary."""
        return float((part.tokens == self.tokenizers["tokenizer"].vocabulary.unknown).mean())


def carries_state(model: Module) -> bool:
    """Whether a language model is recurrent, ``model(tokens, state) -> (logits, state)``, or looks back by attention.

    The latter is ``model(tokens) -> logits``. Both have ``start(batch) -> state`` and ``step(tokens, state) -> logits``
    for generation.
    """
    return len(inspect.signature(model.forward).parameters) > 1


def whole_text(ids: np.ndarray, length: int, rows: int, streams: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each token of a text but the first as a target once, in batches (rows, length) of one shape.

    With ``streams`` a row goes on in the next batch where it ended; else windows follow each other row by row. What
    is left over at the ends is filled with targets that count for nothing.
    """
    count = len(ids) - 1
    lines = rows if streams else -(-count // length)
    width = -(-count // (lines * length)) * length
    lines = -(-lines // rows) * rows
    inputs, targets = np.zeros(lines * width, np.int64), np.full(lines * width, IGNORED, np.int64)
    inputs[:count], targets[:count] = ids[:-1], ids[1:]
    inputs, targets = inputs.reshape(lines, width), targets.reshape(lines, width)
    for first in range(0, lines, rows):
        for start in range(0, width, length):
            part = np.s_[first : first + rows, start : start + length]
            yield np.ascontiguousarray(inputs[part]), np.ascontiguousarray(targets[part])
