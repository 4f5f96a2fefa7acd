"""Tasks: what is learned (samples, language models, texts' classes, translation) decides about batches and measures."""

from __future__ import annotations

from pathlib import Path

from numbanet import datasets
from numbanet.datasets import TextInfo
from numbanet.datasets.text_info import CLASSIFICATION, LANGUAGE, TRANSLATION
from numbanet.training import data_record
from numbanet.training.config import Config
from numbanet.training.errors import ConfigError
from numbanet.training.own import is_function
from numbanet.training.tasks.classification import ClassificationTask
from numbanet.training.tasks.language import LanguageTask
from numbanet.training.tasks.samples import SampleTask, check_kind
from numbanet.training.tasks.task import TextTask
from numbanet.training.tasks.translation import TranslationTask

TEXT_TASKS = {LANGUAGE: LanguageTask, CLASSIFICATION: ClassificationTask, TRANSLATION: TranslationTask}


def make_task(config: Config, folder: Path | None = None) -> SampleTask | TextTask:
    """The task of a config, by its data set; ``folder`` is a run folder, which keeps what the task needs."""
    chosen = task_class(config, folder)
    if chosen is SampleTask:  # before settings that the recipe of a model of texts has, and nobody asked for
        check_kind(config)
    for name in ("text", "pairs"):
        if getattr(config, name) and config.dataset != name:
            raise ConfigError(f"{name} {getattr(config, name)}: this run is on {config.dataset}; leave one of them out")
    if config.epoch_steps and chosen is not LanguageTask:
        raise ConfigError(f"epoch_steps: only language models draw windows, and {config.dataset} has an end")
    if config.reverse != "none" and chosen is not TranslationTask:
        raise ConfigError(
            f"reverse {config.reverse}: only translation has a source and a target to reverse, not {config.dataset}"
        )
    return chosen(config, folder)


def task_class(config: Config, folder: Path | None = None) -> type[SampleTask] | type[TextTask]:
    """The class of :func:`make_task`'s result."""
    own = is_function(config.dataset) or datasets.is_own(config.dataset) or data_record.exists(folder)
    info = None if own else datasets.dataset_info(config.dataset)
    return TEXT_TASKS.get(info.task, SampleTask) if isinstance(info, TextInfo) else SampleTask
