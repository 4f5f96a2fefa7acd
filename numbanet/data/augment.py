"""Augment batches of pictures, each picture by its own random numbers: the same on every machine, for any number of
threads and in any batch, because they are a function of (seed, epoch, sample) alone."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np

from numbanet.backends import current_backend
from numbanet.data.augmentation import NUMBERS, PARAMETERS, Augmentation, Batch
from numbanet.data.augmentations import AUGMENTATIONS
from numbanet.data.errors import AugmentationError
from numbanet.data.normalise import Normalise
from numbanet.kernels.array import Array, new_array
from numbanet.tensor import Tensor

DEFAULT, NONE = "default", "none"
_FLOAT32, _BYTES = np.dtype(np.float32), np.dtype(np.uint8)


class Augment:
    """A transform for a DataLoader of bytes: each picture through all steps, then normalised.

    Kernels of the back end do the work, in the thread that calls: each step is one pass over the batch of bytes, and
    the last pass writes normalised float32.

    Args:
        steps: what is done, in this order; a specification such as ``"flip,crop(padding=4)"``, or augmentations.
        normalise: what turns bytes into float32.
        seed: which random numbers.

    Raises:
        AugmentationError: the specification cannot be understood.
    """

    def __init__(self, steps: str | Sequence[Augmentation], normalise: Normalise, seed: int = 0) -> None:
        self.steps = tuple(parse_augmentations(steps) if isinstance(steps, str) else steps)
        self.normalise = normalise
        self.seed = seed
        self._checked: tuple[int, ...] = ()
        self._backend: Any = None

    def __call__(self, batch: tuple[np.ndarray, Any], indices: np.ndarray, epoch: int) -> tuple[Tensor, Any]:
        """The batch (bytes (n, C, H, W), labels) of the samples ``indices`` as (float32 Tensor, labels)."""
        pictures, labels = batch
        return self.convert(pictures, indices, epoch), labels

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raise AugmentationError if pictures (channels, height, width) of this shape do not suit a step."""
        for step in self.steps:
            step.check(shape)
        self._checked = shape

    def convert(self, pictures: np.ndarray, indices: np.ndarray, epoch: int = 0) -> Tensor:
        """Bytes (n, C, H, W) augmented and normalised."""
        backend = current_backend()
        out = new_array(backend, pictures.shape, _FLOAT32)
        program = backend.eager()
        try:
            changed = self._append(program, backend, pictures, indices, epoch)
            program.normalise_pictures(out, changed, *self._factors(backend))
            program.run()
        finally:
            program.clear()
        return Tensor(out)

    def augment(self, pictures: np.ndarray, indices: np.ndarray, epoch: int = 0) -> np.ndarray:
        """Bytes (n, C, H, W) augmented, still bytes."""
        backend = current_backend()
        program = backend.eager()
        try:
            changed = self._append(program, backend, pictures, indices, epoch)
            program.run()
        finally:
            program.clear()
        return changed.numpy() if self.steps else pictures.copy()

    def _factors(self, backend: Any) -> tuple[Array, Array]:
        """Scale and shift of the normalisation, made once for a back end."""
        if self._backend is not backend:
            self._backend = backend
            self._arrays = backend.from_buffer(self.normalise.scale), backend.from_buffer(self.normalise.shift)
        return self._arrays

    def _append(self, program: Any, backend: Any, pictures: np.ndarray, indices: np.ndarray, epoch: int) -> Array:
        """Append all steps to a program; where the pictures will be."""
        if pictures.dtype != np.uint8:
            raise TypeError(f"expected pictures of uint8, got {pictures.dtype}")
        if pictures.ndim != 4 or pictures.shape[1] != self.normalise.channels:
            raise ValueError(f"expected pictures (n, {self.normalise.channels}, height, width), got {pictures.shape}")
        if pictures.shape[1:] != self._checked:
            self.check(pictures.shape[1:])
        given = backend.from_buffer(pictures)
        if not self.steps:
            return given
        samples = np.ascontiguousarray(indices, np.int64)
        numbers = self._numbers(program, backend, samples, epoch)
        spares = tuple(new_array(backend, pictures.shape, _BYTES) for _ in range(2))
        batch = Batch(program, backend, given, spares, backend.from_buffer(samples), numbers, (self.seed, epoch))
        for batch.step, step in enumerate(self.steps):
            step.append(batch)
        return batch.pictures

    def _numbers(self, program: Any, backend: Any, samples: np.ndarray, epoch: int) -> np.ndarray:
        """The random numbers float64 (n, steps, NUMBERS) of these samples."""
        out = np.zeros((len(samples), NUMBERS * len(self.steps)), np.float32)
        program.sample_numbers(backend.from_buffer(out), backend.from_buffer(samples), self.seed, PARAMETERS, epoch)
        program.run()
        program.clear()
        return out.reshape(len(samples), len(self.steps), NUMBERS).astype(np.float64)


def parse_augmentations(text: str, default: str = "") -> tuple[Augmentation, ...]:
    """The steps of a specification: names with or without parameters in brackets, between commas.

    ``flip,crop(padding=4),affine(degrees=10,scale=(0.9,1.1),interpolation=bilinear)``; ``default`` among them stands
    for the specification ``default``. ``none`` and an empty text have no steps.

    Raises:
        AugmentationError: it cannot be read, names no augmentation, or a parameter has a wrong name or value.
    """
    try:
        body = ast.parse(f"[{text}\n]", mode="eval").body
    except (SyntaxError, ValueError):
        body = None
    if not isinstance(body, ast.List):
        raise AugmentationError(
            f"cannot read the augmentations {text!r}: expected names between commas, with parameters in brackets, "
            "such as flip,crop(padding=4)"
        )
    steps: list[Augmentation] = []
    for entry in body.elts:
        if isinstance(entry, ast.Name) and entry.id == NONE:
            continue
        if isinstance(entry, ast.Name) and entry.id == DEFAULT:
            steps += parse_augmentations(default)
        else:
            steps.append(_step(entry))
    return tuple(steps)


def _step(entry: ast.expr) -> Augmentation:
    call = entry if isinstance(entry, ast.Call) else ast.Call(entry, [], [])
    name = call.func.id if isinstance(call.func, ast.Name) else ast.unparse(call.func)
    if name not in AUGMENTATIONS:
        close = difflib.get_close_matches(name.lower(), AUGMENTATIONS, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}? Known" if close else "known"
        raise AugmentationError(f"there is no augmentation {name!r}; {hint}: {', '.join(AUGMENTATIONS)}")
    kind = AUGMENTATIONS[name]
    known = list(kind.__dataclass_fields__)
    values = dict(zip(known, call.args, strict=False))
    if len(call.args) > len(known):
        raise AugmentationError(f"{name} has only the parameters {', '.join(known)}")
    for keyword in call.keywords:
        if keyword.arg not in known:
            close = difflib.get_close_matches(str(keyword.arg), known, n=1)
            hint = f"did you mean {close[0]!r}? It" if close else "it"
            raise AugmentationError(f"{name} has no parameter {keyword.arg!r}; {hint} has {', '.join(known)}")
        if keyword.arg in values:
            raise AugmentationError(f"{name} is given {keyword.arg} twice")
        values[keyword.arg] = keyword.value
    return kind(**{key: _value(name, key, value) for key, value in values.items()})


def _value(step: str, key: str, value: ast.expr) -> Any:
    """A number, a text (with or without quotes) or a tuple of numbers."""
    if isinstance(value, ast.Name):
        return value.id
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError):
        raise AugmentationError(f"{step}: {key} cannot be {ast.unparse(value)}") from None
