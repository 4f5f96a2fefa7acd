"""Translation: a sequence from a sequence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from numbanet.autograd import no_grad
from numbanet.creation import from_numpy
from numbanet.data import BucketSampler, DataLoader, PairDataset
from numbanet.data.sequences import pad
from numbanet.nn import Module
from numbanet.tensor import Tensor
from numbanet.text import Hypothesis, TextError, Tokenizer, beam_search, corpus_bleu
from numbanet.training.build import Data
from numbanet.training.errors import ConfigError
from numbanet.training.tasks.task import TextTask
from numbanet.training.tasks.tokens import TokenEvaluation

# the model is called with the source and the decoder's inputs
Batch = tuple[tuple[Tensor, Tensor], Tensor]

_ROWS = 64  # sentences that are translated side by side
_MULTIPLE = 2
"""What lengths of batches are a multiple of: buckets of 64 sentences like Multi30k's then have 93 shapes in 10 epochs,
not 222, so that 99 % of the steps can be replayed, not 71 %. There are 3 % more tokens (of multiples of 4: 10 %)."""


class TranslationTask(TextTask):
    """A target sequence from a source sequence.

    ``model(source (n, S), inputs (n, T)) -> logits (n, T, V)``; for decoding ``model.start(source) -> state``,
    ``model.step(tokens (n, 1), state) -> logits (n, V)``, which moves the state on, and ``state.select(rows)``. With
    the setting ``reverse`` the tokens of the source or of the target stand in reverse order. Training pairs with more
    than ``sequence_length`` tokens on a side are left out.
    """

    names = ("source", "target")
    kind = "translation"
    wanted = "it has not learned to translate"

    def train_tokenizers(self) -> dict[str, Tokenizer]:
        sides = zip(*self.splits.train, strict=True)
        return {name: self._train_tokenizer(texts) for name, texts in zip(self.names, sides, strict=True)}

    def load(self) -> Data:
        splits, config = self.splits, self.config
        if config.validation and splits.validation is not None:
            raise ConfigError(f"validation {config.validation}: {config.dataset} has a validation part of its own")
        parts = {name: self._part(name, getattr(splits, name)) for name in ("train", "validation", "test")}
        return Data(info=self.info, **parts)

    def _part(self, name: str, pairs: list[tuple[str, str]] | None) -> PairDataset | None:
        if pairs is None:
            return None
        config, sources, targets = self.config, [], []
        most, pairs = config.sequence_length, pairs[: config.limit or None]
        for source, target in pairs:
            source_ids, target_ids = self.ids_of("source", source), self.ids_of("target", target)
            if 0 < len(source_ids) <= most and len(target_ids) < most:  # the target has its end, too
                sources.append(source_ids)
                targets.append(target_ids)
        if len(sources) < len(pairs):
            out = len(pairs) - len(sources)
            self.notes.append(f"{out} of {len(pairs)} {name} pairs have more than {most} tokens and are left out")
        if not sources:
            raise ConfigError(
                f"no {name} pair of {config.dataset} has at most {most} tokens, the --sequence-length of training"
            )
        vocabulary = self.tokenizers["target"].vocabulary
        return PairDataset(sources, targets, vocabulary.padding, vocabulary.begin, vocabulary.end, _MULTIPLE)

    def ids_of(self, side: str, text: str, most: int | None = None) -> np.ndarray:
        """The tokens of a text of a side, the first ``most`` of them, in the order in which the model has them."""
        ids = self.tokenizers[side].encode(text)[:most]
        return ids[::-1].copy() if self.config.reverse == side else ids

    def model_arguments(self) -> dict[str, Any]:
        return {
            "source_vocab_size": len(self.tokenizers["source"]),
            "target_vocab_size": len(self.tokenizers["target"]),
            "max_length": self.config.sequence_length,
            "padding": self.tokenizers["target"].vocabulary.padding,
        }

    def build_model(self) -> Module:
        source, target = (self.tokenizers[name].vocabulary.tokens for name in self.names)
        if self.config.model_options.get("share_embeddings") and source != target:
            raise ConfigError(
                f"share_embeddings: the source and the target of {self.config.dataset} have vocabularies of their own"
            )
        return super().build_model()

    def training_size(self) -> str:
        return f"{len(self.data.train):,} pairs"

    def training_arrays(self) -> list[np.ndarray]:
        return [*self.data.train.sources, *self.data.train.targets]

    def loader(self, model: Module) -> DataLoader:
        train, config = self.data.train, self.config
        return DataLoader(train, batch_sampler=BucketSampler(_sizes(train), config.batch_size, seed=config.seed))

    def batches(self, model: Module, part: PairDataset) -> Iterator[Batch]:
        sampler = BucketSampler(_sizes(part), self.config.batch_size, shuffle=False)
        yield from DataLoader(part, batch_sampler=sampler)

    def evaluate(self, model: Module, part: PairDataset) -> TokenEvaluation:
        """Loss and accuracy of each token of the targets, given those before it."""
        result = super().evaluate(model, part)
        return replace(result, extra={"perplexity": result.perplexity})

    def report(self, model: Module, part: str, **decoding: Any) -> list[str]:
        """Loss, translations right to the token, and BLEU of words; ``decoding`` is what :meth:`decode` takes."""
        samples, most = getattr(self.data, part), self.config.sequence_length
        result, tokenizer = self.evaluate(model, samples), self.tokenizers["target"]
        pairs = getattr(self.splits, part)[: self.config.limit or None]
        sources = [self.ids_of("source", source, most) for source, _ in pairs]
        answers = self.decode(model, sources, **decoding)
        found = [self.tokens_of(answer.tokens) for answer in answers]
        wanted = [" ".join(tokenizer.tokens(target)) for _, target in pairs]
        exact = sum(one == other for one, other in zip(found, wanted, strict=True))
        lines = [
            (
                f"{len(samples):,} pairs, {result.targets:,} tokens: loss {result.loss:.4f}  "
                f"perplexity {result.perplexity:.3f}  accuracy {100 * result.accuracy:.2f} %"
            ),
            f"{exact:,} of {len(pairs):,} translations are right to the token ({100 * exact / len(pairs):.2f} %)",
        ]
        cut = sum(len(self.tokenizers["source"].encode(source)) > most for source, _ in pairs)
        if cut:
            lines.append(f"{cut} of {len(pairs)} sources cut after {most} tokens")
        if tokenizer.unit != "character":
            texts = [self.text_of(answer.tokens) for answer in answers]
            lines += self._bleu(found, wanted, texts, [target for _, target in pairs])
        return lines

    def _bleu(self, found: list[str], wanted: list[str], texts: list[str], references: list[str]) -> list[str]:
        """BLEU of tokens, where these are words, and of texts; why not where sacrebleu is not installed."""
        tokenizer, lines = self.tokenizers["target"], []
        try:
            if tokenizer.unit == "word":
                bleu = corpus_bleu(found, wanted, "none")
                lines.append(f"BLEU {bleu.score:.2f} of the model's tokens ({bleu.signature})")
            bleu = corpus_bleu(texts, references, "13a", tokenizer.lower)
            lines.append(f"BLEU {bleu.score:.2f} of the text ({bleu.signature})")
        except TextError as error:
            lines.append(f"no BLEU: {error}")
        return lines

    # --- decoding ------------------------------------------------------------------------------------------------
    def translate(self, model: Module, texts: list[str], beams: int = 1, length_penalty: float = 0.6) -> list[str]:
        """The translations of texts, a line each and in their order.

        One beam takes the most probable token again and again. A text without tokens has an empty translation.

        Raises:
            TextError: a text has more tokens than the model takes; it is named by its number.
        """
        sources = self.encode(texts)
        filled = [number for number, ids in enumerate(sources) if len(ids)]
        answers = self.decode(model, [sources[number] for number in filled], beams, length_penalty)
        found = dict(zip(filled, answers, strict=True))
        texts = [self.text_of(found[number].tokens) if number in found else "" for number in range(len(texts))]
        return [text.replace("\n", " ") for text in texts]  # byte pairs have a token for the end of a line

    def encode(self, texts: list[str]) -> list[np.ndarray]:
        """The tokens of source texts; raises as :meth:`translate`."""
        sources, most = [self.ids_of("source", text) for text in texts], self.config.sequence_length
        for number, ids in enumerate(sources, start=1):
            if len(ids) > most:
                raise TextError(f"line {number} has {len(ids)} tokens; the model takes at most {most}")
        return sources

    def decode(
        self, model: Module, sources: list[np.ndarray], beams: int = 1, length_penalty: float = 0.6
    ) -> list[Hypothesis]:
        """The best target of each source, sources of about the same length side by side."""
        vocabulary = self.tokenizers["target"].vocabulary
        order = np.argsort([-len(ids) for ids in sources], kind="stable")
        found: dict[int, Hypothesis] = {}
        for first in range(0, len(order), _ROWS):
            chosen = order[first : first + _ROWS].tolist()
            rows = pad([sources[number] for number in chosen], vocabulary.padding)
            limits = [self.longest_answer(sources[number]) for number in chosen]
            with no_grad():
                answers = beam_search(
                    lambda tokens, state: _step(model, tokens, state),
                    model.start(from_numpy(rows)),
                    _select,
                    vocabulary.begin,
                    vocabulary.end,
                    len(chosen),
                    limits,
                    beams=beams,
                    length_penalty=length_penalty if beams > 1 else 0.0,
                    forbidden=(vocabulary.padding, vocabulary.begin, vocabulary.unknown),
                )
            found |= {number: best[0] for number, best in zip(chosen, answers, strict=True)}
        return [found[number] for number in range(len(sources))]

    def longest_answer(self, source: np.ndarray) -> int:
        """How many tokens the target of a source may have, its end included, whatever sources lie beside it."""
        return min(self.config.sequence_length, 2 * len(source) + 20)

    def text_of(self, ids: list[int]) -> str:
        """The text of target tokens."""
        return self.tokenizers["target"].decode(self._in_order(ids))

    def tokens_of(self, ids: list[int]) -> str:
        """Target tokens with spaces between them."""
        return " ".join(self.tokenizers["target"].vocabulary.decode(self._in_order(ids)))

    def _in_order(self, ids: list[int]) -> list[int]:
        return ids[::-1] if self.config.reverse == "target" else ids


def _step(model: Module, tokens: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
    return model.step(from_numpy(tokens), state).numpy(), state


def _select(state: Any, rows: np.ndarray) -> Any:
    state.select(rows)
    return state


def _sizes(part: PairDataset) -> np.ndarray:
    """What pairs are sorted by: the longer target first, then the longer source."""
    return part.target_lengths * 10_000 + part.lengths
