"""Tasks: what is learned (language models, classes of texts, translation) decides about batches, loss and measures."""

from __future__ import annotations

from pathlib import Path

from numbanet import datasets
from numbanet.datasets import TextInfo
from numbanet.datasets.text_info import CLASSIFICATION, LANGUAGE, TRANSLATION
from numbanet.training.config import Config
from numbanet.training.tasks.classification import ClassificationTask
from numbanet.training.tasks.language import LanguageTask
from numbanet.training.tasks.task import TextTask
from numbanet.training.tasks.translation import TranslationTask

TASKS = {LANGUAGE: LanguageTask, CLASSIFICATION: ClassificationTask, TRANSLATION: TranslationTask}


def text_task(config: Config, folder: Path | None = None) -> TextTask | None:
    """The task of a config whose data set holds texts, else None; ``folder`` is a run folder that keeps tokenizers."""
    if config.dataset not in datasets.list_datasets():
        return None
    info = datasets.dataset_info(config.dataset)
    return TASKS[info.task](config, folder) if isinstance(info, TextInfo) else None
