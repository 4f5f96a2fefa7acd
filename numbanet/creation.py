"""New tensors, and functions of several."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from numbanet.autograd import apply
from numbanet.backends import current_backend
from numbanet.kernels.array import copied, new_array
from numbanet.kernels.backend import Backend
from numbanet.ops.base import FLOAT32, FLOAT64, INT64, normalise_axis
from numbanet.ops.indexing import Concatenate
from numbanet.tensor import DTYPES, Tensor, as_dtype
from numbanet.tensor_math import result_dtype
from numbanet.tensor_shape import _sizes


def _holds_numpy(data: object) -> bool:
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return isinstance(data, np.ndarray | np.generic | Tensor)


def _with_arrays(data: object) -> object:
    """Nested lists with ndarrays in the place of tensors."""
    if isinstance(data, Tensor):
        return data.detach().numpy()
    if isinstance(data, list | tuple) and _holds_numpy(data):
        return [_with_arrays(one) for one in data]
    return data


def from_data(data: object, dtype: object, backend: Backend) -> Tensor:
    """A tensor on a back end with a copy of data."""
    if dtype is not None:
        dtype = as_dtype(dtype)
    array = np.asarray(_with_arrays(data))
    if dtype is None:
        dtype = FLOAT32 if array.dtype == FLOAT64 and not _holds_numpy(data) else array.dtype
        if dtype not in DTYPES and dtype.newbyteorder("=") not in DTYPES:
            raise TypeError(
                f"cannot make a tensor of {array.dtype} data; tensors hold "
                f"{', '.join(sorted(str(one) for one in DTYPES))}"
            )
        dtype = dtype.newbyteorder("=")
    return Tensor(copied(backend, array, dtype))


def tensor(data: object, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of data: numbers, nested lists, an ndarray or a tensor.

    Python floats become float32, ints int64; NumPy's arrays and numbers keep their dtype."""
    return from_data(data, dtype, current_backend()).requires_grad_(requires_grad)


def as_tensor(data: object, dtype: object = None) -> Tensor:
    """data itself if it is a tensor of this dtype; an ndarray's memory shared where possible; else as ``tensor``."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray) and data.dtype in DTYPES and dtype in (None, data.dtype):
        return Tensor(current_backend().from_buffer(data))
    return tensor(data, dtype)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares memory with an ndarray. Raises for what cannot be shared."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    if array.dtype not in DTYPES:
        raise TypeError(
            f"can't convert np.ndarray of type {array.dtype}. The only supported types are: "
            f"{', '.join(sorted(str(one) for one in DTYPES))}."
        )
    if any(stride < 0 for stride in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are "
            "not currently "
            "supported. (You can probably work around this by making a copy of your array with array.copy().)"
        )
    return Tensor(current_backend().from_buffer(array))


def empty(*size: int, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """A tensor with undefined elements; float32 unless told otherwise."""
    shape, dtype = _sizes(size), FLOAT32 if dtype is None else as_dtype(dtype)
    if any(extent < 0 for extent in shape):
        raise RuntimeError(f"a tensor cannot have a negative size: {shape}")
    return Tensor(new_array(current_backend(), shape, dtype)).requires_grad_(requires_grad)


def full(size: Sequence[int], fill_value: float, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with fill_value; its dtype follows the number (float → float32, int → int64) unless given."""
    if isinstance(fill_value, Tensor | np.generic):
        fill_value = fill_value.item()
    if dtype is None:
        dtype = type(fill_value)
    return (
        empty(tuple(size) if not isinstance(size, int) else size, dtype=dtype)
        .fill_(fill_value)
        .requires_grad_(requires_grad)
    )


