"""What an augmentation is: parameters with limits, and a part in the program that changes a batch of bytes."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numbanet.data.errors import AugmentationError
from numbanet.kernels.array import Array
from numbanet.kernels.backend import Backend

NUMBERS = 32
"""Random numbers that a step has for a picture."""
PARAMETERS = 0x4155
NOISE = 0x4E00
"""Streams of random numbers, told apart from those of initialisation, dropout and shuffling; noise has one a step."""


class Batch:
    """Pictures on their way through the steps: ``pictures`` is where they are; where they came from stays unchanged."""

    def __init__(
        self,
        program: Any,
        backend: Backend,
        pictures: Array,
        spares: tuple[Array, Array],
        samples: Array,
        numbers: np.ndarray,
        key: tuple[int, int],
    ) -> None:
        self.program = program
        self.backend = backend
        self._given = self.pictures = pictures
        self._spares = list(spares)
        self.samples = samples
        self.all_numbers = numbers
        self.seed, self.epoch = key
        self.step = 0

    def __len__(self) -> int:
        return self.pictures.shape[0]

    @property
    def height(self) -> int:
        return self.pictures.shape[2]

    @property
    def width(self) -> int:
        return self.pictures.shape[3]

    @property
    def numbers(self) -> np.ndarray:
        """The numbers (n, NUMBERS) of the step that is being appended."""
        return self.all_numbers[:, self.step]

    def chosen(self, p: float) -> np.ndarray:
        """Which pictures are changed (bool)."""
        return self.numbers[:, 0] < p

    def change(self, function: str, *arguments: Any) -> None:
        """Append a kernel function that changes the pictures in place."""
        if self.pictures is self._given:
            self.pictures = self._spares.pop()
            np.copyto(self.pictures.numpy(), self._given.numpy())
        getattr(self.program, function)(self.pictures, *map(self._array, arguments))

    def replace(self, function: str, *arguments: Any) -> None:
        """Append a kernel function that writes the changed pictures elsewhere."""
        to, before = self._spares.pop(), self.pictures
        getattr(self.program, function)(to, before, *map(self._array, arguments))
        if before is not self._given:
            self._spares.append(before)
        self.pictures = to

    def noise(self, amounts: np.ndarray) -> None:
        """Append the noise of this step."""
        self.change("noise_pictures", self.samples, amounts, self.seed, NOISE + self.step, self.epoch)

    def _array(self, value: Any) -> Any:
        return self.backend.from_buffer(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value


@dataclass(frozen=True)
class Augmentation:
    """A step with its parameters, which are checked when it is made.

    Raises:
        AugmentationError: a parameter cannot have this value.
    """

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            object.__setattr__(self, entry.name, self._checked(entry, getattr(self, entry.name)))

    def append(self, batch: Batch) -> None:
        """Append what changes the batch to its program."""
        raise NotImplementedError

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raise AugmentationError if pictures (channels, height, width) of this shape cannot be changed so."""

    def need(self, condition: bool, otherwise: str) -> None:
        """Raise AugmentationError with this step's name unless the condition holds."""
        if not condition:
            raise AugmentationError(f"{step_name(type(self))}: {otherwise}")

    def _checked(self, entry: dataclasses.Field, value: Any) -> Any:
        if "choices" in entry.metadata:
            allowed = ", ".join(entry.metadata["choices"])
            self.need(value in entry.metadata["choices"], f"{entry.name} must be one of {allowed}, not {value!r}")
            return value
        kind, low, high = entry.metadata["kind"], entry.metadata["low"], entry.metadata["high"]
        limits = f"from {low:g} to {high:g}"
        wanted = {
            "number": f"a number {limits}",
            "whole": f"a whole number {limits}",
            "pair": f"two numbers {limits}, such as {as_text(entry.default)}",
            "span": f"a number, or two in brackets, {limits}",
        }[kind]
        numbers = _spread(kind, value, entry.metadata.get("around", 0), low)
        fine = numbers is not None and all(low <= x <= high for x in numbers)
        if fine and kind in ("pair", "span") and entry.name != "translate":
            fine = numbers[0] <= numbers[1]
        self.need(fine, f"{entry.name} must be {wanted}, not {value!r}")
        return numbers if len(numbers) == 2 else numbers[0]


def _spread(kind: str, value: Any, around: float, low: float) -> tuple | None:
    """The numbers that a parameter's value stands for; None if it is not of the kind."""
    parts = value if isinstance(value, tuple | list) else (value,)
    types, most = int if kind == "whole" else int | float, sys.float_info.max
    if any(isinstance(part, bool) or not isinstance(part, types) or not abs(part) <= most for part in parts):
        return None
    if isinstance(value, tuple | list):
        return tuple(map(float, parts)) if kind in ("pair", "span") and len(parts) == 2 else None
    if kind == "span":
        return (max(around - float(value), min(low, around)), around + float(value)) if value >= 0 else None
    if kind == "pair":
        return (float(value), float(value))
    return (value,) if kind == "whole" else (float(value),)


def number(default: float, help: str, low: float, high: float) -> Any:
    """A parameter that is one number."""
    return _parameter(default, help, "number", low, high)


def whole(default: int, help: str, low: int, high: int) -> Any:
    """A parameter that is a whole number."""
    return _parameter(default, help, "whole", low, high)


def pair(default: tuple[float, float], help: str, low: float, high: float) -> Any:
    """A parameter that is two numbers; one number stands for twice the same."""
    return _parameter(default, help, "pair", low, high)


def span(default: float, help: str, low: float, high: float, around: float = 0) -> Any:
    """A parameter that is two ends; one number stands for as much below and above ``around``."""
    return _parameter(default, help, "span", low, high, around=around)


def choice(choices: tuple[str, ...], help: str) -> Any:
    """A parameter that is one of these texts, by default the first."""
    return field(default=choices[0], metadata={"help": f"{help}: {', '.join(choices)}", "choices": choices})


def _parameter(default: Any, help: str, kind: str, low: float, high: float, **more: Any) -> Any:
    return field(default=default, metadata={"help": help, "kind": kind, "low": low, "high": high, **more})


def as_text(value: Any) -> str:
    """A value as it is written in a specification."""
    if isinstance(value, tuple):
        return "(" + ",".join(f"{part:g}" for part in value) + ")"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def step_name(kind: type[Augmentation]) -> str:
    """The name of an augmentation in a specification: ResizedCrop is resized_crop."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("_")


def describe(step: Augmentation) -> str:
    """A step as it would be written in a specification: ``crop(padding=4)``, with what differs from the defaults."""
    plain = type(step)()
    given = [
        f"{entry.name}={as_text(getattr(step, entry.name))}"
        for entry in dataclasses.fields(step)
        if getattr(step, entry.name) != getattr(plain, entry.name)
    ]
    return step_name(type(step)) + (f"({','.join(given)})" if given else "")
