"""Task: what is learned from a data set, and everything that follows from it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import numbanet
from numbanet import datasets, models
from numbanet.data import DataLoader
from numbanet.datasets import TextInfo, TextSplits
from numbanet.nn import Module
from numbanet.tensor import Tensor
from numbanet.text import SPECIALS, BytePairTokenizer, CharacterTokenizer, Tokenizer, WordTokenizer, load_tokenizer
from numbanet.training.build import Data
from numbanet.training.config import Config
from numbanet.training.errors import ConfigError
from numbanet.training.forward import Forward
from numbanet.training.own import is_function
from numbanet.training.tasks.tokens import TokenEvaluation, TokenObjective, evaluate_tokens

_OF_PICTURES = ("loss", "augment", "class_weights", "weights_act", "image_size", "skip_corrupt", "exact_batchnorm")
"""Settings that would do nothing for texts."""


class TextTask:
    """What is learned from a data set of texts: its batches, model, loss and measures.

    Args:
        config: the settings.
        folder: the run folder that keeps the tokenizers; None to make them of the training data.

    Data are read when they are first asked for, so that a model can be used without them.
    """

    #: what the registry calls models of this kind
    kind: str
    #: what is said when a run of another kind is used in its place
    wanted = "it is no run on texts"
    #: what the speed of training counts
    unit = "tokens"
    #: names of the tokenizers, which are those of their files in the run folder
    names: tuple[str, ...] = ("tokenizer",)
    specials: tuple[str, ...] = SPECIALS

    def __init__(self, config: Config, folder: Path | None = None) -> None:
        self.config = config
        self.info: TextInfo = datasets.dataset_info(config.dataset)
        self._check()
        self.notes: list[str] = []
        if folder is None:
            self.tokenizers = self.train_tokenizers()
        else:
            self.tokenizers = {name: load_tokenizer(folder / f"{name}.json") for name in self.names}

    # --- what subclasses write ---------------------------------------------------------------------------------------
    def train_tokenizers(self) -> dict[str, Tokenizer]:
        """The tokenizers, made of the training texts."""
        raise NotImplementedError

    def load(self) -> Data:
        """The parts of the data as data sets of token numbers."""
        raise NotImplementedError

    def model_arguments(self) -> dict[str, Any]:
        """What fits a registered model to the data."""
        raise NotImplementedError

    def loader(self, model: Module) -> DataLoader:
        """The batches of training: (inputs, targets)."""
        raise NotImplementedError

    def batches(self, model: Module, part: Any) -> Iterable[tuple[Any, Tensor]]:
        """The batches of a part of the data, for evaluation."""
        raise NotImplementedError

    def report(self, model: Module, part: str, **decoding: Any) -> list[str]:
        """What ``numbanet evaluate`` says of a model on a part of the data, line by line."""
        raise NotImplementedError

    def training_size(self) -> str:
        """How much there is to learn from, in words."""
        return f"{len(self.data.train):,} {self.unit}"

    def training_arrays(self) -> Iterable[np.ndarray]:
        """All that the training data are made of."""
        raise NotImplementedError

    def examples(self, model: Module) -> tuple[list[Any], list[Any]]:
        """A few batches of training and of evaluation, the largest and the smallest of each."""
        evaluated = [part for part in (self.data.validation, self.data.test) if part is not None]
        found = []
        for parts in ([self.data.train], evaluated):
            batches = [batch for part in parts for batch in self.batches(model, part)]
            batches.sort(key=lambda batch: batch[1].numel())
            found.append([batches[0], batches[-1]])
        return tuple(found)

    # --- what they have in common ------------------------------------------------------------------------------------
    @functools.cached_property
    def splits(self) -> TextSplits:
        """The texts, as they are read."""
        config, options = self.config, {}
        if config.dataset in ("text", "pairs"):
            options["file"] = getattr(config, config.dataset)
        elif config.dataset in ("copy", "reverse"):
            options["length"] = config.sequence_length
        return datasets.load(config.dataset, data_dir=config.data_dir or None, **options)

    @functools.cached_property
    def data(self) -> Data:
        """The data as the run uses them."""
        return self.load()

    def files(self) -> dict[str, str]:
        """The files that a run folder keeps for the task, by name."""
        return {f"{name}.json": tokenizer.dumps() for name, tokenizer in self.tokenizers.items()}

    def fingerprint(self) -> str:
        """A hash of the training data, by which a run that goes on sees that they have changed."""
        digest = hashlib.sha256()
        for array in self.training_arrays():
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def build_model(self) -> Module:
        """The model of the config with the seed's initial weights.

        Raises:
            ConfigError: the model is for another kind of data, or refuses an option.
        """
        config = self.config
        offered = {name: value for name, value in self.model_arguments().items() if value is not None}
        known = models.model_info(config.model).options
        for name, value in offered.items():
            given = config.model_options.get(name, value)
            if given != value and not (name == "max_length" and isinstance(given, int) and given > value):
                more = " or more (sequence_length)" if name == "max_length" else ""
                raise ConfigError(
                    f"model option {name}={given!r} contradicts {config.dataset}, which needs {value}{more}; "
                    "leave it out"
                )
        numbanet.manual_seed(config.seed)
        try:
            fitting = {name: value for name, value in offered.items() if name in known}
            return models.create_model(config.model, **{**fitting, **config.model_options})
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the model {config.model} cannot be made for {config.dataset}: {error}") from None

    def check_model(self, model: Module) -> None:
        """Nothing has to be tried out: models of texts are made for them, and have no batch norm."""

    def objective(self) -> TokenObjective:
        """What is minimised."""
        return TokenObjective(self.config.label_smoothing)

    def forward(self, model: Module) -> Forward:
        """From inputs to logits by a model; one for training, and one each time a part is evaluated."""
        return Forward(model)

    def evaluate(self, model: Module, part: Any) -> TokenEvaluation:
        """Loss and measures of a model on a part of the data."""
        return evaluate_tokens(model, self.forward(model), self.batches(model, part), self.objective())

    def _check(self) -> None:
        config = self.config
        if is_function(config.model):
            raise ConfigError(f"model {config.model}: models of your own are for pictures and numbers, not for texts")
        model = models.model_info(config.model)
        if model.kind != self.kind:
            fitting = [name for name in models.list_models() if models.model_info(name).kind == self.kind]
            raise ConfigError(
                f"the model {config.model} is for {model.kind}, and {config.dataset} is for {self.kind}; "
                f"models that fit: {', '.join(fitting)}"
            )
        for name in _OF_PICTURES:
            if getattr(config, name) != getattr(Config, name):
                raise ConfigError(f"{name}: {config.dataset} holds texts, for which there is no such setting")
        if config.accumulate > 1:
            raise ConfigError(f"accumulate {config.accumulate}: batches of {self.kind} are not cut into parts")

    def _train_tokenizer(self, texts: Iterable[str]) -> Tokenizer:
        """The tokenizer that the settings name, made of texts."""
        config = self.config
        kind = self.info.tokenizer if config.tokenizer == "auto" else config.tokenizer
        # what stands between two texts must not become a token of its own
        text = {"characters": "", "byte-pairs": "\n"}.get(kind, " ").join(texts)
        if kind == "characters":
            return CharacterTokenizer.train(text, self.specials, config.lower)
        if kind == "byte-pairs":
            try:
                return BytePairTokenizer.train(text, config.vocabulary, self.specials, config.lower)
            except ValueError as error:
                raise ConfigError(f"vocabulary {config.vocabulary}: {error}") from None
        spaces = kind == "spaces"
        return WordTokenizer.train(text, self.specials, config.min_count, config.vocabulary, config.lower, spaces)
