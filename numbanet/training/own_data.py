"""A data set of the user's own: what a function in a file returned, as training and test samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from numbanet.data import PictureDataset, TensorDataset, targets_of
from numbanet.data.collate import as_array
from numbanet.tensor import Tensor
from numbanet.training.errors import ConfigError


@dataclass(frozen=True)
class OwnInfo:
    """What is to be known of a data set of the user's own.

    ``shape`` is that of an input, ``outputs`` how many numbers a model gives for it: one a class, or one a number of
    the target. ``mean``, ``std`` and ``style`` are those of a PictureDataset, else None.
    """

    name: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    outputs: int
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    style: str | None = None
    augment: str = ""


def own_splits(name: str, made: Any) -> tuple[Any, Any | None, Any, OwnInfo]:
    """Training, validation (or None) and test samples, and what is known of them.

    ``made`` is (train, test), (train, validation, test), or has these as names; each is a data set of samples (input,
    target) or a pair of arrays (inputs, targets). Targets are class numbers (integers) or numbers to come close to.

    Raises :class:`ConfigError` that says what is wrong with it.
    """
    train, validation, test = _parts(name, made)
    parts = {"train": train, "validation": validation, "test": test}
    for part, value in parts.items():
        if value is not None:
            parts[part] = _as_dataset(name, part, value)
    info = _describe(name, parts["train"])
    for part in ("validation", "test"):
        if parts[part] is not None:
            _check_like(info, part, parts[part])
    return parts["train"], parts["validation"], parts["test"], info


def _parts(name: str, made: Any) -> tuple[Any, Any, Any]:
    if isinstance(made, Mapping):
        found = [made.get(part) for part in ("train", "validation", "test")]
    elif isinstance(made, tuple | list) and len(made) in (2, 3):
        found = [made[0], made[1] if len(made) == 3 else None, made[-1]]
    else:
        found = [getattr(made, part, None) for part in ("train", "validation", "test")]
    if found[0] is None or found[2] is None:
        raise ConfigError(
            f"dataset {name}: it must return (train, test) or (train, validation, test), each a data set or a pair of "
            f"arrays (inputs, targets), not {type(made).__name__}"
        )
    return tuple(found)


def _as_dataset(name: str, part: str, value: Any) -> Any:
    if isinstance(value, tuple | list) and len(value) == 2 and all(hasattr(array, "shape") for array in value):
        inputs, targets = (as_array(array) for array in value)
        if inputs.dtype.kind not in "fiub" or targets.dtype.kind not in "fiub" or len(inputs) != len(targets):
            raise ConfigError(
                f"dataset {name}: {part} needs numbers, as many inputs as targets, not {inputs.dtype} {inputs.shape} "
                f"and {targets.dtype} {targets.shape}"
            )
        targets = targets.astype(np.float32 if targets.dtype.kind == "f" else np.int64)
        value = TensorDataset(inputs.astype(np.float32), targets)
    if not hasattr(value, "__len__") or not hasattr(value, "__getitem__"):
        raise ConfigError(f"dataset {name}: {part} has no len() or [i], it is a {type(value).__name__}")
    if len(value) == 0:
        raise ConfigError(f"dataset {name}: {part} is empty")
    sample = value[0]
    if not isinstance(sample, tuple | list) or len(sample) != 2:
        raise ConfigError(f"dataset {name}: a sample of {part} must be (input, target), not a {type(sample).__name__}")
    return value


def _describe(name: str, train: Any) -> OwnInfo:
    targets = targets_of(train)
    shape = tuple(as_array(train[0][0]).shape)
    if targets.dtype.kind == "f":
        return OwnInfo(name, shape, (), math.prod(targets.shape[1:]))
    if targets.ndim != 1 or targets.min() < 0:
        raise ConfigError(f"dataset {name}: class numbers must be 0 or more, one a sample")
    count = int(targets.max()) + 1
    classes = tuple(str(word) for word in getattr(train, "classes", range(count)))
    if count > len(classes):
        raise ConfigError(f"dataset {name}: label {count - 1} lies outside the {len(classes)} classes")
    if isinstance(train, PictureDataset):
        return OwnInfo(name, shape, classes, len(classes), train.mean, train.std, "photo")
    return OwnInfo(name, shape, classes, len(classes))


def _check_like(info: OwnInfo, part: str, dataset: Any) -> None:
    inputs, target = dataset[0]
    shape, is_number = tuple(as_array(inputs).shape), _kind(target) == "f"
    if shape != info.shape or is_number == bool(info.classes):
        raise ConfigError(
            f"dataset {info.name}: a sample of {part} is {shape} with {'numbers' if is_number else 'a class'}, one of "
            f"train {info.shape} with {'a class' if info.classes else 'numbers'}"
        )
    if info.classes:
        targets = targets_of(dataset)
        wrong = np.flatnonzero((targets < 0) | (targets >= len(info.classes)))
        if len(wrong):
            raise ConfigError(
                f"dataset {info.name}: label {targets[wrong[0]]} of sample {wrong[0]} of {part} lies outside the "
                f"{len(info.classes)} classes of train"
            )


def _kind(target: Any) -> str:
    return target.dtype.kind if isinstance(target, Tensor) else np.asarray(target).dtype.kind