def zeros(*size: int, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with 0; float32 unless told otherwise."""
    return full(_sizes(size), 0, dtype or FLOAT32, requires_grad)


def ones(*size: int, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with 1; float32 unless told otherwise."""
    return full(_sizes(size), 1, dtype or FLOAT32, requires_grad)


def empty_like(x: Tensor, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """A tensor with undefined elements, of x's shape, dtype and back end."""
    return x.new_empty(x.shape, dtype).requires_grad_(requires_grad)


def zeros_like(x: Tensor, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with 0, of x's shape, dtype and back end."""
    return x.new_full(x.shape, 0, dtype).requires_grad_(requires_grad)


def ones_like(x: Tensor, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with 1, of x's shape, dtype and back end."""
    return x.new_full(x.shape, 1, dtype).requires_grad_(requires_grad)


def full_like(x: Tensor, fill_value: float, dtype: object = None) -> Tensor:
    """A tensor filled with fill_value, of x's shape, dtype and back end."""
    return x.new_full(x.shape, fill_value, dtype)


def arange(start: float, end: float | None = None, step: float = 1, dtype: object = None) -> Tensor:
    """start, start + step, … below end (0 … start − 1 with one argument); int64 for ints, float32 for floats."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if dtype is None:
        dtype = FLOAT32 if any(isinstance(value, float) for value in (start, end, step)) else INT64
    count = max(0, math.ceil((end - start) / step))
    return tensor(np.asarray(start + np.arange(count) * step).astype(as_dtype(dtype)))


def linspace(start: float, end: float, steps: int, dtype: object = None) -> Tensor:
    """steps numbers from start to end, both included."""
    return tensor(np.linspace(start, end, steps).astype(as_dtype(dtype or FLOAT32)))


def eye(n: int, m: int | None = None, dtype: object = None) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    return tensor(np.eye(n, m, dtype=as_dtype(dtype or FLOAT32)))


def rand(*size: int, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1), from the random state (``manual_seed``)."""
    return empty(*size, dtype=dtype).uniform_().requires_grad_(requires_grad)


def randn(*size: int, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """Standard normal numbers, from the random state (``manual_seed``)."""
    return empty(*size, dtype=dtype).normal_().requires_grad_(requires_grad)


def randint(low: int, high: int, size: Sequence[int], dtype: object = None) -> Tensor:
    """Whole numbers low … high − 1 (int64), from the random state."""
    if high <= low:
        raise RuntimeError(f"randint: there is no whole number from {low} to {high - 1}")
    drawn = rand(*size, dtype=FLOAT64)
    return (drawn * (high - low)).floor().long().add_(low).to(dtype or INT64)


# --- functions of several tensors ------------------------------------------------------------------------------------
def _alike(tensors: Sequence[Tensor], name: str) -> list[Tensor]:
    tensors = list(tensors)
    if not tensors:
        raise RuntimeError(f"{name} expects a non-empty list of Tensors")
    for one in tensors:
        if not isinstance(one, Tensor):
            raise TypeError(f"{name} expects Tensors, got {type(one).__name__}")
    dtype = tensors[0].dtype
    if any(one.dtype != dtype for one in tensors):
        first = tensors[0]
        for one in tensors[1:]:
            first = first.to(result_dtype(first, one))
        tensors = [one.to(first.dtype) for one in tensors]
    return tensors


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors joined along a dimension."""
    tensors = _alike(tensors, "cat")
    if tensors[0].ndim == 0:
        raise RuntimeError("zero-dimensional tensor cannot be concatenated")
    return apply(Concatenate(normalise_axis(dim, tensors[0].ndim)), *tensors)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors side by side along a new dimension."""
    tensors = _alike(tensors, "stack")
    for one in tensors:
        if one.shape != tensors[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {tensors[0].shape} and {one.shape}"
            )
    return cat([one.unsqueeze(dim) for one in tensors], dim)


def where(condition: Tensor, x: object, y: object) -> Tensor:
    """x where condition (bool), else y; all broadcast."""
    return condition.where(x, y)


def maximum(x: Tensor, y: Tensor) -> Tensor:
    """The larger of x and y, element by element."""
    return x.maximum(y)


def minimum(x: Tensor, y: Tensor) -> Tensor:
    """The smaller of x and y, element by element."""
    return x.minimum(y)


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """The matrix product."""
    return x.matmul(y)
