"""From a list of samples to one batch, and from NumPy to Tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from numbanet.creation import from_numpy
from numbanet.data.errors import SampleError
from numbanet.tensor import Tensor


def as_array(value: Tensor | np.ndarray) -> np.ndarray:
    """The values of a Tensor (without its history) or of anything array-like, not copied where that can be."""
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def as_tensors(batch: Any) -> Any:
    """Every ndarray in a batch (tuples, lists and mappings of them) as a Tensor that shares its memory."""
    if isinstance(batch, np.ndarray):
        return from_numpy(batch)
    return _rebuild(batch, [as_tensors(part) for part in _parts(batch)])


def default_collate(samples: Sequence[Any]) -> Any:
    """Stack samples along a new first axis, as PyTorch's function of this name does.

    Tensors, arrays and numbers become one Tensor (Python floats float32, integers int64, booleans bool); tuples, named
    tuples, lists and mappings are collated part by part and keep their kind; strings and bytes stay a list.

    Raises:
        ValueError: there are no samples; as SampleError: they differ in shape, in length or in their keys.
        TypeError: a sample is of a kind that cannot be stacked.
    """
    return as_tensors(collate_arrays(samples))


def collate_arrays(samples: Sequence[Any]) -> Any:
    """:func:`default_collate` with ndarrays in the place of Tensors."""
    if not samples:
        raise ValueError("cannot make a batch of no samples")
    first = samples[0]
    if isinstance(first, str | bytes):
        return list(samples)
    if isinstance(first, Tensor | np.ndarray | np.generic):
        return _stack([as_array(sample) for sample in samples])
    if isinstance(first, bool):
        return np.array(samples, dtype=np.bool_)
    if isinstance(first, int):
        return _numbers(samples, np.int64)
    if isinstance(first, float):
        return _numbers(samples, np.float32)
    if not isinstance(first, tuple | list | Mapping):
        raise TypeError(
            f"cannot make a batch of {type(first).__name__}: give Tensors, arrays, numbers, strings, or tuples, lists "
            f"and mappings of them, or pass collate_fn to the DataLoader"
        )
    _check_same_parts(samples)
    columns = [_parts(sample) for sample in samples]
    if isinstance(first, Mapping):
        columns = [[sample[key] for key in first] for sample in samples]
    return _rebuild(first, [collate_arrays(column) for column in zip(*columns, strict=True)])


def _numbers(samples: Sequence[Any], dtype: type) -> np.ndarray:
    """Python numbers as one array; an integer data set with a float among its values becomes float32."""
    if dtype is np.int64 and any(isinstance(sample, float) for sample in samples):
        dtype = np.float32
    return np.array(samples, dtype=dtype)


def _stack(arrays: list[np.ndarray]) -> np.ndarray:
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise SampleError(
            f"the samples of a batch differ in shape: {', '.join(map(str, sorted(shapes)))}; "
            f"bring them to one shape in the data set, or pass collate_fn to the DataLoader"
        )
    return np.stack(arrays)


def _parts(value: Any) -> list[Any]:
    """What a container holds, in order; nothing for anything else."""
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, tuple | list) else []


def _rebuild(like: Any, parts: list[Any]) -> Any:
    """A container of the same kind as ``like`` that holds ``parts``; ``like`` itself if it is no container."""
    if isinstance(like, Mapping):
        return dict(zip(like, parts, strict=True))
    if isinstance(like, tuple):
        return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)
    return parts if isinstance(like, list) else like


def _check_same_parts(samples: Sequence[Any]) -> None:
    first = samples[0]
    for number, sample in enumerate(samples):
        if len(sample) != len(first) or (isinstance(first, Mapping) and set(sample) != set(first)):
            raise SampleError(
                f"sample {number} of the batch does not have the parts of sample 0: "
                f"{list(sample) if isinstance(sample, Mapping) else len(sample)} instead of "
                f"{list(first) if isinstance(first, Mapping) else len(first)}"
            )
