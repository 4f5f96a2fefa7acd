"""Samples that are a model's inputs and targets as they are: pictures, and data sets of the user's own."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from numbanet import datasets, models
from numbanet.data import DataLoader
from numbanet.data.collate import collate_arrays
from numbanet.datasets import TextInfo
from numbanet.nn import Module
from numbanet.training import build, data_record
from numbanet.training.config import Config
from numbanet.training.errors import ConfigError
from numbanet.training.evaluation import Evaluation, evaluate
from numbanet.training.forward import Forward
from numbanet.training.objective import Objective
from numbanet.training.own import is_function
from numbanet.training.trial import check_model
from numbanet.training.warmup import batch_sizes, blank_batch

Batch = tuple[Any, Any]


def check_kind(config: Config) -> None:
    """Raise ConfigError for one of our models of texts, which has no use for samples."""
    fits = ("pictures", "series")
    if is_function(config.model) or models.model_info(config.model).kind in fits:
        return
    own = is_function(config.dataset) or datasets.is_own(config.dataset)
    is_series = not own and isinstance(datasets.dataset_info(config.dataset), TextInfo)
    kind = fits[is_series]
    fitting = [name for name in models.list_models() if models.model_info(name).kind == kind]
    raise ConfigError(
        f"the model {config.model} is for {models.model_info(config.model).kind}, and {config.dataset} is for {kind}; "
        f"models that fit: {', '.join(fitting)}"
    )


class SampleTask:
    """What is learned from samples (input, target): ``model(inputs) -> outputs``, and the config's loss."""

    unit = "samples"

    def __init__(self, config: Config, folder: Path | None = None) -> None:
        self.config = config
        self.folder = folder
        self.notes: list[str] = []

    @functools.cached_property
    def data(self) -> build.Data:
        """The data as the run uses them."""
        return build.load_data(self.config, self.folder)

    @functools.cached_property
    def info(self) -> Any:
        """What is known of the data set."""
        return build.data_info(self.config, self.folder)

    def files(self) -> dict[str, str]:
        """The files that a run folder keeps for the task: what is known of a data set of the user's own."""
        is_own = is_function(self.config.dataset) or datasets.is_own(self.config.dataset)
        return {data_record.FILE: data_record.to_text(self.info)} if is_own else {}

    def training_size(self) -> str:
        """How much there is to learn from, in words."""
        return f"{len(self.data.train):,} {self.unit}"

    def fingerprint(self) -> str:
        """A hash of the training data: none is taken of pictures, of which there may be gigabytes."""
        return ""

    def build_model(self) -> Module:
        """The model of the config with the seed's initial weights."""
        return build.build_model(self.config, self.info, self.folder)

    def check_model(self, model: Module) -> None:
        """Raise ConfigError for what the model cannot do with the data."""
        check_model(self.config, model, self.data, build.outputs_of(self.data.info))

    def loader(self, model: Module) -> DataLoader:
        """The batches of training."""
        return build.training_loader(self.config, self.data)

    def objective(self) -> Objective:
        """What is minimised."""
        return build.build_objective(self.config, self.data)

    def forward(self, model: Module) -> Forward:
        """From inputs to outputs by a model."""
        return Forward(model)

    def evaluate(self, model: Module, part: Any) -> Evaluation:
        """Loss and accuracy of a model on a part of the data."""
        return evaluate(model, part, self.config.eval_batch_size, self.objective())

    def examples(self, model: Module) -> tuple[list[Batch], list[Batch]]:
        """Blank batches of each size that training and evaluation have."""
        config, data = self.config, self.data
        sample = collate_arrays([data.test[0]])
        parts = [part for part in (data.validation, data.test) if part is not None]
        eval_sizes = set().union(*(batch_sizes(len(part), config.eval_batch_size) for part in parts))
        train_sizes = batch_sizes(len(data.train), config.batch_size)
        return tuple([blank_batch(size, sample) for size in sorted(sizes)] for sizes in (train_sizes, eval_sizes))
