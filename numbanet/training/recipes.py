"""Recipes: the settings with which a model is trained on a data set unless the user says otherwise."""

from __future__ import annotations

import fnmatch
import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numbanet import datasets, models
from numbanet.training.config import SETTINGS, USED_BY, check_keys
from numbanet.training.own import is_function

ANY = "any"

OF_OPTIMIZERS = ("lr", "weight_decay", *USED_BY["optimizer"])


def recipe(model: str, dataset: str, optimizer: str | None = None) -> dict[str, Any]:
    """The settings of ``recipes.toml`` for a model and a data set; empty when there is no recipe for the model.

    A model or data of the user's own are none of a pattern, however their file or folder is called.

    With another ``optimizer`` than the recipe's, what the recipe says of its own is left out.
    """
    is_own = is_function(dataset) or datasets.is_own(dataset)
    return fitting(_named(recipes_of(model), ANY if is_own else dataset), optimizer)


def fitting(settings: Mapping[str, Any], optimizer: str | None) -> dict[str, Any]:
    """``settings`` without what they say of another optimiser than the one chosen (None: no other is): a learning rate
    of SGD is none of Adam."""
    is_other = optimizer is not None and settings.get("optimizer", optimizer) != optimizer
    left_out = ("optimizer", *OF_OPTIMIZERS) if is_other else ()
    return {key: value for key, value in settings.items() if key not in left_out}


def recipes_of(model: str) -> dict[str, dict[str, Any]]:
    """The recipes of a model by data set (or pattern of data sets): its own, else those of the pattern that it fits."""
    return _named(_recipes(), ANY if is_function(model) else model)


def _named(table: dict[str, dict], name: str) -> dict[str, Any]:
    """What stands under a name, else under the first pattern that it fits, else under "any"."""
    if name in table:
        return table[name]
    return next((entry for pattern, entry in table.items() if fnmatch.fnmatchcase(name, pattern)), table.get(ANY, {}))


# what a model is trained on when nothing is said: data that need no download, where there are such
_DATASETS = {"language": "python-docs", "translation": "dates", "text classes": "sst2", "series": "adding"}


def default_dataset(settings: Mapping[str, Any]) -> str:
    """The data set for ``settings`` that name none: that of a file of texts or pairs, else one that suits the model."""
    for name in ("text", "pairs"):
        if settings.get(name):
            return name
    model = settings.get("model", SETTINGS["model"].default)
    kind = models.model_info(model).kind if model in models.list_models() else "pictures"
    return _DATASETS.get(kind, SETTINGS["dataset"].default)


def list_recipes() -> list[tuple[str, str]]:
    """All (model, dataset) pairs with a recipe, either of them perhaps a pattern; "any" is every other data set."""
    return [(model, dataset) for model, of_model in _recipes().items() for dataset in of_model]


@functools.cache
def _recipes() -> dict[str, dict[str, dict[str, Any]]]:
    recipes = tomllib.loads(Path(__file__).with_name("recipes.toml").read_text(encoding="utf-8"))
    for of_model in recipes.values():
        for settings in of_model.values():
            check_keys(settings)
    return recipes
