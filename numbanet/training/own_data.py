"""A data set of the user's own: what a function in a file returned, as training and test samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from numbanet.data import PictureDataset, Subset, TensorDataset, targets_of
from numbanet.data.collate import as_array, collate_arrays
from numbanet.data.dataset import read_samples
from numbanet.training.errors import ConfigError
from numbanet.training.own import told

NUMBERS = "fiub"
"""Kinds of dtypes that inputs and targets may have."""


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


def own_splits(name: str, made: Any, loss: str = "") -> tuple[Any, Any | None, Any, OwnInfo]:
    """Training, validation (or None) and test samples, and what is known of them.

    ``made`` is (train, test), (train, validation, test), or has these as names; each is a data set of samples (input,
    target) or a pair of arrays (inputs, targets). Targets are class numbers (integers) or numbers to come close to,
    which have to suit the ``loss``.

    Raises :class:`ConfigError` that says what is wrong with it, or what the user's code raised.
    """
    with told("dataset", name):
        train, validation, test = _parts(name, made)
        parts = {"train": train, "validation": validation, "test": test}
        targets = {}
        for part, value in parts.items():
            if value is not None:
                parts[part] = _as_dataset(name, part, value)
                targets[part] = _targets(name, part, parts[part])
                if loss == "bce" and targets[part].dtype.kind == "f":
                    _check_shares(name, part, targets[part])
        info = _describe(name, parts["train"], targets["train"])
        for part in targets:
            _check_like(info, part, parts[part], targets[part])
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
        are_numbers = inputs.dtype.kind in NUMBERS and targets.dtype.kind in NUMBERS
        if not are_numbers or not inputs.ndim or inputs.shape[:1] != targets.shape[:1]:
            raise ConfigError(
                f"dataset {name}: {part} needs numbers, as many inputs as targets, not {inputs.dtype} {inputs.shape} "
                f"and {targets.dtype} {targets.shape}"
            )
        with np.errstate(over="ignore"):  # what becomes infinite is told by its row
            targets = targets.astype(np.float32 if targets.dtype.kind == "f" else np.int64)
            value = TensorDataset(inputs.astype(np.float32), targets)
    if not hasattr(value, "__len__") or not hasattr(value, "__getitem__"):
        raise ConfigError(f"dataset {name}: {part} has no len() or [i], it is a {type(value).__name__}")
    if len(value) == 0:
        raise ConfigError(f"dataset {name}: {part} is empty")
    return value


def _targets(name: str, part: str, dataset: Any) -> np.ndarray:
    """The targets of all samples; a data set that does not hold them in one place is read for them, and checked."""
    first = _checked_sample(name, part, dataset, 0)
    if not _holds_targets(dataset):
        found = [first[1]]
        for number in range(1, len(dataset)):
            sample = _checked_sample(name, part, dataset, number)
            for what, value, like in zip(("input", "target"), sample, first, strict=True):
                if np.shape(as_array(value)) != np.shape(as_array(like)):
                    raise ConfigError(
                        f"dataset {name}: the {what} of sample {number} of {part} has the shape "
                        f"{np.shape(as_array(value))}, that of sample 0 {np.shape(as_array(like))}: bring them to one"
                    )
            found.append(sample[1])
        return collate_arrays(found)
    targets = targets_of(dataset)
    if targets.dtype.kind not in NUMBERS or len(targets) != len(dataset):
        raise ConfigError(
            f"dataset {name}: {part} has {len(dataset)} samples, and as targets (labels) {targets.dtype} "
            f"{targets.shape}: expected a class number or numbers for each"
        )
    if isinstance(dataset, TensorDataset):
        for what, values in zip(("input", "target"), dataset.tensors, strict=True):
            _check_finite(name, part, what, as_array(values))
    return targets


def _holds_targets(dataset: Any) -> bool:
    """Whether targets can be had without the inputs."""
    if isinstance(dataset, Subset):
        return _holds_targets(dataset.dataset)
    return isinstance(dataset, TensorDataset) or hasattr(dataset, "labels")


def _checked_sample(name: str, part: str, dataset: Any, number: int) -> tuple[Any, Any]:
    [sample] = read_samples(dataset, np.array([number]))
    if not isinstance(sample, tuple | list) or len(sample) != 2:
        kind = f"{len(sample)} parts" if isinstance(sample, tuple | list) else f"a {type(sample).__name__}"
        raise ConfigError(f"dataset {name}: a sample of {part} must be (input, target), not {kind}")
    for what, value in zip(("input", "target"), sample, strict=True):
        array = as_array(value)
        if array.dtype.kind not in NUMBERS:
            expected = "numbers" if what == "input" else "a class number or numbers"
            raise ConfigError(
                f"dataset {name}: the {what} of sample {number} of {part} must be {expected}, not "
                f"{array.dtype if array.ndim else repr(value)}"
            )
        _check_finite(name, part, what, array[None], number)
    return tuple(sample)


def _check_finite(name: str, part: str, what: str, values: np.ndarray, first: int = 0) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        wrong = ~np.isfinite(values).reshape(len(values), -1)
        row = int(wrong.any(1).argmax())
        value = values.reshape(len(values), -1)[row][wrong[row]][0]
        raise ConfigError(f"dataset {name}: the {what} of sample {first + row} of {part} holds {value}, no number")


def _check_shares(name: str, part: str, targets: np.ndarray) -> None:
    rows = targets.reshape(len(targets), -1)
    wrong = (rows < 0) | (rows > 1)
    if wrong.any():
        row = int(wrong.any(1).argmax())
        raise ConfigError(
            f"dataset {name}: the loss bce needs targets from 0 to 1, but that of sample {row} of {part} holds "
            f"{rows[row][wrong[row]][0]}"
        )


def _describe(name: str, train: Any, targets: np.ndarray) -> OwnInfo:
    shape = tuple(as_array(train[0][0]).shape)
    if targets.dtype.kind == "f":
        return OwnInfo(name, shape, (), math.prod(targets.shape[1:]))
    if targets.ndim != 1 or targets.min() < 0:
        raise ConfigError(f"dataset {name}: class numbers must be 0 or more, one a sample")
    names = getattr(train, "classes", None)
    if names is None:
        present = np.unique(targets)
        gaps = np.flatnonzero(present != np.arange(len(present)))
        if len(gaps):  # before a name is made for each number up to the largest
            raise ConfigError(
                f"dataset {name}: class {gaps[0]} has no sample in train, but there is a label {present[-1]}: labels "
                "are the numbers 0 to n − 1 of n classes"
            )
        names = range(len(present))
    classes = tuple(str(word) for word in names)
    if targets.max() >= len(classes):
        raise ConfigError(f"dataset {name}: label {targets.max()} lies outside the {len(classes)} classes")
    if isinstance(train, PictureDataset):
        return OwnInfo(name, shape, classes, len(classes), train.mean, train.std, "photo")
    return OwnInfo(name, shape, classes, len(classes))


def _check_like(info: OwnInfo, part: str, dataset: Any, targets: np.ndarray) -> None:
    shape, is_number = tuple(as_array(dataset[0][0]).shape), targets.dtype.kind == "f"
    if shape != info.shape or is_number == bool(info.classes):
        raise ConfigError(
            f"dataset {info.name}: a sample of {part} is {shape} with {'numbers' if is_number else 'a class'}, one of "
            f"train {info.shape} with {'a class' if info.classes else 'numbers'}"
        )
    if info.classes:
        wrong = np.flatnonzero((targets < 0) | (targets >= len(info.classes)))
        if len(wrong):
            raise ConfigError(
                f"dataset {info.name}: label {targets[wrong[0]]} of sample {wrong[0]} of {part} lies outside the "
                f"{len(info.classes)} classes of train"
            )
