"""Classifiers of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from numbanet.autograd import no_grad
from numbanet.data import BucketSampler, DataLoader, SequenceDataset
from numbanet.nn import Module
from numbanet.nn import functional as F
from numbanet.tensor import Tensor
from numbanet.text import PADDING, UNKNOWN, TextError, Tokenizer
from numbanet.training.build import Data
from numbanet.training.errors import ConfigError
from numbanet.training.tasks.naive_bayes import naive_bayes_accuracy
from numbanet.training.tasks.task import TextTask

Batch = tuple[Tensor, Tensor]


class ClassificationTask(TextTask):
    """The class of a text: ``model(tokens (n, T)) -> logits (n, classes)``, which knows what padding is.

    Batches are of about the same length. Training texts longer than ``sequence_length`` tokens are cut.
    """

    specials = (PADDING, UNKNOWN)
    kind = "text classes"
    unit = "texts"
    wanted = "it gives texts no classes"

    def train_tokenizers(self) -> dict[str, Tokenizer]:
        return {"tokenizer": self._train_tokenizer(text for text, _ in self.splits.train)}

    def load(self) -> Data:
        splits, config = self.splits, self.config
        if config.validation and splits.validation is not None:
            raise ConfigError(f"validation {config.validation}: {config.dataset} has a validation part of its own")
        parts = {name: self._part(name, getattr(splits, name)) for name in ("train", "validation", "test")}
        return Data(info=self.info, **parts)

    def _part(self, name: str, samples: list[tuple[str, int]] | None) -> SequenceDataset | None:
        if samples is None:
            return None
        samples = samples[: self.config.limit or None]
        most, sequences = self.config.sequence_length, []
        for number, (text, _) in enumerate(samples):
            ids = self.tokenizers["tokenizer"].encode(text)
            if not len(ids):
                raise ConfigError(f"{self.config.dataset}: {name} text {number + 1} has no tokens: {text!r}")
            sequences.append(ids)
        longer = sum(len(ids) > most for ids in sequences)
        if longer:
            self.notes.append(f"{longer} of {len(sequences)} {name} texts are cut after {most} tokens")
        vocabulary = self.tokenizers["tokenizer"].vocabulary
        return SequenceDataset([ids[:most] for ids in sequences], [label for _, label in samples], vocabulary.padding)

    def model_arguments(self) -> dict[str, Any]:
        tokenizer = self.tokenizers["tokenizer"]
        return {
            "vocab_size": len(tokenizer),
            "num_classes": len(self.info.classes),
            "max_length": self.config.sequence_length,
            "padding": tokenizer.vocabulary.padding,
        }

    def training_arrays(self) -> list[np.ndarray]:
        return [*self.data.train.sequences, self.data.train.labels]

    def loader(self, model: Module) -> DataLoader:
        train, config = self.data.train, self.config
        sampler = BucketSampler(train.lengths, config.batch_size, seed=config.seed)
        return DataLoader(train, batch_sampler=sampler)

    def batches(self, model: Module, part: SequenceDataset) -> Iterator[Batch]:
        yield from DataLoader(part, batch_sampler=BucketSampler(part.lengths, self.config.batch_size, shuffle=False))

    def report(self, model: Module, part: str, **decoding: Any) -> list[str]:
        """Loss and accuracy, and what naive Bayes reaches."""
        samples, train = getattr(self.data, part), self.data.train
        result = self.evaluate(model, samples)
        size = len(self.tokenizers["tokenizer"])
        bayes = naive_bayes_accuracy(train.sequences, train.labels, samples.sequences, samples.labels, size)
        return [
            (
                f"{result.targets:,} texts: loss {result.loss:.4f}  accuracy {100 * result.accuracy:.2f} %  "
                f"errors {result.targets - result.correct:,}"
            ),
            f"naive Bayes on the same words: accuracy {100 * bayes:.2f} %",
        ]

    def probabilities(self, model: Module, texts: list[str], names: Sequence[str] | None = None) -> np.ndarray:
        """Probabilities (n, classes) of texts; ``names`` and errors as in :meth:`encode`."""
        part = self.encode(texts, names)
        found = np.zeros((len(texts), len(self.info.classes)))
        sampler = BucketSampler(part.lengths, self.config.batch_size, shuffle=False)
        forward = self.forward(model)
        with no_grad():
            for numbers, (inputs, _) in zip(sampler.batches(0), DataLoader(part, batch_sampler=sampler), strict=True):
                found[numbers] = F.softmax(forward(inputs), dim=1).numpy()
        return found

    def encode(self, texts: list[str], names: Sequence[str] | None = None) -> SequenceDataset:
        """Texts to be classified.

        Raises:
            TextError: a text has no tokens, or more than the model takes; it is called by its name, or its number.
        """
        sequences, most = [], self.config.sequence_length
        for name, text in zip(names or [f"text {number + 1}" for number in range(len(texts))], texts, strict=True):
            ids = self.tokenizers["tokenizer"].encode(text)
            if not 0 < len(ids) <= most:
                raise TextError(f"{name} has {len(ids)} tokens; the model takes 1 to {most}")
            sequences.append(ids)
        padding = self.tokenizers["tokenizer"].vocabulary.padding
        return SequenceDataset(sequences, np.zeros(len(sequences)), padding)
